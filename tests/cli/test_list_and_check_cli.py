"""codegym list and codegym check: what is registered, and kinds and names that do not exist."""

import pytest
from click.testing import CliRunner

from codegym import registry
from codegym.cli.check import KINDS
from codegym.cli.check import command as check
from codegym.cli.list import command as list_command
from codegym.errors import UnknownNameError
from codegym.registration import ENVIRONMENTS


def shown(*arguments: str) -> str:
    run = CliRunner().invoke(list_command, arguments, env={"COLUMNS": "300"})
    assert run.exit_code == 0, run.output
    return run.output


def test_every_group_is_listed_with_its_names() -> None:
    text = shown()
    for group in registry.groups():
        assert ", ".join(registry.names(group)) in text
    assert "CodeGym/Repair-v0" in text


def test_environments_are_described_with_their_arguments() -> None:
    text = shown("environments")
    assert all(name in text for name in ENVIRONMENTS)
    assert "Write a program token by token; its tests pay at the end." in text
    assert "granularity=program, turns=3" in text


def test_what_does_not_exist_names_the_nearest() -> None:
    run = CliRunner().invoke(list_command, ["agent"])
    assert isinstance(run.exception, UnknownNameError)
    assert run.exception.suggestion == "agents"
    run = CliRunner().invoke(check, ["agents", "ppo"])
    assert isinstance(run.exception, UnknownNameError)
    assert run.exception.suggestion == "agent"
    run = CliRunner().invoke(check, ["reward", "binry"])
    assert isinstance(run.exception, UnknownNameError)
    assert run.exception.suggestion == "binary"


def test_a_reward_is_checked() -> None:
    run = CliRunner().invoke(check, ["reward", "gorinski"])
    assert run.exit_code == 0, run.output
    assert "ok reward gorinski" in run.output


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_check(kind: str) -> None:
    module = __import__(f"codegym.checks.check_{kind}", fromlist=["check"])
    assert callable(vars(module)[f"check_{kind}"])
