"""Experiments: every experiment can run, and verdicts agree with figures worked out by hand."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from codegym import registry
from codegym.cli.reproduce import command
from codegym.errors import ConfigError, UnknownNameError
from codegym.experiments import all_experiments, every_experiment
from codegym.experiments import further_scores as further_scores_module
from codegym.experiments import runs as experiment_runs
from codegym.experiments.all_experiments import AllExperiments
from codegym.experiments.experiment import SCALES, Arm, Contrast, Experiment
from codegym.experiments.experiment_report import CAUTION, markdown, plot, tables
from codegym.experiments.findings import (
    AGREES,
    DIFFERS,
    NO_EFFECT,
    UNDECIDED,
    findings,
    verdict,
)
from codegym.experiments.further_scores import further_scores
from codegym.experiments.runs import ExperimentRuns, FinishedRun
from codegym.experiments.seed_by_seed import Budget, SeedBySeed
from codegym.measuring.hierarchical import Estimate
from codegym.measuring.sequential import Decision
from codegym.measuring.statistics import unpaired_gain
from codegym.sources import load_tasks
from codegym.training.comparison_run import ComparisonRun, departures_by_label, train_or_read
from codegym.training.config import TrainConfig, agent_config, phases_of
from codegym.training.interrupts import Interrupted

ALL = every_experiment.EXPERIMENTS
FULL, QUICK = SCALES["full"], SCALES["quick"]


def two(**changes: Any) -> Experiment:
    """Two arms from one start, and whether the first beats the second."""
    sound = Experiment(
        name="two",
        paper="a paper",
        question="Is x better than y?",
        starts=(Arm(label="start", agent="sft", programs=100),),
        arms=(
            Arm(label="x", agent="rft", start="start"),
            Arm(label="y", agent="rloo", start="start"),
        ),
        contrasts=(Contrast(plus="x", minus="y", sign=1, paper="2.0 > 1.0"),),
        programs=1000,
    )
    return replace(sound, **changes)


def finished(label: str, seed: int, before: list[int], after: list[int]) -> FinishedRun:
    def row(moment: str, passed: list[int]) -> dict[str, Any]:
        return {"moment": moment, "programs": 9, "train_s": 1.0,
                "greedy": report(passed), "sampled": report(passed)}  # fmt: skip

    run = ComparisonRun(label, seed, [row("before", before), row("after", after)])
    return FinishedRun(run=run, folder=Path(label))


def with_null(runs: list[FinishedRun], label: str) -> list[FinishedRun]:
    """Add a null arm that equals an arm."""
    own = [each for each in runs if each.run.label == label]
    null = f"{label} (other seeds)"
    return runs + [
        replace(each, run=ComparisonRun(null, each.run.seed, each.run.curve)) for each in own
    ]


def report(passed: list[int]) -> dict[str, Any]:
    return {"n": 1, "rows": [{"passed": count} for count in passed]}


@pytest.mark.parametrize("name", ALL)
def test_every_experiment_can_run(name: str) -> None:
    experiment = ALL[name]
    assert experiment.name == name
    experiment.check()
    for scale in (FULL, QUICK):
        assert all(experiment.budget(arm, scale) > 0 for arm in experiment.runs)
    assert experiment.total(QUICK) < experiment.total(FULL)
    assert experiment.contrasts and experiment.question.endswith("?")
    assert any(contrast.sign for contrast in experiment.contrasts)


@pytest.mark.parametrize("name", ALL)
def test_a_quick_run_learns_for_half_of_its_budget_at_least(
    name: str,
) -> None:
    experiment = ALL[name]
    for arm in experiment.arms:
        settings = arm.settings
        fill = settings.get("minimum_fill", 0) + 256 * settings.get("critic_updates", 0)
        assert fill <= experiment.budget(arm, QUICK) / 2


@pytest.mark.parametrize(
    ("name", "named"),
    [
        *(
            (f"{name}{own}", named)
            for own in ("", "-own")
            for name, named in (
                ("rltf-ablation", {"reward"}),
                ("rltf-online", {"online", "reward"}),
                ("rltf-temperature", {"temperature"}),
                ("rltf-fine-penalty", {"reward"}),
                ("critic-ablation", {"critic"}),
            )
        ),
    ],
)
def test_arms_differ_in_what_the_ablation_names_and_in_nothing_else(
    name: str, named: set[str]
) -> None:
    experiment = ALL[name]
    runs, settings = [], []
    for arm in experiment.arms:
        config = experiment.config(arm, FULL)
        (phase,) = phases_of(TrainConfig.from_mapping(config))
        made = agent_config(registry.get("agents", arm.agent), phase, max_new_tokens=64)
        settings.append({key: getattr(made, key) for key in made.__slots__})
        settings[-1]["reward"] = config.pop("reward")
        runs.append({key: value for key, value in config.items() if key != "agent_settings"})
    assert all(run == runs[0] for run in runs)
    differing = {key for key in settings[0] if len({str(row[key]) for row in settings}) > 1}
    if name.startswith("critic-ablation"):
        # Without a critic there is nothing that could be given a head start.
        differing.discard("critic_updates")
    assert differing == named


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"arms": (Arm(label="x", agent="rft"), Arm(label="x", agent="rft"))}, ConfigError),
        ({"arms": (Arm(label="x", agent="rtf"), Arm(label="y", agent="rft"))}, UnknownNameError),
        ({"arms": (Arm(label="x", agent="rft", start="y"), Arm(label="y", agent="rft"))},
         UnknownNameError),
        ({"arms": (Arm(label="x", agent="rft", settings={"lrr": 1}), Arm(label="y", agent="rft"))},
         UnknownNameError),
        ({"reward": "binry"}, UnknownNameError),
        ({"tasks": "composits"}, UnknownNameError),
        ({"contrasts": (Contrast(plus="x", minus="z", sign=1, paper=""),)}, UnknownNameError),
        ({"contrasts": (Contrast(plus="x", minus="x", sign=1, paper=""),)}, ConfigError),
        ({"contrasts": (Contrast(plus="x", minus="y", sign=1, paper="", measure="gap"),)},
         ConfigError),
    ],
)  # fmt: skip
def test_experiments_that_cannot_run_are_refused(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    two().check()
    with pytest.raises(error):
        two(**changes).check()


def test_budgets_by_scale() -> None:
    experiment = two()
    x, start = experiment.arm("x"), experiment.arm("start")
    # A start keeps its whole budget: a policy that passes nothing shows nothing.
    assert [experiment.budget(arm, QUICK) for arm in (start, x)] == [100, 250]
    # The null arm is counted too.
    assert experiment.total(FULL) == 3100
    # A given budget replaces the budget of the arms; the start keeps its own budget.
    assert [experiment.budget(arm, FULL, 7) for arm in (start, x)] == [100, 7]


@pytest.mark.parametrize(
    ("mean", "found", "sign", "said"),
    [
        (0.02, "sign", 1, AGREES),
        (-0.02, "sign", 1, DIFFERS),
        (-0.02, "sign", -1, AGREES),
        (0.02, "sign", -1, DIFFERS),
        (0.02, "undecided", 1, UNDECIDED),
        (0.01, "no effect", 1, "no effect"),
        (0.02, "sign", 0, "the paper gives no sign; here it is positive"),
        (-0.02, "sign", 0, "the paper gives no sign; here it is negative"),
    ],
)
def test_a_verdict_compares_a_sign_with_the_papers(
    mean: float, found: Any, sign: Any, said: str
) -> None:
    decision = Decision(
        verdict=found, seeds=6, level=0.05, estimate=Estimate(mean, 0.01, 5.0, (-1.0, 1.0))
    )
    assert verdict(decision, sign) == said


def test_differences_are_paired_by_task_and_by_seed() -> None:
    runs = [
        finished("start", 0, [0, 0, 0, 0], [1, 0, 0, 0]),
        finished("x", 0, [1, 0, 0, 0], [1, 1, 1, 1]),
        finished("y", 0, [1, 0, 0, 0], [1, 0, 0, 0]),
        finished("start", 1, [0, 0, 0, 0], [0, 0, 0, 0]),
        finished("x", 1, [0, 0, 0, 0], [1, 1, 1, 0]),
        finished("y", 1, [0, 0, 0, 0], [0, 1, 0, 0]),
    ]
    results = findings(two(), with_null(runs, "x"), (2,))
    x = results["arms"]["x"]["sampled"]
    assert x["before"]["mean"]["mean"] == 0.125
    assert x["after"]["seeds"] == [1.0, 0.75]
    assert x["after"]["mean"]["mean"] == 0.875
    assert x["gain"]["seeds"] == [0.75, 0.75]
    (contrast,) = results["contrasts"]
    # Per task, over the seeds: x 1, 1, 1, 1/2; y 1/2, 1/2, 0, 0; so 1/2, 1/2, 1, 1/2.
    assert contrast["greedy"]["mean"]["mean"] == pytest.approx(0.625)
    assert contrast["greedy"]["seeds"] == [0.75, 0.5]
    # Two seeds decide nothing.
    assert contrast["greedy"]["verdict"] == UNDECIDED
    assert contrast["name"] == "x minus y"
    assert results["calibration"] == {"greedy": None, "sampled": None}


def test_enough_seeds_decide_and_the_null_arm_calibrates() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(6):
        for label, share in (("start", 0.2), ("x", 0.8), ("y", 0.3), ("x (other seeds)", 0.8)):
            passed = rng.binomial(1, share, 60).tolist()
            runs.append(finished(label, seed, [0] * 60, passed))
    results = findings(two(), runs, (6, 7))
    (contrast,) = results["contrasts"]
    assert contrast["sampled"]["verdict"] == AGREES and contrast["sampled"]["decided_at"] == 6
    assert contrast["sampled"]["mean"]["low"] > 0.3
    calibration = results["calibration"]["sampled"]
    assert calibration["holds"] and calibration["false_sign_rate"] <= 0.07
    assert len(calibration["differences"]) == 6 and calibration["arm"] == "x"


def test_a_gap_is_train_set_minus_held_out() -> None:
    gap = Contrast(plus="x", minus="y", sign=-1, paper="", measure="gap")
    starts = (Arm(label="x", agent="rft"), Arm(label="y", agent="rft"))
    experiment = two(starts=(), arms=starts, contrasts=(gap,), further={"train-set": "composites"})
    runs = [finished("x", 0, [0, 0], [1, 1]), finished("y", 0, [0, 0], [0, 0])]
    scores = {
        (label, 0): {"train-set": {kind: report(row) for kind in ("greedy", "sampled")}}
        for label, row in (
            ("x", [1, 1, 1, 0]),
            ("y", [1, 1, 1, 1]),
            ("x (other seeds)", [1, 1, 1, 0]),
        )
    }
    results = findings(experiment, with_null(runs, "x"), (1,), scores)
    assert results["arms"]["x"]["greedy"]["gap"]["mean"]["mean"] == pytest.approx(-0.25)
    assert results["arms"]["y"]["greedy"]["gap"]["mean"]["mean"] == pytest.approx(1.0)
    (contrast,) = results["contrasts"]
    # x minus y: 0, 0, 0, -1 on training tasks; 1, 1 on held-out tasks.
    assert contrast["greedy"]["mean"]["mean"] == pytest.approx(-0.25 - 1.0)
    assert contrast["greedy"]["seeds"] == [pytest.approx(-1.25)]
    # A single seed has no interval: any gap is possible.
    assert contrast["greedy"]["mean"]["high"] == 2.0
    assert contrast["name"] == "x minus y, train-test gap"


def test_sets_of_different_tasks_are_resampled_apart() -> None:
    few = unpaired_gain([0, 0], [1, 1, 1])
    assert few.mean == few.high == 1.0 and few.low < 0.2
    before, after = np.array([0.0, 1.0] * 50), np.array([0.0, 1.0] * 50)
    gain = unpaired_gain(before, after)
    # The error of either mean is .05, so that of the difference .0707.
    assert gain.mean == 0.0
    assert gain.low == pytest.approx(-1.96 * 0.0707, abs=0.02)
    assert gain.high == pytest.approx(1.96 * 0.0707, abs=0.02)


def test_runs_with_other_settings_have_other_folders(tmp_path: Path) -> None:
    def folders(experiment: Experiment, **rest: Any) -> list[Path]:
        runs = ExperimentRuns(experiment=experiment, scale=FULL, out=tmp_path, **rest)
        return [runs.folder(arm, 0) for arm in experiment.runs]

    usual, cheap = folders(two()), folders(two(), programs=9)
    assert usual[0] == cheap[0]
    assert not set(usual[1:]) & set(cheap[1:])
    # Another start is another policy, so the runs that begin with it have other folders too.
    start = Arm(label="start", agent="sft", programs=101)
    assert not set(usual) & set(folders(two(starts=(start,))))
    assert not set(usual) & set(folders(two(env="CodeGym/Repair-v0")))


def test_the_report_says_what_a_sign_is_worth(tmp_path: Path) -> None:
    runs = [finished("start", 0, [0], [0]), finished("x", 0, [0], [1]), finished("y", 0, [0], [1])]
    results = {
        **findings(two(), with_null(runs, "x"), (1,)), "experiment": "two",
        "paper": "a paper", "question": "x?",
        "departures": {"rft (x)": {"lr": (1, 2)}},
        "scale": "quick", "seeds": [0], "eval_count": 1, "eval_samples": 8, "notes": ["a note"],
        "eval_tasks": "a|b",
        "env": "Others/Env-v1", "commit": "abc",
        "command": "codegym reproduce two", "versions": {"codegym": "0"},
        "machine": {"torch": "0", "threads": 1, "cores": 2, "python": "3"},
    }  # fmt: skip
    text = markdown(results)
    assert CAUTION in text and "a note" in text and "2.0 > 1.0" in text and UNDECIDED in text
    assert "of `a|b` in `Others/Env-v1`" in text
    assert "- rft (x) differs from the paper in lr=1 (2)" in text
    assert [len(table.body()) for table in tables(results).values()] == [4, 4, 2]
    plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_further_score_is_read_for_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(run: FinishedRun, uri: str, count: int) -> dict[str, Any]:
        measured.append(uri)
        return {"greedy": report([count]), "sampled": report([0])}

    monkeypatch.setattr(further_scores_module, "_measure", measure)
    run = replace(finished("x", 0, [0], [1]), folder=tmp_path)
    sets = {"one": "a"}
    assert further_scores(run, sets, 3) == further_scores(run, sets, 3)
    assert measured == ["a"]
    further_scores(replace(finished("x", 0, [0], [0]), folder=tmp_path), sets, 3)
    (tmp_path / "further_scores.json").write_text("{")
    further_scores(run, sets, 3)
    assert list(further_scores(run, {"one": "a", "two": "b"}, 3)) == ["one", "two"]
    assert measured == ["a", "a", "a", "b"]


def test_a_further_score_is_that_of_the_evaluation(tmp_path: Path) -> None:
    settings = {"agent": "sft", "programs": 2, "policy": "gpt:tiny", "tasks": "tiny?n=3",
                "eval_tasks": "tiny?n=3", "eval_count": 2, "eval_samples": 3, "max_new_tokens": 24,
                "warm_start_programs": 0, "workers": 1, "track": "none",
                "agent_settings": {"demonstrations": 2}}  # fmt: skip
    curve = train_or_read(tmp_path / "run", settings)
    assert curve is not None
    run = FinishedRun(run=ComparisonRun("x", 0, curve), folder=tmp_path / "run")
    score = further_scores(run, {"same": "tiny?n=3"}, 2)["same"]
    for kind in ("greedy", "sampled"):
        # The tasks, the seed and the policy are those of the run's last evaluation.
        assert score[kind] == curve[-1][kind]
    assert further_scores(run, {"same": "tiny?n=3"}, 2) == {"same": score}


def test_departures_name_the_agents_and_their_labels() -> None:
    experiment = ALL["critic-ablation"]
    configs = {arm.label: experiment.config(arm, FULL) for arm in experiment.runs}
    found = departures_by_label(configs)
    assert found["actor_critic (frozen)"]["critic"] == ("frozen", "synced")
    assert set(found["actor_critic (none)"]) == {"critic", "lr", "value_lr", "final_lr"}
    assert "critic" not in found["actor_critic (synced)"]
    assert any(key.startswith("sft (warm start") for key in found)
    same = {"a": configs["synced"], "b": configs["synced"] | {"seed": 1}}
    assert list(departures_by_label(same)) == ["actor_critic (a, b)"]
    paper = configs["synced"] | {"agent_settings": {}}
    assert departures_by_label({"paper": paper}) == {}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--env", "CodeGym/Synthesys-v0"], UnknownNameError),
        (["--env-arg", "turnz=3"], UnknownNameError),
        (["--env-arg", "max_tokens=0"], ConfigError),
        (["--env-arg", "turns"], ConfigError),
        (["--env", "CartPole-v1"], ConfigError),
    ],
)
def test_an_unusable_environment_is_refused_before_training(
    arguments: list[str], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch)
    shown = CliRunner().invoke(command, ["critic-ablation", *arguments, "--out", str(tmp_path)])
    assert isinstance(shown.exception, error), shown.exception
    assert not trained


def test_an_experiment_runs_in_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch)
    shown = CliRunner().invoke(
        command, ["critic-ablation", "--scale", "quick", "--env", "CodeGym/Repair-v0", "--env-arg",
                  "turns=2", "--out", str(tmp_path)]
    )  # fmt: skip
    assert shown.exit_code == 0, shown.exception
    assert {run["env"] for run in trained} == {"CodeGym/Repair-v0"}
    assert all(run["env_args"] == {"turns": 2} for run in trained)
    assert "differs from the paper in" in shown.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["command"].endswith("--env CodeGym/Repair-v0 --env-arg turns=2")
    assert all(
        f"{agent} differs from the paper in" in (tmp_path / "report.md").read_text()
        for agent in results["departures"]
    )


def test_the_list_names_every_experiment() -> None:
    for arguments in (["--list"], []):
        shown = CliRunner().invoke(command, arguments)
        assert shown.exit_code == 0 and all(name in shown.stdout for name in ALL)
    rows = json.loads(CliRunner().invoke(command, ["--list", "--json", "--seeds", "2"]).stdout)
    assert [row["name"] for row in rows] == list(ALL)
    assert rows[0]["programs"] == 2 * ALL[rows[0]["name"]].total(FULL, null=False)
    rows = json.loads(CliRunner().invoke(command, ["--list", "--json", "--seeds", "3"]).stdout)
    assert rows[0]["programs"] == 3 * ALL[rows[0]["name"]].total(FULL)


def test_an_unknown_experiment_names_the_nearest() -> None:
    result = CliRunner().invoke(command, ["rltf-ablatoin"])
    assert isinstance(result.exception, UnknownNameError)
    assert result.exception.suggestion == "rltf-ablation"


def pretend(monkeypatch: pytest.MonkeyPatch, stop_at: int = -1) -> list[dict[str, Any]]:
    """Replace training: each later run passes more tasks, and the run ``stop_at`` is stopped."""
    trained: list[dict[str, Any]] = []
    curves: dict[Path, list[dict[str, Any]]] = {}

    def train(
        path: Path, settings: dict[str, Any], *, start: ComparisonRun | None, watch: Any
    ) -> list[dict[str, Any]]:
        if path in curves:
            return curves[path]
        path.mkdir(parents=True, exist_ok=True)
        trained.append({**settings, "folder": path, "start": start and start.label})
        place = len(trained) - 1
        if place == stop_at:
            raise Interrupted(signal.SIGTERM)
        if watch is not None:
            watch(1.0)
        passed = [int(task < 10 * place) for task in range(100)]
        curves[path] = list(finished("", 0, [0] * 100, passed).run.curve)
        return curves[path]

    monkeypatch.setattr(experiment_runs, "train_or_read", train)
    monkeypatch.setattr(further_scores_module, "_measure", lambda run, uri, count: dict.fromkeys(
        ("greedy", "sampled"), report([1] * 100)))  # fmt: skip
    return trained


def test_the_command_trains_in_order_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch)
    shown = CliRunner().invoke(
        command, ["rl-from-scratch", "--seeds", "2", "--first-seed", "4", "--programs", "512",
                  "--out", str(tmp_path), "--json"]
    )  # fmt: skip
    assert shown.exit_code == 0, shown.exception
    experiment = ALL["rl-from-scratch"]
    assert [run["start"] for run in trained] == [arm.start or None for arm in experiment.runs] * 2
    assert [run["seed"] for run in trained] == [4] * 4 + [5] * 4
    assert {run["eval_samples"] for run in trained} == {8}
    assert [run["programs"] for run in trained[:4]] == [6144, 8192, 512, 512]
    assert trained[3]["policy"] == str(trained[1]["folder"] / "checkpoint")
    assert trained[4]["policy"] == "gpt:tiny"
    results = json.loads(shown.stdout)
    rl = results["arms"]["rl"]["greedy"]
    assert rl["after"]["seeds"] == [pytest.approx(0.2), pytest.approx(0.6)]
    assert rl["gap"]["mean"]["mean"] == pytest.approx(1 - 0.4)
    # "sft, then rl" passes .1 more than "rl", and as much on training tasks.
    gap = results["contrasts"][0]
    assert gap["greedy"]["seeds"] == [pytest.approx(0.1), pytest.approx(0.1)]
    assert results["command"].endswith("--seeds 2:2 --first-seed 4 --programs 512")
    assert (tmp_path / "report.md").exists() and (tmp_path / "plot.png").exists()


def test_a_stopped_run_ends_the_command_without_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch, stop_at=1)
    with pytest.raises(Interrupted) as caught:
        CliRunner().invoke(command, ["critic-ablation", "--out", str(tmp_path)])
    assert f"in {tmp_path}; continue with: codegym" in caught.value.message
    assert len(trained) == 2
    assert not (tmp_path / "results.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["critic-ablation", "rl-from-scratch"])
def test_an_experiment_is_run_once_and_then_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        SCALES, "quick", replace(QUICK, share=0.0001, imitation=0.001, eval_count=2)
    )
    arguments = [name, "--scale", "quick", "--json", "--out", str(tmp_path)]
    first = CliRunner().invoke(command, arguments)
    assert first.exit_code == 0, first.exception
    results = json.loads(first.stdout)
    arms = [*ALL[name].runs, ALL[name].null_arm]
    assert list(results["arms"]) == [arm.label for arm in arms]
    assert {"results.json", "report.md", "plot.png"} <= {path.name for path in tmp_path.iterdir()}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.jsonl")}
    assert len(written) == len(arms)
    again = json.loads(CliRunner().invoke(command, arguments).stdout)
    assert again["contrasts"] == results["contrasts"]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    shown = CliRunner().invoke(command, arguments[:3] + arguments[4:])
    assert CAUTION.split(".")[0] in shown.stdout
    assert json.loads((tmp_path / "results.json").read_text())["experiment"] == name


def test_an_arm_that_does_not_anneal_is_refused() -> None:
    arms = (
        Arm(label="x", agent="rft", settings={"final_lr": 1.0}),
        Arm(label="y", agent="rft"),
    )
    with pytest.raises(ConfigError, match="does not anneal"):
        two(starts=(), arms=arms).check()


def test_held_out_sets_of_the_experiments_hold_enough_programs() -> None:
    tasks = load_tasks(ALL["data-ablation"].eval_tasks)
    bodies = {tasks[number].canonical_solution for number in range(FULL.eval_count)}
    assert len(bodies) >= 150
    # The forms that the papers have: references, undamped, a hidden layer, a finite set.
    for name in ("rltf-ablation", "rltf-online", "rltf-temperature", "rltf-fine-penalty"):
        config = ALL[name].config(ALL[name].arms[-1], FULL)
        (phase,) = phases_of(TrainConfig.from_mapping(config))
        made = agent_config(registry.get("agents", "rltf"), phase, max_new_tokens=64)
        assert (made.supervised, made.negative_scale, made.final_lr) == ("reference", 1.0, 0.0)
        assert made.baseline == "best" and len(load_tasks(config["tasks"])) == 300
    for name in ("critic-ablation", "actor-critic-baselines"):
        assert "value_hidden" in ALL[name].policy and len(load_tasks(ALL[name].tasks)) == 300


def test_seeds_are_added_until_every_contrast_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {"start": 0.1, "x": 0.5, "y": 0.3}
    trained = by_level(monkeypatch, levels)
    runs = ExperimentRuns(experiment=two(), scale=FULL, out=tmp_path)
    progress = SeedBySeed(runs=runs, seeds=range(9), least=4)
    progress.run(Budget(1.0))
    assert progress.complete == 4 and progress.settled and len(set(trained)) == 16
    assert progress.write()["contrasts"][0]["sampled"]["verdict"] == AGREES
    # An effect of .03 with .02 of chance between the seeds stays undecided to the end.
    levels["x"] = 0.33
    trained = by_level(monkeypatch, levels, spread=0.04)
    progress = SeedBySeed(runs=runs, seeds=range(6), least=4)
    progress.run(Budget(1.0))
    assert progress.complete == 6 and progress.settled
    assert progress.figures()["contrasts"][0]["sampled"]["verdict"] == UNDECIDED
    # A budget that is spent begins no run.
    progress = SeedBySeed(runs=runs, seeds=range(6), least=4)
    assert not progress.add_seed(Budget(0.0))


def test_null_arms_are_trained_when_they_are_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch)
    experiment = two()
    runs = ExperimentRuns(experiment=experiment, scale=FULL, out=tmp_path)
    progress = SeedBySeed(runs=runs, seeds=range(4, 8), least=3)
    for _ in range(2):
        assert progress.add_seed(Budget(1.0))
    assert [run["seed"] for run in trained] == [4] * 3 + [5] * 3
    assert progress.write()["calibration"]["sampled"] is None
    assert progress.add_seed(Budget(1.0)) and progress.add_seed(Budget(1.0))
    assert [run["seed"] for run in trained[6:]] == [1004, 1005, *[6] * 3, 1006, *[7] * 3, 1007]
    # The null arm is evaluated with the draws of the others.
    assert [run["eval_seed"] for run in trained[6:8]] == [4, 5]
    results = progress.figures()
    null = experiment.null_arm.label
    assert len(results["arms"][null]["programs"]) == 4
    # A null arm's figures are in the order of the seeds, as those of its arm.
    order = [each.run.seed for each in progress.finished if each.run.label == null]
    assert order == [4, 5, 6, 7] and results["calibration"]["sampled"]["arm"] == "x"


def by_level(
    monkeypatch: pytest.MonkeyPatch, levels: dict[str, float], spread: float = 0.0
) -> list[Path]:
    """Replace training: an arm's programs pass at its level, and seeds differ by the spread."""
    trained: list[Path] = []

    def train(path: Path, settings: dict[str, Any], **rest: Any) -> list[dict[str, Any]]:
        path.mkdir(parents=True, exist_ok=True)
        trained.append(path)
        label = path.name.split("-")[0]
        if settings["agent"] == "actor_critic":
            label = settings["agent_settings"].get("critic", "synced")
        rng = np.random.default_rng([settings["seed"], len(label), ord(label[0])])
        level = levels.get(label, 0.3) + rng.normal(0.0, spread)
        passed = rng.binomial(1, np.clip(level, 0, 1), 150).tolist()
        return list(finished("", 0, [0] * 150, passed).run.curve)

    monkeypatch.setattr(experiment_runs, "train_or_read", train)
    return trained


def test_all_experiments_make_one_table_and_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The critic's sign differs from the paper's: the second setting is run.
    levels = {"synced": 0.2, "frozen": 0.6, "none": 0.6, "sft": 0.2}
    trained = by_level(monkeypatch, levels)
    monkeypatch.setattr(
        all_experiments, "checkpoint_gradients", lambda runs, seed: {"checkpoints": {}}
    )
    monkeypatch.setattr(further_scores_module, "_measure", lambda run, uri, count: dict.fromkeys(
        ("greedy", "sampled"), report([1] * 100)))  # fmt: skip
    everything = AllExperiments(
        scale=FULL, out=tmp_path, seeds=range(3), least=3, names=("critic-ablation", "sft-data")
    )
    rows = {row["finding"]: row for row in everything.run(Budget(5.0))}
    critic = rows["Gorinski: critic"]
    assert critic["verdict"] == DIFFERS and critic["effect"] == pytest.approx(-0.4, abs=0.1)
    assert critic["second"]["experiment"] == "critic-ablation-own"
    assert critic["second"]["verdict"] == DIFFERS and critic["false_sign_rate"] <= 0.07
    assert "synced minus frozen" in critic["paragraph"] and critic["seeds"] == 3
    assert rows["RLTF: online"]["verdict"] == "not run"
    assert json.loads((tmp_path / "findings.json").read_text()) == list(rows.values())
    assert "| Gorinski: critic | differs |" in (tmp_path / "findings.md").read_text()
    # A seed of each, cheapest first: sft-data costs less than the critic's ablation.
    seeds = [path.name.rpartition("-")[2] for path in trained]
    assert trained[0].name.startswith("sft") and seeds[:12] == ["0"] * 8 + ["1"] * 4
    again = everything.run(Budget(0.0))
    assert [row["verdict"] for row in again] == [row["verdict"] for row in rows.values()]


def test_policies_that_pass_nothing_show_no_absence_of_an_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = ExperimentRuns(experiment=two(), scale=FULL, out=tmp_path)
    said = []
    for level in (0.0, 1.0):
        by_level(monkeypatch, {"start": level, "x": level, "y": level})
        progress = SeedBySeed(runs=runs, seeds=range(4), least=4)
        progress.run(Budget(1.0))
        said.append(progress.figures()["contrasts"][0]["sampled"]["verdict"])
    assert said == [UNDECIDED, NO_EFFECT]


@pytest.mark.parametrize(
    "more", [["rltf-ablation"], ["--mechanism"], ["--env", "CodeGym/Repair-v0"]]
)
def test_all_refuses_what_it_would_leave_aside(more: list[str]) -> None:
    shown = CliRunner().invoke(command, ["--all", *more])
    assert isinstance(shown.exception, ConfigError) and "leave" in str(shown.exception)


@pytest.mark.parametrize("text", ["", "0", "4:2", "6:", ":6", "a:b"])
def test_unusable_numbers_of_seeds_are_refused(text: str) -> None:
    shown = CliRunner().invoke(command, ["critic-ablation", "--seeds", text])
    assert shown.exit_code == 2 and "MIN:MAX" in shown.stderr
