"""The version is written in one place, and everything that shows it reads it there."""

import ast
import importlib.metadata
import tomllib
from pathlib import Path

from click.testing import CliRunner

import codegym
from codegym import version
from codegym.cli import root

ROOT = Path(__file__).parent.parent


def test_the_installed_package_and_the_module_agree() -> None:
    assert codegym.__version__ == version.__version__
    assert importlib.metadata.version("codegym") == version.__version__


def test_the_command_line_shows_it() -> None:
    shown = CliRunner().invoke(root, ["--version"]).output
    assert shown == f"codegym, version {version.__version__}\n"


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
    assert {"codegym/policies/checkpoint.py", "codegym/cli/train.py"} <= files
    assert written == ["codegym/version.py"]
