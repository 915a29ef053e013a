"""Runtime: the files of this machine that the Python interpreter inside a sandbox reads.

The interpreter inside is the caller's interpreter: the same executable, standard library and
version. It excludes installed packages, except those that a caller offers by name.
"""

import json
import os
import sys
import sysconfig
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from codegym.errors import ConfigError, SandboxUnavailableError

_CODEGYM = Path(__file__).resolve().parent.parent
# The only files of codegym that are visible inside.
INSIDE_FILES = (
    _CODEGYM / "sandbox" / "wire.py",
    *sorted((_CODEGYM / "sandbox" / "inside").glob("*.py")),
)
# Read by the module zoneinfo.
TIME_ZONES = "/usr/share/zoneinfo"
START_SCRIPT = _CODEGYM / "sandbox" / "inside" / "start.py"
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
SEED, OTHER_SEED = 0, 20_231


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The files that the interpreter reads.

    Attributes:
        executable: The interpreter itself, not a link of a virtual environment.
        folders: Folders that must be readable, with everything in them except ``hidden``.
        hidden: Folders below them that must not be readable: installed packages.
        links: Symbolic links that must exist: (target, path).
    """

    executable: str
    folders: tuple[str, ...]
    hidden: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package that is offered inside: its import name, folder and paths."""

    name: str
    folder: str
    paths: tuple[str, ...] = field(default=())


@lru_cache(maxsize=1)
def runtime() -> Runtime:
    """Find the files of the running interpreter.

    Raises:
        SandboxUnavailableError: The interpreter's executable cannot be found.
    """
    # In a virtual environment sys.executable is a link beside a configuration file.
    base = getattr(sys, "_base_executable", "") or sys.executable
    executable = os.path.realpath(base)
    if not os.path.isfile(executable):
        raise SandboxUnavailableError(
            "the Python interpreter's executable cannot be found",
            value=base,
            cure="run codegym under a plain CPython, not one embedded in another program",
        )
    stdlib = os.path.dirname(os.path.realpath(os.__file__))
    extensions = os.path.realpath(sysconfig.get_config_var("DESTSHARED") or stdlib)
    folders = [stdlib, extensions, TIME_ZONES, *_library_folders()]
    prefix_lib = os.path.join(os.path.realpath(sys.base_prefix), "lib")
    if prefix_lib != "/usr/lib":
        folders.append(prefix_lib)
    if executable.startswith("/nix/"):
        folders.append("/nix/store")
    installed = {
        os.path.join(folder, name)
        for folder in (stdlib, prefix_lib, "/usr/lib/python3", "/usr/lib64/python3")
        for name in ("site-packages", "dist-packages")
    }
    present = [folder for folder in _outermost(folders) if os.path.isdir(folder)]
    hidden = {folder for folder in installed if os.path.isdir(folder)} | _below_prefix(prefix_lib)
    return Runtime(
        executable=executable,
        folders=tuple(present),
        hidden=tuple(sorted(folder for folder in hidden if _beneath(folder, present))),
        links=tuple(
            (os.readlink(path), path) for path in ("/lib", "/lib64") if os.path.islink(path)
        ),
    )


def environment(*, reseeded: bool = False) -> dict[str, str]:
    """Return the environment variables inside.

    Args:
        reseeded: Whether hashing has another seed; see ``Job.reseeded``.
    """
    return _ENVIRONMENT | {"PYTHONHASHSEED": str(OTHER_SEED if reseeded else SEED)}


def packages(names: tuple[str, ...]) -> tuple[Package, ...]:
    """Find installed packages by import name, with the libraries their wheels carry.

    Raises:
        ConfigError: One of them is not installed.
    """
    found = []
    for name in names:
        spec = find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.origin:
            raise ConfigError(
                "a package to offer inside the sandbox is not installed",
                value=name,
                expected="the import name of an installed package",
            )
        origin = Path(spec.origin).resolve()
        top = origin.parent if origin.name == "__init__.py" else origin
        paths = {str(top)} | _carried_libraries(name, top.parent)
        found.append(Package(name=name, folder=str(top.parent), paths=tuple(sorted(paths))))
    return tuple(found)


def settings(
    role: str,
    isolation: str,
    *,
    ctl_fd: int,
    child_filter: bytes = b"",
    base_filter: bytes = b"",
    readable: tuple[str, ...] = (),
    listable: tuple[str, ...] = (),
    offered: tuple[Package, ...] = (),
    reseeded: bool = False,
) -> str:
    """Write the settings that ``codegym.sandbox.inside.zygote`` reads."""
    return json.dumps(
        {
            "ctl_fd": ctl_fd,
            "role": role,
            "isolation": isolation,
            "child_filter": child_filter.hex(),
            "base_filter": base_filter.hex(),
            "readable": list(readable),
            "listable": list(listable),
            "seed": int(environment(reseeded=reseeded)["PYTHONHASHSEED"]),
            "clockless": reseeded,
            "packages": [package.name for package in offered],
            "package_folders": sorted({package.folder for package in offered}),
            # In a mount namespace the folder holds nothing else, so it can stay importable.
            "package_folders_stay": isolation == "namespace",
        }
    )


def interpreter_arguments(script: str) -> list[str]:
    """Return the command that starts the zygote, up to its settings."""
    return [runtime().executable, "-s", "-P", "-S", "-B", "-W", "ignore", script]


def neutral_path(file: Path) -> str:
    """Return the path of a codegym file inside a mount namespace; it names no host folder."""
    return f"/codegym/{file.relative_to(_CODEGYM)}"


def _library_folders() -> list[str]:
    """Return the folders of shared libraries, if possible without the whole of /usr/lib."""
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [path for path in ("/lib", "/lib64") if not os.path.islink(path)]
    multiarch = f"/usr/lib/{triplet}"
    if triplet and os.path.isdir(multiarch):
        return [*folders, multiarch, "/usr/lib64"]
    return [*folders, "/usr/lib64" if os.path.exists("/usr/lib64/libc.so.6") else "/usr/lib"]


def _carried_libraries(name: str, folder: Path) -> set[str]:
    libraries = {str(path) for path in folder.glob(f"{name}.libs") if path.is_dir()}
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return libraries
    tops = {file.parts[0] for file in files if file.parts and file.parts[0].endswith(".libs")}
    return libraries | {str(folder / top) for top in tops}


def _below_prefix(prefix_lib: str) -> set[str]:
    # Packages of other Python versions that share the prefix.
    return {
        str(folder)
        for name in ("site-packages", "dist-packages")
        for folder in Path(prefix_lib).glob(f"python3*/{name}")
        if folder.is_dir()
    }


def _beneath(path: str, folders: list[str]) -> bool:
    return any(path.startswith(folder + "/") for folder in folders)


def _outermost(folders: list[str]) -> list[str]:
    unique = list(dict.fromkeys(folders))
    return [folder for folder in unique if not _beneath(folder, unique)]
