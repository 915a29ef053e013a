"""codegym train: every setting on the command line and in YAML, mixtures, and clear complaints."""

import dataclasses
from collections import Counter
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from codegym.cli.train import command
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.sources import load_tasks
from codegym.sources.mixture import Mixture
from codegym.training.config import GROUPS, TrainConfig, phases_of
from codegym.training.config_file import read_config_file
from codegym.training.run_folder import RunFolder


def shown(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(command, [*arguments, "--dry-run"])
    if done.exception is not None:
        raise done.exception
    settings: dict[str, object] = yaml.safe_load(done.stdout)
    return settings


def test_every_setting_is_an_option() -> None:
    options = {
        parameter.name for parameter in command.params if isinstance(parameter, click.Option)
    }
    settings = {field.name for field in dataclasses.fields(TrainConfig)}
    assert settings - set(GROUPS) <= options


def test_a_dry_run_shows_all_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(command, [
        "--agent", "grpo", "--agent-preset", "dapo", "--minutes", "2", "--task-sampler", "success",
        "--warm-start-minutes", "1", "--set", "lr=1e-4", "--set", "guard.max_kl=2",
        "--out", str(out), "--dry-run",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "# warm start: sft, preset small, 1 minutes" in done.stdout
    assert "# grpo: grpo, preset dapo, 2 minutes" in done.stdout
    settings = yaml.safe_load(done.stdout)
    assert settings["agent_settings"] == {"lr": "1e-4"}
    assert settings["guard_settings"] == {"max_kl": "2"}
    assert TrainConfig.from_mapping(settings).task_sampler == "success"
    assert not out.exists()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("agent: rloo\nupdates: 5\nseed: 3\nagent_settings:\n  tasks: 4\n")
    settings = shown("--preset", "demo", "--config", str(path), "--seed", "4", "--programs", "64")
    assert (settings["agent"], settings["seed"], settings["curve_points"]) == ("rloo", 4, 4)
    assert (settings["updates"], settings["programs"]) == (0, 64)
    assert settings["agent_settings"] == {"tasks": 4}


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("agent: rft\nagnt: rft\n", UnknownNameError, r"run\.yaml:2.*'agent'"),
        ("agent: rft\n\nseed: x\n", ConfigError, r"run\.yaml:3: setting 'seed'.*int"),
        ("agent: rft\nagent: rltf\n", ConfigError, r"run\.yaml:2: a setting is given twice"),
        ("agent: rft\nseed: [1\n", ConfigError, r"run\.yaml:3: no YAML"),
        ("agent_settings: 3\n", ConfigError, r"run\.yaml:1: setting 'agent_settings'"),
        ("- agent\n", ConfigError, "holds no settings"),
        ("", ConfigError, "holds no settings"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    text: str, error: type[Exception], hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(error, match=hint):
        read_config_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_config_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--set", "gard.max_kl=1"], "'guard'"),
        (["--set", "lr"], "KEY=VALUE"),
        (["--set", "guard.max_lk=1"], "'max_kl'"),
        (["--track", "wanb"], "'wandb'"),
        (["--ahead", "9"], "0 to 8"),
        (["--eval-count", "0"], "at least 1"),
        (["--warm-start-minutes", "1", "--warm-start-programs", "5"], "at most one budget"),
        (["--good"], "goes with --resume"),
        (["--elsewhere"], "goes with --resume"),
        (["--resume", "runs/none"], r"takes no other setting; got \['--dry-run', '--updates'\]"),
        (["--resume", "runs/none", "--threads", "1", "--set", "lr=1"], "--set', '--threads"),
        (["--resume", "runs/none", "--good", "--set", "lr=1"], r"got \['--dry-run', '--updates'\]"),
        (["--agent", "unifrm"], "'uniform'"),
        (["--seed", str(2**70)], "'seed' is out of range"),
        (["--warm-start-minutes", "nan"], "'warm_start_minutes' is out of range"),
        (["--warm-start-minutes", "inf"], "'warm_start_minutes' is out of range"),
        (["--set", "tasks=0"], "'tasks' of rft is out of range"),
        (["--set", "temperature=0"], "'temperature' of rft is out of range"),
        (["--set", "lr=-1"], "'lr' of rft is out of range"),
        (["--set", "lr=nan"], "'lr' of rft is out of range"),
        (["--set", "warm_start.batch_size=0", "--warm-start-programs", "5"], "'batch_size' of sft"),
    ],
)
def test_bad_options_are_named(arguments: list[str], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        shown("--updates", "1", *arguments)


@pytest.mark.parametrize(
    ("settings", "programs"),
    [
        ({}, 20_480),
        ({"agent": "sft"}, 0),
        ({"agent": "uniform"}, 0),
        ({"policy": "hf:smollm2"}, 0),
        ({"warm_start_minutes": 1.0}, 0),
        ({"warm_start_programs": 5}, 5),
    ],
)
def test_a_warm_start_where_it_helps(settings: dict[str, object], programs: int) -> None:
    config = TrainConfig.from_mapping(settings)
    assert config.warm_start_programs == programs
    assert TrainConfig.from_mapping(config.to_mapping()) == config
    assert len(phases_of(config)) == 1 + bool(programs or "warm_start_minutes" in settings)


ONE, TWO = "composites?depth=1-2&split=train", "atoms?topic=strings"


def test_a_mixture_draws_by_weight() -> None:
    mixture = load_tasks(f"3*{ONE} + {TWO}")
    assert isinstance(mixture, Mixture) and mixture.weights == (0.75, 0.25)
    heads = Counter(mixture[i].task_id.partition("/")[0] for i in range(400))
    # The standard deviation of 400 draws is 8.7.
    assert abs(heads["composites"] - 300) < 35 and sum(heads.values()) == 400
    assert mixture[7] == mixture[7] and mixture[-1] == mixture[len(mixture) - 1]
    for index in (0, 1, 2, 3):
        assert mixture.find(mixture[index].task_id) == mixture[index]
    with pytest.raises(TaskError):
        mixture.find("none")


def test_a_single_uri_is_no_mixture_and_bad_mixtures_are_named() -> None:
    assert load_tasks(ONE).uri == ONE
    with pytest.raises(UnknownNameError, match="'atoms'"):
        load_tasks(f"{ONE} + 0.5*atms")
    with pytest.raises(ConfigError, match="above 0"):
        load_tasks(f"0*{ONE} + {TWO}")
    with pytest.raises(ConfigError, match="unreadable"):
        load_tasks(f"0.5.5*{ONE} + {TWO}")


MINIATURE = [
    "--agent", "grpo", "--policy", "gpt:tiny@512", "--warm-start-programs", "0", "--updates", "1",
    "--set", "tasks=4", "--set", "samples=2", "--eval-count", "1", "--curve-points", "0",
    "--max-new-tokens", "12", "--workers", "1", "--track", "none", "--threads", "1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("env", "rest"),
    [
        ("CodeGym/Repair-v0", ["--env-arg", "turns=2"]),
        ("CodeGym/Line-v0", ["--env-arg", "max_lines=3"]),
        ("CodeGym/Program-v0", []),
    ],
)
def test_the_command_trains_in_other_environments(
    env: str, rest: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(command, ["--env", env, *rest, *MINIATURE, "--out", str(out)])
    if done.exception is not None:
        raise done.exception
    kept = RunFolder(out).read_config()
    given = dict(pair.split("=") for pair in rest[1::2])
    assert kept["env"] == env
    assert kept["env_args"] == {name: int(value) for name, value in given.items()}
    (row,) = RunFolder(out).rows("metrics")
    if env == "CodeGym/Repair-v0":
        # Two programs and the message between them are longer than a program may be.
        assert row["tokens"] > 12
    # A YAML file says the same.
    path = tmp_path / "run.yaml"
    path.write_text((out / "config.yaml").read_text())
    assert shown("--config", str(path)) == kept


def test_arguments_of_the_command_line_are_laid_over_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("env: CodeGym/Repair-v0\nenv_args:\n  turns: 2\n  max_tokens: 90\n")
    settings = shown("--config", str(path), "--env-arg", "turns=4")
    assert settings["env_args"] == {"turns": 4, "max_tokens": 90}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("env: CodeGym/Repare-v0\n", "'CodeGym/Repair-v0'"),
        ("env: CodeGym/Repair-v0\nenv_args:\n  turn: 2\n", "'turns'"),
        ("env_args: 3\n", r"run\.yaml:1: setting 'env_args'"),
    ],
)
def test_unknown_environments_and_arguments_are_named(text: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=hint):
        shown("--config", str(path))
    with pytest.raises(UnknownNameError, match="'CodeGym/Line-v0'"):
        shown("--env", "CodeGym/Lin-v0")
    with pytest.raises(UnknownNameError, match="'max_lines'"):
        shown("--env", "CodeGym/Line-v0", "--env-arg", "max_line=3")
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        shown("--env-arg", "turns")
