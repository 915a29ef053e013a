"""The project's files agree: pyproject.toml, the constraints, the version."""

import ast
import re
import tomllib
from pathlib import Path

from codegym import version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> dict[str, str]:
    """Return the name of every direct dependency -> its version specifier."""
    lines = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        lines += [line for line in extra if not line.startswith("codegym[")]
    found = {}
    for line in lines:
        match = re.match(r"([\w.-]+)(?:\[[^]]*\])?([^;]*)", line)
        assert match is not None, line
        found[normal(match[1])] = match[2].strip()
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    """Return the versions that a file of constraints pins."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        name, equals, pinned = line.partition("==")
        assert equals, f"{file}: {line!r} pins nothing"
        assert normal(name) not in found, f"{file}: {name} stands twice"
        found[normal(name)] = pinned
    return found


def release(text: str) -> tuple[int, ...]:
    """Return a release number without zeros at its end: 6.0 is 6."""
    numbers = [int(part) for part in text.split(".") if part.isdigit()]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def test_every_dependency_has_a_lower_bound_and_the_oldest_release_is_it() -> None:
    oldest, wrong = pins("constraints-oldest.txt"), []
    for name, specifier in requirements().items():
        bound = re.search(r">=([\w.]+)", specifier)
        if bound is None or release(oldest.get(name, "")) != release(bound[1]):
            wrong.append(f"{name}{specifier}: constraints-oldest.txt has {oldest.get(name)}")
    assert not wrong, wrong


def test_the_pinned_releases_are_allowed() -> None:
    pinned, wrong = pins("constraints.txt"), []
    for name, specifier in requirements().items():
        bound = re.search(r">=([\w.]+)", specifier)
        if name in pinned and bound and release(pinned[name]) < release(bound[1]):
            wrong.append(f"{name}{specifier}: constraints.txt has {pinned[name]}")
    assert not wrong, wrong


def test_pyproject_reads_it_from_the_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    source = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert source == "codegym.version.__version__"


def test_modules_import_it_from_its_own_file() -> None:
    found, written = [], []
    for path in (
        path for room in ("codegym", "agents", "envs") for path in (ROOT / room).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and any(
                alias.name == "__version__" for alias in node.names
            ):
                found.append((path.relative_to(ROOT).as_posix(), node.module))
            if isinstance(node, ast.Constant) and node.value == version.__version__:
                written.append(path.relative_to(ROOT).as_posix())
    assert {module for _, module in found} == {"codegym.version"}
    # Checkpoints and reports write it.
    files = {file for file, _ in found}
    assert {"codegym/policies/checkpoint.py", "codegym/training/session.py"} <= files
    assert written == ["codegym/version.py"]
