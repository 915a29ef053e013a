"""The version that the package shows."""

import importlib.metadata

from click.testing import CliRunner

import codegym
from codegym import version
from codegym.cli import root


def test_the_installed_package_and_the_module_agree() -> None:
    assert codegym.__version__ == version.__version__
    assert importlib.metadata.version("codegym") == version.__version__


def test_the_command_line_shows_it() -> None:
    shown = CliRunner().invoke(root, ["--version"]).output
    assert shown == f"codegym, version {version.__version__}\n"
