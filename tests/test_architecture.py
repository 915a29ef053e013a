"""The floors of the house: who may import whom. Read from the source, nothing is run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"codegym": ROOT / "codegym", "codegym.agents": ROOT / "agents",
           "codegym.envs": ROOT / "envs"}  # fmt: skip
TORCH_ROOMS = (
    "codegym.agents",
    "codegym.bench",
    "codegym.checks",
    "codegym.cli",
    "codegym.experiments",
    "codegym.learning",
    "codegym.measuring",
    "codegym.policies",
    "codegym.training",
)
HEAVY = {"torch", "transformers", "peft", "stable_baselines3", "tensorboard"}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            yield name, path


def imports(path: Path, *, lazily: bool = True) -> set[str]:
    """Return what a file imports; without ``lazily`` only what importing it imports."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if not lazily and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def inside(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


ALL = dict(modules())


@pytest.mark.parametrize("name", ALL)
def test_core_never_imports_agents_or_envs(name: str) -> None:
    if inside(name, ("codegym.agents", "codegym.envs", "codegym.bench", "codegym.checks",
                     "codegym.cli")):  # fmt: skip
        return
    used = imports(ALL[name])
    assert not [one for one in used if inside(one, ("codegym.agents", "codegym.envs"))]


@pytest.mark.parametrize("name", [one for one in ALL if one.startswith("codegym.agents.")])
def test_agents_import_neither_envs_nor_one_another(name: str) -> None:
    used = imports(ALL[name])
    assert not [one for one in used if inside(one, ("codegym.agents", "codegym.envs"))]


@pytest.mark.parametrize("name", [one for one in ALL if one.startswith("codegym.envs")])
def test_envs_import_no_learning(name: str) -> None:
    used = imports(ALL[name])
    rooms = ("codegym.agents", "codegym.learning.agent", "codegym.policies", "codegym.policy")
    assert not [one for one in used if inside(one, rooms)]


@pytest.mark.parametrize("name", ALL)
def test_only_the_learning_rooms_import_torch(name: str) -> None:
    heavy = {one.partition(".")[0] for one in imports(ALL[name], lazily=False)} & HEAVY
    assert not heavy or inside(name, TORCH_ROOMS)


# What the sandbox binds inside beside the standard library.
BOUND = ("codegym.sandbox.inside", "codegym.sandbox.wire")


@pytest.mark.parametrize("name", [one for one in ALL if inside(one, BOUND)])
def test_what_runs_inside_needs_the_standard_library_only(name: str) -> None:
    for one in imports(ALL[name]):
        known = one.partition(".")[0] in sys.stdlib_module_names
        assert known or inside(one, BOUND) or any(room.startswith(one) for room in BOUND), one


def test_there_are_no_circles() -> None:
    graph = {
        name: {one for one in imports(path, lazily=False) if one in ALL and one != name}
        for name, path in ALL.items()
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for other in graph[name]:
            walk(other, (*trail, name))
        done.add(name)

    for name in graph:
        # A package's own __init__ re-exports its modules; that is a face, not a floor.
        if not ALL[name].name == "__init__.py":
            graph[name] = {one for one in graph[name] if ALL[one].name != "__init__.py"}
    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("name", ALL)
def test_rooms_have_names_of_their_own(name: str) -> None:
    stem = ALL[name].stem
    assert stem not in {"utils", "common", "helpers", "misc"}
    if name.startswith(("codegym.agents.", "codegym.envs.")):
        # Run directly, such a file would shadow the standard library for everything it imports.
        assert stem not in sys.stdlib_module_names


def test_importing_codegym_is_light() -> None:
    code = (
        "import sys, codegym\n"
        f"print(*(name for name in {sorted(HEAVY | {'lark', 'click', 'matplotlib'})!r}"
        " if name in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


@pytest.mark.parametrize("folder", ["agents", "envs"])
def test_the_folders_refuse_their_bare_names(folder: str) -> None:
    out = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], capture_output=True, text=True, cwd=ROOT
    )
    assert out.returncode != 0
    assert f"import codegym.{folder}, not {folder}" in out.stderr


def test_every_package_is_listed_for_installation() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {name for name, path in ALL.items() if path.name == "__init__.py"}
    assert sorted(listed) == sorted(found)


def test_the_public_names_are_there_and_sorted() -> None:
    import codegym

    assert list(codegym.__all__) == sorted(codegym.__all__)
    for name in codegym.__all__:
        assert getattr(codegym, name) is not None
