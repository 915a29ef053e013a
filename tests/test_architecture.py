"""Floors of the house: who may import whom, and how large anything may grow.

Almost everything is read from the source. An import counts wherever it is written: at the top of a
file, inside a function, or under TYPE_CHECKING.
"""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import codegym

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "codegym": ROOT / "codegym",
    "codegym.agents": ROOT / "agents",
    "codegym.envs": ROOT / "envs",
}

MOST_ROOMS, MOST_FLOORS = 34, 12
MOST_METHODS, MOST_LINES = 20, 60
# A file below this length can be too small to count as a room.
SMALL = 40

# Rooms that the core may not import, and the rooms above them, which may.
OUTER = ("codegym.agents", "codegym.envs")
ABOVE = ("codegym.bench", "codegym.checks", "codegym.cli", "codegym.integrations")
LEARNS = (
    "codegym.agents",
    "codegym.learning",
    "codegym.measuring",
    "codegym.policies",
    "codegym.policy",
    "codegym.training",
)
# (rooms, rooms that they never import). Without circles most of these follow from the present
# arrows; the list holds when the arrows change.
FORBIDDEN = (
    (("codegym.agents",), OUTER),
    (("codegym.envs",), LEARNS),
    (
        ("codegym.tasks", "codegym.sandbox", "codegym.grading", "codegym.rewards"),
        ("codegym.policy", "codegym.rollout", "codegym.learning", "codegym.training"),
    ),
    # The sandbox runs programs and knows no task.
    (
        ("codegym.sandbox",),
        (
            "codegym.atoms",
            "codegym.grading",
            "codegym.mining",
            "codegym.rewards",
            "codegym.sources",
            "codegym.synthesis",
            "codegym.tasks",
            "codegym.trajectory",
        ),
    ),
)

HEAVY = {"torch", "transformers", "peft", "stable_baselines3", "safetensors", "tensorboard"}
IMPORT_TORCH = (
    "codegym.agents",
    "codegym.bench",
    "codegym.checks",
    "codegym.learning",
    "codegym.measuring",
    "codegym.policies",
    "codegym.training",
)
# What `import codegym` leaves for later, beside the heavy packages.
LATER = {
    *("click", "hypothesis", "lark", "matplotlib", "numba", "ray", "tokenizers"),
    *("fastapi", "httpx", "prometheus_client", "uvicorn"),
}
# What ``codegym.integrations`` is for, and what they bring.
TRAINERS = {
    "inspect_ai",
    "nemo_gym",
    "openenv",
    "openrlhf",
    "skyrl_gym",
    "trl",
    "verifiers",
    "verl",
}
BROUGHT = {"datasets", "fastapi", "pyarrow", "pydantic"}

# What the sandbox binds inside beside the standard library.
BOUND = ("codegym.sandbox.inside", "codegym.sandbox.wire")

# File names that stand for the same thing in every room, so that they may occur more than once.
SHARED_NAMES = {
    "__init__": "a package's own file",
    "coderl": "the algorithm's name: its agent and its reward",
    "rltf": "the algorithm's name: its agent and its reward",
    "uniform": "the plug-in's name: the agent that learns nothing and its policy",
    "doctor": "the command line's file of a command is named as the command",
}


@dataclass(frozen=True)
class Import:
    """An import statement's target and whether importing the file runs it."""

    target: str
    at_import: bool


@cache
def modules() -> Mapping[str, Path]:
    """Return every module of the package by its installed name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(modules()[name].read_text())


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert not node.level, f"line {node.lineno}: imports are absolute"
    full = [f"{node.module}.{alias.name}" for alias in node.names]
    # `from package import module` is an import of the module, not of its package.
    return [name if name in modules() else str(node.module) for name in full]


@cache
def imports(name: str) -> frozenset[Import]:
    """Return what a module imports anywhere in its file."""
    found = set()

    def visit(node: ast.AST, at_import: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(Import(target, at_import) for target in _names(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_import = False
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            at_import = False
        for child in ast.iter_child_nodes(node):
            visit(child, at_import)

    visit(tree(name), True)
    return frozenset(found)


def file_arrows() -> dict[str, set[str]]:
    """Return module -> modules of the project that it imports."""
    return {
        name: {used.target for used in imports(name) if used.target in modules()} - {name}
        for name in modules()
    }


def room_of(name: str) -> str:
    """Return the room of a module: the module or folder directly under ``codegym``."""
    return ".".join(name.split(".")[:2])


def room_arrows() -> dict[str, set[str]]:
    """Return room -> rooms that it imports.

    Two kinds of small file are no rooms: a package's own file that defines nothing, and a file
    that imports nothing of the project and is imported by nothing of it.
    """
    arrows: dict[str, set[str]] = defaultdict(set)
    for name, targets in file_arrows().items():
        arrows[room_of(name)] |= {room_of(target) for target in targets} - {room_of(name)}
    reached = set().union(*arrows.values())
    passed_over = {
        room
        for room, targets in arrows.items()
        if is_small(room)
        and (defines_nothing(room) if is_own_file(room) else not targets and room not in reached)
    }
    return {room: arrows[room] - passed_over for room in arrows.keys() - passed_over}


def is_own_file(room: str) -> bool:
    """Whether a room is a file of the package itself; a folder's file stands for the folder."""
    return room in ("codegym", "codegym.__main__")


def is_small(room: str) -> bool:
    path = modules()[room]
    is_folder = path.name == "__init__.py" and not is_own_file(room)
    return not is_folder and len(path.read_text().splitlines()) < SMALL


def defines_nothing(name: str) -> bool:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return not any(isinstance(node, kinds) for node in tree(name).body)


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return a circle through every module or room that stands on one."""
    found = []
    for start in sorted(arrows):
        paths, seen = [(start,)], set()
        while paths:
            path = paths.pop(0)
            if start in arrows[path[-1]]:
                found.append(" -> ".join((*path, start)))
                break
            for target in sorted(arrows[path[-1]] - seen):
                seen.add(target)
                paths.append((*path, target))
    return found


def is_in(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def crossings(names: Iterable[str], never: Iterable[str]) -> list[str]:
    """Return every import that leads from one of the modules into the rooms ``never``."""
    arrows = file_arrows()
    return [
        f"{name} -> {target}"
        for name in names
        for target in sorted(arrows[name])
        if is_in(target, never)
    ]


def imported_with(name: str) -> set[str]:
    """Return every module and package that importing a module imports, directly or not."""
    found, pending = set(), [name]
    while pending:
        current = pending.pop()
        parts = current.split(".")
        pending += {".".join(parts[:end]) for end in range(1, len(parts))} - found
        found.add(current)
        if current in modules():
            pending += {used.target for used in imports(current) if used.at_import} - found
    return found


def definitions(name: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield every class and function of a module with its qualified name."""

    def visit(node: ast.AST, outer: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield f"{outer}.{child.name}", child
                yield from visit(child, f"{outer}.{child.name}")
            else:
                yield from visit(child, outer)

    return visit(tree(name), name)


def methods(cls: ast.ClassDef) -> Iterator[str]:
    """Yield the names that ``def`` makes in a class, under an ``if`` as well."""
    pending: list[ast.AST] = list(cls.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif not isinstance(node, ast.ClassDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


def listed(offenders: list[str]) -> str:
    return "".join(f"\n  {line}" for line in offenders)


def test_rooms_form_few_floors_without_circles() -> None:
    arrows = room_arrows()
    found = circles(arrows)
    assert not found, f"rooms that import one another in a circle:{listed(found)}"

    floors: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in floors:
            floors[room] = 1 + max(map(floor, arrows[room]), default=0)
        return floors[room]

    plan = sorted(f"floor {floor(room):2}: {room}" for room in arrows)
    assert len(arrows) <= MOST_ROOMS, f"{len(arrows)} rooms, at most {MOST_ROOMS}:{listed(plan)}"
    chain = [max(sorted(arrows), key=floor)]
    while arrows[chain[-1]]:
        chain.append(max(sorted(arrows[chain[-1]]), key=floor))
    down = listed([" -> ".join(chain)])
    assert len(chain) <= MOST_FLOORS, f"{len(chain)} floors, at most {MOST_FLOORS}:{down}"


def test_files_import_one_another_without_circles() -> None:
    found = circles(file_arrows())
    assert not found, f"files that import one another in a circle:{listed(found)}"


def test_no_import_goes_in_a_forbidden_direction() -> None:
    found = crossings((name for name in modules() if not is_in(name, ABOVE + OUTER)), OUTER)
    for rooms, never in FORBIDDEN:
        found += crossings((name for name in modules() if is_in(name, rooms)), never)
    assert not found, f"imports in a forbidden direction:{listed(found)}"


def test_only_the_learning_rooms_import_torch() -> None:
    heavy = {name: imported_with(name) & HEAVY for name in modules()}
    found = [
        f"{name} imports {', '.join(sorted(heavy[name]))}"
        for name in modules()
        if heavy[name] and not is_in(name, IMPORT_TORCH)
    ]
    assert not found, f"heavy imports at import time outside the learning rooms:{listed(found)}"
    needless = [
        room
        for room in IMPORT_TORCH
        if not any(heavy[name] for name in modules() if is_in(name, [room]))
    ]
    assert not needless, f"IMPORT_TORCH holds rooms that import nothing heavy: {needless}"


def test_what_runs_inside_needs_the_standard_library_only() -> None:
    found = [
        f"{name} imports {used.target}"
        for name in modules()
        if is_in(name, BOUND)
        for used in imports(name)
        if used.target.partition(".")[0] not in sys.stdlib_module_names
        and not is_in(used.target, BOUND)
    ]
    assert not found, f"imports that the sandbox cannot resolve:{listed(found)}"


def test_file_names_say_what_is_in_them() -> None:
    vague = {"utils", "common", "helpers", "misc"}
    by_stem = defaultdict(list)
    for name, path in modules().items():
        by_stem[path.stem].append(name)
    found = [f"{name}: says nothing" for stem in vague for name in by_stem[stem]]
    found += [
        f"{stem}: {', '.join(names)}"
        for stem, names in sorted(by_stem.items())
        if len(names) > 1 and stem not in SHARED_NAMES
    ]
    # Run directly, such a file would shadow the standard library for everything that it imports.
    found += [
        f"{name}: a module of the standard library"
        for name, path in modules().items()
        if is_in(name, OUTER) and path.stem in sys.stdlib_module_names
    ]
    assert not found, f"file names that mislead:{listed(found)}"
    unused = [stem for stem in SHARED_NAMES if len(by_stem[stem]) < 2]
    assert not unused, f"SHARED_NAMES holds names that occur once: {unused}"


def test_classes_and_functions_stay_small() -> None:
    found = []
    for name in modules():
        for title, node in definitions(name):
            if isinstance(node, ast.ClassDef):
                size, unit, most = len(list(methods(node))), "methods", MOST_METHODS
            else:
                assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                # A function's first line is its `def`; its decorators stand before that.
                size, unit, most = (node.end_lineno or 0) - node.lineno + 1, "lines", MOST_LINES
            if size > most:
                found.append(f"{title}: {size} {unit}, at most {most}")
    assert not found, f"{len(found)} classes or functions are too large:{listed(found)}"


def test_importing_codegym_is_light() -> None:
    assert imported_by("codegym", HEAVY | LATER | TRAINERS | BROUGHT) == ""


def test_an_integration_imports_no_trainer_before_it_is_asked() -> None:
    for name in ("answer_grader", "openrlhf", "task_table", "trl", "verl"):
        assert imported_by(f"codegym.integrations.{name}", HEAVY | LATER | TRAINERS | BROUGHT) == ""


def imported_by(module: str, names: Iterable[str]) -> str:
    """Return which of some packages a new process has imported after it imports a module."""
    code = f"import sys, {module}; print(*(n for n in {sorted(names)!r} if n in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return out.stdout.strip()


def test_agents_and_envs_refuse_their_bare_names() -> None:
    for folder in ("agents", "envs"):
        out = subprocess.run(
            [sys.executable, "-c", f"import {folder}"], capture_output=True, text=True, cwd=ROOT
        )
        assert out.returncode != 0
        assert f"import codegym.{folder}, not {folder}" in out.stderr


def test_every_package_is_listed_for_installation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(packages)


def test_public_names_are_sorted_and_present() -> None:
    packages = [name for name, path in modules().items() if path.name == "__init__.py"]
    for name in packages:
        if is_in(name, IMPORT_TORCH):
            continue
        package = importlib.import_module(name)
        missing = [
            public for public in getattr(package, "__all__", ()) if not hasattr(package, public)
        ]
        assert not missing, f"{name}.__all__ holds {missing}, which it does not have"
    assert codegym.__all__ == sorted(codegym.__all__)
