"""The front door: errors in one style, options that every command has, plug-ins that are broken."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from codegym import registry
from codegym.cli import COMMANDS, root
from codegym.cli.click_errors import translated
from codegym.cli.list import command as list_command
from codegym.errors import ConformanceError, MissingExtraError, UnknownNameError
from codegym.rewards.reward import Reward

# What it prints is a script of the shell's.
WITHOUT_RESULTS = {"completion"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command and sub-command with its name."""
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                sub = command.get_command(context, inner)
                assert sub is not None
                yield f"{name} {inner}", sub
        else:
            yield name, command


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codegym", *arguments], capture_output=True, text=True
    )


def test_every_command_writes_json_and_tables_and_can_be_quiet() -> None:
    for name, command in commands():
        if name in WITHOUT_RESULTS:
            continue
        options = {option for parameter in command.params for option in parameter.opts}
        lacking = {"--json", "--csv", "--latex", "--quiet", "-q", "--verbose", "-v"} - options
        assert not lacking, f"{name} lacks {lacking}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--jsn"], ("UnknownNameError: unknown option of", "did you mean '--json'?")),
        (["train", "--seed", "x"], ("option --seed", "'x' is not a valid integer")),
        (["grade"], ("lacks argument SOURCE", "grade --help")),
        (["synthesize", "a", "b"], ("unexpected extra argument", "Cure:")),
    ],
)
def test_what_click_says_is_said_in_our_words(arguments: list[str], said: tuple[str, ...]) -> None:
    with pytest.raises(click.ClickException) as caught:
        root.main(arguments, standalone_mode=False)
    told = translated(caught.value)
    text = f"{type(told).__name__}: {told}"
    for words in said:
        assert words in text, text


def test_a_bare_command_shows_its_help() -> None:
    done = run()
    assert done.returncode == 2 and "Commands:" in done.stderr and "Error" not in done.stderr


def test_an_error_is_one_line_and_exit_code_2() -> None:
    done = run("list", "agnts")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("UnknownNameError: unknown plug-in group; got 'agnts'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["bench", "learning"], ["bench", "policy"], ["check", "agent", "ppo"], ["eval", "x"],
     ["train", "--updates", "1"], ["reproduce", "rltf-ablation"]],
)  # fmt: skip
def test_without_torch_a_command_names_the_cure(arguments: list[str]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from codegym.cli import main\n"
        f"sys.argv = {['codegym', *arguments]!r}\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("MissingExtraError: torch is not installed"), done.stderr
    assert "[agents]' brings it" in last and "Traceback" not in done.stderr


def test_an_extra_is_looked_up_in_one_place() -> None:
    error = ModuleNotFoundError("no", name="lark.lexer")
    assert "[grammar]'" in str(MissingExtraError.of(error))
    assert MissingExtraError.of(ModuleNotFoundError("no", name="nothing_of_ours")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        ["--policy", "gpt:tinyy"],
        ["--policy", "nowhere"],
        ["--tokenizer", "lexeme"],
        ["--isolation", "nmespace"],
        ["--reward", "binry"],
        ["--tasks", "atms"],
        ["--env-arg", "max_tokens=-1"],
        ["--prefix-curriculum", "sucess"],
    ],
)
def test_a_failed_start_leaves_no_folder(
    wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["train", "--updates", "1", "--track", "none", *wrong])
    assert done.exception is not None and not isinstance(done.exception, SystemExit)
    assert not list(tmp_path.iterdir()), done.exception


def test_rewards_are_listed_with_their_options() -> None:
    done = CliRunner().invoke(list_command, ["rewards", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["rltf"]["options"] == "coarse=True, adaptive=True, fine=-0.3, alpha=True"


class Half(Reward):
    """Half of everything."""

    low = high = 0.5

    def __call__(self, verdict, feedback=None):
        return 0.5


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points of another package: a reward, a function, a number, and two broken ones."""
    values = {
        "half": f"{__name__}:Half",
        "number": f"{__name__}:WITHOUT_RESULTS",
        "gone": "no_such_package_at_all:Reward",
        "empty": "codegym.version",
        "wrong": f"{__name__}:Nothing",
    }
    points = [EntryPoint(name, value, "codegym.rewards") for name, value in values.items()]

    def found(*, group: str) -> list[EntryPoint]:
        return points if group == "codegym.rewards" else []

    monkeypatch.setattr(registry, "entry_points", found)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "cannot be loaded: ModuleNotFoundError"),
        ("wrong", "cannot be loaded: AttributeError"),
        ("number", "is no reward: it lacks __call__, fine, credit"),
        ("empty", "a module that registers no such name"),
    ],
)
@pytest.mark.usefixtures("plugged")
def test_a_broken_plug_in_is_named_with_its_package(name: str, said: str) -> None:
    with pytest.raises(ConformanceError, match=said) as caught:
        registry.get("rewards", name)
    assert repr(name) in str(caught.value) and "of the package" in str(caught.value)


@pytest.mark.usefixtures("plugged")
def test_a_broken_plug_in_hides_no_other() -> None:
    done = CliRunner().invoke(list_command, ["rewards", "--json"])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["half"]["text"] == "Half of everything." and rows["half"]["package"] == "?"
    assert "cannot be loaded" in rows["gone"]["text"] and rows["binary"]["text"]
    with pytest.raises(UnknownNameError):
        registry.get("rewards", "hlf")
