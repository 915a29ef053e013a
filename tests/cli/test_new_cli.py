"""codegym new: the packages that it writes are found, checked and tested as other people's are."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from codegym.cli import root
from codegym.cli.package_templates import KINDS
from codegym.errors import ConfigError, UnknownNameError

GROUPS = {
    "agent": "agents", "reward": "rewards", "source": "sources", "env": "environments",
}  # fmt: skip


def installed(kind: str, name: str, folder: Path) -> dict[str, str]:
    """Write a package, and beside it what pip would write; return the environment that has it."""
    done = CliRunner().invoke(root, ["new", kind, name, "--out", str(folder / name)])
    assert done.exit_code == 0, done.output
    project = tomllib.loads((folder / name / "pyproject.toml").read_text())["project"]
    info = folder / "site" / f"{name}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = os.pathsep.join([str(folder / name), str(folder / "site")])
    return os.environ | {"PYTHONPATH": path}


def check_command(folder: Path) -> list[str]:
    """Return the check that the README names."""
    text = (folder / "README.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("codegym check")]
    return line.split()[1:]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind",
    # Each begins several processes; the agent's contract takes a minute.
    [pytest.param(kind, marks=pytest.mark.slow if kind != "reward" else ()) for kind in KINDS],
)
def test_a_new_package_passes_its_check_and_its_tests(kind: str, tmp_path: Path) -> None:
    name = f"my_{kind}"
    environment = installed(kind, name, tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "codegym", *check_command(tmp_path / name)],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."],
        env=environment, capture_output=True, text=True, cwd=tmp_path / name,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout + tested.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "codegym", "list", GROUPS[kind], "--csv"],
        env=environment, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    shown = "MyEnv/MyEnv-v0,my_env," if kind == "env" else f"{name},{name} 0.1.0,"
    assert shown in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["rewad", "x"], UnknownNameError, "'reward'"),
        (["reward", "My-Reward"], ConfigError, "letters in lower case"),
        (["reward", "binary"], ConfigError, "there is a reward of this name"),
    ],
)
def test_unusable_names_are_refused_and_nothing_is_written(
    arguments: list[str], error: type[Exception], said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["new", *arguments])
    assert isinstance(done.exception, error) and said in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = CliRunner().invoke(root, ["new", "reward", "mine", "--out", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(root, ["completion", shell])
    assert done.exit_code == 0 and "_CODEGYM_COMPLETE" in done.output
    refused = CliRunner().invoke(root, ["completion", "bsh"])
    assert isinstance(refused.exception, UnknownNameError)
    assert refused.exception.suggestion == "bash"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("codegym ver", "plain,verify"), ("codegym grade --sam", "plain,--samples")],
)
def test_commands_and_options_are_completed(typed: str, offered: str) -> None:
    code = "import sys; sys.argv = ['codegym']; from codegym.cli import main; main()"
    settings = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env=os.environ | {"_CODEGYM_COMPLETE": "bash_complete", **settings},
    )  # fmt: skip
    assert done.stdout.splitlines() == [offered], done.stdout + done.stderr
