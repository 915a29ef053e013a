"""codegym bench learning: variants, gains, and that no run is done twice."""

import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from codegym.bench.agent_aggregates import aggregate_tables, aggregates, plot_profiles
from codegym.bench.agent_comparison import Variant, command
from codegym.bench.agent_comparison_report import describe, notes, plot, tables, verdicts
from codegym.errors import ConfigError, UnknownNameError
from codegym.training.comparison_run import ComparisonRun, locked_folder
from codegym.training.run_folder import RunFolder


def row(moment: str, train_s: float, programs: int, passed: list[int]) -> dict[str, Any]:
    report = {
        "n": 1,
        "rows": [{"passed": count} for count in passed],
        "pass_at": {"1": {"mean": float(np.mean(passed)), "low": 0.0, "high": 1.0}},
    }
    return {"moment": moment, "train_s": train_s, "programs": programs,
            "greedy": report, "sampled": report}  # fmt: skip


def run(label: str, seed: int, *after: tuple[float, int, list[int]]) -> ComparisonRun:
    rows = [row("before", 0.0, 0, [0, 0, 1, 0]), *(row("after", *point) for point in after)]
    return ComparisonRun(label, seed, rows)


def test_a_variant_is_an_agent_with_settings_and_a_budget():
    variant = Variant.parse("grpo:dapo?lr=1e-4&reward=binary&scale=false@1.5")
    assert (variant.agent, variant.preset, variant.minutes) == ("grpo", "dapo", 1.5)
    assert variant.label == "grpo:dapo?lr=1e-4&reward=binary&scale=false"
    config = variant.config({"reward": "rltf", "eval_count": 3}, {"programs": 9})
    assert config == {"agent": "grpo", "agent_preset": "dapo", "reward": "binary",
                      "minutes": 1.5, "eval_count": 3,
                      "agent_settings": {"lr": "1e-4", "scale": "false"}}  # fmt: skip
    assert Variant.parse("rft").config({"reward": "rltf"}, {"programs": 9})["programs"] == 9


@pytest.mark.parametrize("text", ["", "rft@", "rft@x", "rft?lr", "rft lr=1", "rft@1@2"])
def test_an_unreadable_variant_is_an_error(text):
    with pytest.raises(ConfigError, match="variant"):
        Variant.parse(text)


def test_what_cannot_run_is_refused_before_anything_is_trained(tmp_path):
    for arguments, error in (
        (["--agents", "rtf", "--programs", "9"], UnknownNameError),
        (["--agents", "rft?lrr=1", "--programs", "9"], UnknownNameError),
        (["--agents", "rft:papre", "--programs", "9"], UnknownNameError),
        (["--agents", "rft", "--programs", "9", "--minutes", "1"], ConfigError),
        (["--agents", "rft", "--acceptance"], ConfigError),
        (["--programs", "9", "--env", "CodeGym/Synthesys-v0"], UnknownNameError),
        (["--programs", "9", "--env-arg", "turnz=3"], UnknownNameError),
        (["--programs", "9", "--env-arg", "turns"], ConfigError),
    ):
        result = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "runs")])
        assert isinstance(result.exception, error), arguments
    assert not (tmp_path / "runs").exists()


def test_between_two_evaluations_a_task_is_interpolated():
    compared = run("a", 0, (10.0, 100, [1, 0, 1, 0]), (20.0, 400, [1, 1, 0, 0]))
    assert compared.passed("greedy", "programs", 0).tolist() == [0, 0, 1, 0]
    assert compared.passed("greedy", "programs", 25).tolist() == [0.25, 0, 1, 0]
    assert compared.passed("greedy", "train_s", 15.0).tolist() == [1, 0.5, 0.5, 0]
    assert compared.passed("greedy", "train_s", 99.0).tolist() == [1, 1, 0, 0]


def test_gains_at_the_end_at_equal_minutes_and_at_equal_programs():
    starts = [
        ComparisonRun("warm start", seed, [row("after", 60.0, 50, [0, 0, 1, 0])]) for seed in (0, 1)
    ]
    runs = [
        *starts,
        run("slow", 0, (20.0, 100, [1, 1, 1, 0])),
        run("slow", 1, (20.0, 100, [0, 0, 1, 0])),
        run("fast", 0, (10.0, 400, [1, 1, 1, 1])),
        run("fast", 1, (10.0, 400, [1, 0, 1, 0])),
    ]
    results = describe(runs)
    assert results["equal"] == {"train_s": 10.0, "programs": 100.0}
    slow, fast = (results["variants"][name]["mean"]["sampled"] for name in ("slow", "fast"))
    assert slow["end"]["gain"]["mean"] == pytest.approx(0.25)
    assert slow["equal_seconds"]["gain"]["mean"] == pytest.approx(0.125)
    assert fast["end"]["gain"]["mean"] == pytest.approx(0.5)
    assert fast["equal_programs"]["gain"]["mean"] == pytest.approx(0.125)
    seeds = [row["sampled"]["end"]["gain"]["mean"] for row in results["variants"]["fast"]["seeds"]]
    assert seeds == [0.75, 0.25]
    # The seeds of "slow" gain .5 and 0: Student's t with one degree of freedom bounds nothing.
    assert (slow["end"]["gain"]["low"], slow["end"]["gain"]["high"]) == (-1.0, 1.0)


def test_aggregates_at_equal_minutes_and_programs(tmp_path):
    runs = [
        run("slow", 0, (20.0, 100, [1, 1, 1, 0])),
        run("slow", 1, (20.0, 100, [0, 0, 1, 0])),
        run("fast", 0, (10.0, 400, [1, 1, 1, 1])),
        run("fast", 1, (10.0, 400, [1, 0, 1, 0])),
    ]
    found = aggregates(runs)
    at_end = found["equal_seconds"]["sampled"]
    # After ten seconds "slow" is halfway: .5 .5 1 0 and 0 0 1 0; "fast" is at its end.
    assert at_end["slow"]["iqm"]["mean"] == pytest.approx((0 + 0 + 0.5 + 0.5) / 4)
    assert at_end["fast"]["iqm"]["mean"] == pytest.approx(1.0)
    assert at_end["fast"]["improvement"]["slow"]["mean"] == pytest.approx(
        (4.0 + 2.5 + 2.0 + 3.0) / 16
    )
    assert at_end["fast"]["profile"][0] == pytest.approx(6 / 8)
    # A gain of .5 over four tasks in 10 s and 400 programs is 50 points.
    assert at_end["fast"]["per_point"] == {"seconds": pytest.approx(0.2), "programs": 8.0}
    equal = found["equal_programs"]["sampled"]["fast"]["per_point"]
    assert equal["programs"] == pytest.approx(100 / 12.5) and equal["seconds"] == pytest.approx(0.2)
    assert [len(table.body()) for table in aggregate_tables(found).values()] == [2, 2]
    plot_profiles(found, tmp_path / "profiles.png")
    assert (tmp_path / "profiles.png").read_bytes().startswith(b"\x89PNG")


def test_a_last_learning_rate_is_for_variants_that_name_none():
    assert Variant.parse("rft").annealed(0.02).settings == {"final_lr": "0.02"}
    assert Variant.parse("rft?final_lr=1").annealed(0.02).settings == {"final_lr": "1"}
    assert Variant.parse("uniform").annealed(0.02).settings == {}
    assert Variant.parse("rft").annealed(None).settings == {}


def test_acceptance_holds_results_against_their_bounds(tmp_path):
    starts = [ComparisonRun("warm start", 0, [row("after", 60.0, 50, [0, 0, 1, 0])])]
    runs = [
        *starts,
        run("actor_critic", 0, (9.0, 9, [1, 0, 1, 0])),
        run("rltf", 0, (9.0, 9, [0, 0, 1, 0])),
    ]
    results = describe(runs)
    met = {line["what"]: (line["met"], line["bound"]) for line in verdicts(results)}
    assert met["actor_critic, mean sampled gain"] == (True, 0.06)
    # RLTF is asked for no less than the actor-critic's gain.
    assert met["rltf, mean sampled gain"] == (False, 0.25)
    assert met["warm start, greedy, lowest seed"] == (True, 0.22)
    drawn = tables(results)
    assert [len(table.body()) for table in drawn.values()] == [1, 4, 4]
    assert [row[:3] for row in drawn["sampled"].body()] == [
        (1, "actor_critic", "mean"), (None, "", "0"), (2, "rltf", "mean"), (None, "", "0"),
    ]  # fmt: skip
    behind = drawn["sampled"].json()[2]["behind_the_first"]
    assert behind["low"] < behind["mean"] == 0.25 < behind["high"]
    assert not notes(results)
    results["starts"][0]["sampled"]["mean"] = 0.001
    assert "seed 0: the warm start was too small to learn from: 0.1%" in notes(results)[0]
    plot(runs, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_keeping_other_comparisons_out_lets_the_trainer_in(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "rft-0")
    with locked_folder(folder.path):
        folder.create({"seed": 0}, overwrite=True)
        [lock] = folder.path.parent.glob(".*.lock")
        with lock.open() as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert folder.read_config() == {"seed": 0}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_comparison_is_run_once_and_then_read(tmp_path: Path):
    arguments = ["--agents", "rft?lr=1e-4", "--programs", "8", "--seeds", "1", "--eval-count",
                 "4", "--curve-points", "0", "--warm-start-programs", "16", "--out",
                 str(tmp_path), "--json"]  # fmt: skip
    first = CliRunner().invoke(command, arguments)
    assert first.exit_code == 0, first.exception
    results = json.loads(first.stdout)
    assert list(results["variants"]) == ["rft?lr=1e-4"]
    assert results["departures"]["rft (rft?lr=1e-4)"]["lr"] == [1e-4, 2e-5]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.jsonl")}
    assert len(written) == 2
    again = json.loads(CliRunner().invoke(command, arguments).stdout)
    assert again["variants"] == results["variants"]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    # Another warm start makes the runs that began from the old one worthless.
    arguments[arguments.index("16")] = "24"
    assert CliRunner().invoke(command, arguments).exit_code == 0
    path = tmp_path / "rft-lr=1e-4-0" / "metrics.jsonl"
    assert path.stat().st_mtime_ns != written[path]
