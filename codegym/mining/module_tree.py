"""Module tree: finds the modules of a file, a folder, an installed package or the standard library.

Modules are read and parsed, never imported.
"""

import ast
import io
import platform
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path

from codegym.errors import ConfigError
from codegym.mining.licences import UNKNOWN, licence_of_metadata, licence_of_tree

STDLIB, PYTHON = "stdlib", "python"
_SKIPPED_FOLDERS = {
    "test", "tests", "testing", "docs", "doc", "examples", "site-packages", "dist-packages",
    "idlelib", "lib2to3", "turtledemo", "ensurepip", "__pycache__", "node_modules", "build",
    "benchmarks", "venv", "_vendor", "distutils",
}  # fmt: skip
_SKIPPED_FILES = {
    "setup.py",
    "conftest.py",
    "__main__.py",
    "turtle.py",
    "antigravity.py",
    "this.py",
}
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of code: a distribution's name and version, and its licence."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Module:
    """A source file.

    Attributes:
        name: Dotted name from the package's top.
        path: The file.
        origin: Origin of the file.
        is_package: Whether the file is an ``__init__.py``.
    """

    name: str
    path: Path
    origin: Origin
    is_package: bool = field(default=False)

    @property
    def text(self) -> str:
        """The source, "" if it is unreadable."""
        return self._read[0]

    @property
    def tree(self) -> ast.Module:
        """The syntax tree, empty if the source is unreadable."""
        return self._read[1]

    @property
    def unread(self) -> str:
        """Reason why the source is unreadable; "" if it is readable."""
        return self._read[2]

    @cached_property
    def _read(self) -> tuple[str, ast.Module, str]:
        nothing = ast.Module(body=[], type_ignores=[])
        try:
            if self.path.stat().st_size > _MOST_BYTES:
                return "", nothing, "over a megabyte"
            text = _decoded(self.path.read_bytes())
        except OSError as error:
            return "", nothing, error.strerror or "unreadable"
        except (UnicodeDecodeError, LookupError, SyntaxError):
            return "", nothing, "not in its encoding"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes are not our concern
                return text, ast.parse(text), ""
        except (SyntaxError, ValueError):
            return "", nothing, "not this Python's syntax"
        except (RecursionError, MemoryError):
            return "", nothing, "nested too deeply"

    @cached_property
    def lines(self) -> list[str]:
        """The source's lines."""
        return self.text.split("\n")


def find_modules(target: str) -> list[Module]:
    """Return the modules of a target, sorted.

    Args:
        target: A file or folder, ``stdlib``, or the import name of an installed package.

    Raises:
        ConfigError: The target does not exist, or holds no Python.
    """
    place = Path(target).expanduser()
    if target == STDLIB:
        place = Path(sysconfig.get_path("stdlib"))
        origin = Origin(PYTHON, platform.python_version(), "PSF-2.0")
        return [_module(file, place, origin) for file in _files(place)]
    if not place.exists():
        place = _installed(target)
    place = place.resolve()
    root = place if place.is_dir() else place.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    origin = _origin(place, root)
    files = [place] if place.is_file() else _files(place)
    found = [_module(file, root, origin) for file in files]
    if not found:
        raise ConfigError(
            "no Python in it", value=target, expected="a file, a folder, a package or stdlib"
        )
    return found


def _decoded(data: bytes) -> str:
    """Decode a source as Python does: by its byte-order mark, its declared encoding, or UTF-8."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    text = data.decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "")


def _files(folder: Path) -> list[Path]:
    return sorted(_walk(folder, set()))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    place = folder.resolve()
    if place in seen:  # links may form a circle
        return
    seen.add(place)
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for entry in found:
        if entry.is_dir():
            if entry.name not in _SKIPPED_FOLDERS and not entry.name.startswith((".", "config-")):
                yield from _walk(entry, seen)
        elif entry.suffix == ".py" and entry.name not in _SKIPPED_FILES and entry.is_file():
            if not entry.name.startswith("test_") and not entry.stem.endswith("_test"):
                yield entry


def _module(file: Path, root: Path, origin: Origin) -> Module:
    parts = list(file.relative_to(root).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    if is_package and len(parts) > 1:
        parts.pop()
    return Module(".".join(parts), file, origin, is_package)


def _installed(name: str) -> Path:
    # Only the top name is looked up: the search for a sub-package would import its parent.
    top, *rest = name.split(".")
    spec = PathFinder.find_spec(top, sys.path) if top.isidentifier() else None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise ConfigError(
            "nothing to mine",
            value=name,
            expected="an existing path, stdlib, or the import name of an installed package",
            cure="install the package, or give the path of its folder",
        )
    origin = Path(spec.origin)
    place = origin.parent if origin.name == "__init__.py" else origin
    for part in rest:
        place = place / part if (place / part).is_dir() else place / f"{part}.py"
    if not place.exists():
        raise ConfigError("no such module in the package", value=name, expected=f"part of {top}")
    return place


def _origin(place: Path, root: Path) -> Origin:
    top = place.relative_to(root).parts[0].removesuffix(".py") if place != root else ""
    for distribution in distributions(path=[str(root)]):
        if top and top in _top_names(distribution):
            licence = licence_of_metadata(distribution.metadata)  # type: ignore[arg-type]
            if licence == UNKNOWN:
                licence = licence_of_tree(place if place.is_dir() else root)
            return Origin(distribution.metadata["Name"], distribution.version, licence)
    return Origin(top or place.name, UNKNOWN, licence_of_tree(place if place.is_dir() else root))


def _top_names(distribution: Distribution) -> set[str]:
    listed = (distribution.read_text("top_level.txt") or "").split()
    return {*listed, *(file.parts[0].removesuffix(".py") for file in distribution.files or ())}
