"""Hidden tests: the gap counts programs that pass what they are shown and nothing more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import codegym
from codegym.checks.check_source import check_source
from codegym.grading.judge import judge
from codegym.measuring.evaluation import report_on
from codegym.measuring.hidden_tests import hidden_gap, passes_hidden
from codegym.measuring.kept_programs import regrade
from codegym.pages.run_page import gap_chart
from codegym.sandbox import make_sandbox
from codegym.sources import load_tasks
from codegym.synthesis.composition import read_key
from codegym.synthesis.rivals import chosen_cases, kills
from codegym.tasks.task import Task, TestSuite
from codegym.tasks.unpassable import reasons
from codegym.trajectory import Trajectory

WEAK = "composites?domain=small&depth=2&split=train&hidden=16&tests=2"
PROMPT = "def f(x):\n"


def task(name: str, *, hidden: bool = True) -> Task:
    more = TestSuite.of_calls([((3,), 6), ((0,), 0)]) if hidden else None
    return replace(Task.from_calls(PROMPT, "f", [((2,), 4)], task_id=name), hidden_tests=more)


def episode(task: Task, body: str) -> Trajectory:
    nothing = np.zeros(1, dtype=np.float32)
    return Trajectory(
        task_id=task.task_id, prompt=np.zeros(1, dtype=np.int64),
        actions=np.zeros(1, dtype=np.int64), log_probs=nothing, values=nothing, reward=0.0,
        credit=nothing, finished=True, program=body, verdict=judge(body, task),
    )  # fmt: skip


def test_the_gap_counts_programs_that_pass_the_visible_tests_alone() -> None:
    shown, open_task = task("shown"), task("open", hidden=False)
    bodies = ["    return x + x\n", "    return x * x\n", "    return 4\n", "    return 5\n"]
    episodes = [episode(shown, body) for body in bodies] + [episode(open_task, bodies[1])]
    found = passes_hidden(episodes, [shown, open_task])
    assert found == [True, False, False, False, None]
    # Three of four pass the visible test, one of four the hidden tests as well.
    assert hidden_gap(episodes, [shown, open_task]) == pytest.approx(0.5)
    assert hidden_gap(episodes[4:], [open_task]) is None
    both = [*episodes[:4], *[episodes[4]] * 4]
    report = report_on(["shown", "open"], both, n=4, ks=(1,), hidden=[*found[:4], *[None] * 4])
    assert report.rows[0]["hidden_passed"] == 1 and "hidden_passed" not in report.rows[1]
    assert report.hidden_gap is not None and report.hidden_gap.mean == pytest.approx(0.5)


def test_kept_programs_hold_their_hidden_tests_and_are_judged_again_by_them(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(f"{task('shown')}\n")
    bodies = ["    return x + x\n", "    return x * x\n", "    return 5\n"]
    episodes = [episode(task("shown"), body) for body in bodies]
    found = passes_hidden(episodes, [task("shown")])
    report = report_on(["shown"], episodes, n=3, ks=(1,), hidden=found, tasks=f"jsonl:{file}")
    rows = list(report.programs)
    assert [row["passed_hidden"] for row in rows] == [True, False, False]
    with make_sandbox() as sandbox:
        assert not any(each.difference for each in regrade(rows, sandbox=sandbox))
        rows[1] = {**rows[1], "passed_hidden": True}
        again = regrade(rows, sandbox=sandbox)
    assert [each.difference for each in again] == ["", "hidden tests: passed became failed", ""]


def test_hidden_tests_are_checked_with_the_tests(tmp_path: Path) -> None:
    wrong = TestSuite.of_calls([((3,), 6), ((3,), 7)])
    both = replace(task("a"), hidden_tests=wrong, canonical_solution="    return x + x\n")
    [reason] = reasons(both)
    assert reason.startswith("hidden tests: ") and "different results" in reason
    file = tmp_path / "tasks.jsonl"
    file.write_text(f"{replace(both, hidden_tests=TestSuite.of_calls([((3,), 7)]))}\n")
    assert check_source(f"jsonl:{file}").broken["a"].startswith("hidden tests: ")


def test_a_runs_page_charts_the_gap() -> None:
    rate = {"mean": 0.5, "low": 0.25, "high": 0.75}
    curve = [
        {"programs": at, **{kind: {"hidden_gap": gap} for kind in ("greedy", "sampled")}}
        for at, gap in ((0, rate), (512, rate))
    ]
    chart = gap_chart(curve, [{"programs": 256, "hidden_gap": 0.1}], 0.0, "thousand programs")
    assert "held-out, sampled" in chart and "training" in chart
    assert not gap_chart([{"programs": 0, "greedy": {}, "sampled": {}}], [], 0.0, "x")


def test_tasks_keep_their_hidden_tests_in_a_file() -> None:
    assert Task.from_json(task("a").to_json()) == task("a")
    assert "hidden_tests" not in task("a", hidden=False).to_json()
    with pytest.raises(codegym.errors.TaskError, match="hidden_tests"):
        replace(task("a"), hidden_tests="assert f(2) == 4")  # type: ignore[arg-type]


def test_the_choice_of_tests_changes_the_tests_and_nothing_else() -> None:
    weak, drawn, strong = (
        load_tasks(f"{WEAK}&choice={name}") for name in ("weak", "drawn", "strong")
    )
    killed = {"weak": 0.0, "drawn": 0.0, "strong": 0.0}
    for number in range(20):
        tasks = [weak[number], drawn[number], strong[number]]
        assert len({each.prompt for each in tasks}) == 1
        assert len({each.canonical_solution for each in tasks}) == 1
        assert tasks[0].hidden_tests == tasks[1].hidden_tests == tasks[2].hidden_tests
        for name, each in zip(killed, tasks, strict=True):
            assert len(each.tests) == 2 and len(each.hidden_tests or ()) == 16
            killed[name] += share_killed(each, weak.config)
    assert killed["weak"] < killed["drawn"] - 2 and killed["drawn"] + 1 < killed["strong"]


def share_killed(each: Task, config: object) -> float:
    cases = [(case.args, case.expected) for case in (*each.tests.cases, *each.hidden_tests.cases)]
    composition = read_key(each.metadata["key"])
    table = kills(composition, tuple(each.metadata["parameters"]), cases, config.space)
    return float(table[:, :2].any(axis=1).mean())


@pytest.mark.parametrize("rest", ["hidden=16&tests=20", "choice=weak", "hidden=16&choice=week"])
def test_unusable_choices_are_refused(rest: str) -> None:
    with pytest.raises(codegym.errors.CodegymError):
        load_tasks(f"composites?domain=small&depth=2&{rest}")


def test_a_run_measures_the_gap(tmp_path: Path) -> None:
    report = codegym.train(
        agent="rft", policy="gpt:tiny", warm_start_programs=0, updates=1, tasks=WEAK,
        eval_tasks=WEAK, eval_count=2, eval_samples=3, curve_points=0, track="none", workers=1,
        agent_settings={"tasks": 2, "samples": 2}, out=tmp_path / "run",
    )  # fmt: skip
    row = report.curve[-1]["sampled"]
    assert row["n"] == 3 and row["hidden_gap"]["mean"] == 0.0
    assert row["rows"][0]["hidden_passed"] == 0 and "." in row["rows"][0]["cluster"]
    assert report.summary is not None
    assert report.summary["sampled"]["hidden_gap_after"] == row["hidden_gap"]
    assert '"hidden_gap": 0.0' in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_strong_tests_are_not_strong_in_the_same_way() -> None:
    composition, parameters = read_key("keep_above.keep_odd"), ({"k": 4}, {})
    run = composition.bind(parameters)
    space = load_tasks(WEAK).config.space
    inputs = [([3, 6, 7, 8, 9, 9],), ([3, 6, 7, 8, 9, 9],), ([5, 11, 13],), ([],)]
    cases = [(values, run(*values)) for values in inputs]
    table = kills(composition, parameters, cases, space)
    # The second case kills what the first kills, the third something else, the last little.
    assert (table[:, 0] == table[:, 1]).all() and (table[:, 2] & ~table[:, 0]).any()
    chosen = chosen_cases(composition, parameters, cases, space, 2)
    assert chosen["drawn"] == [0, 1] and 3 in chosen["weak"]
    assert chosen["strong"] in ([0, 2], [1, 2])
