"""Plans of tasks: kept for the next program, within bounds."""

import pytest

from codegym import Task
from codegym.grading import run_plan


def task(size: int) -> Task:
    return Task.from_stdio("", [("x" * size, "y")])


def test_a_plan_is_made_once_for_all_programs_of_a_task() -> None:
    mine = task(10)
    assert run_plan.plan_for(mine) is run_plan.plan_for(mine)


def test_the_plans_of_large_tasks_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_plan, "KEPT_BYTES", 10_000)
    tasks = [task(3000) for _ in range(20)]
    plans = [run_plan.plan_for(each) for each in tasks]
    assert run_plan.kept_plans() <= 3
    assert run_plan.plan_for(tasks[-1]) is plans[-1]
    assert run_plan.plan_for(tasks[0]) is not plans[0]


def test_the_plan_of_a_task_above_the_bound_is_kept_until_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_plan, "KEPT_BYTES", 100)
    large = task(3000)
    assert run_plan.plan_for(large) is run_plan.plan_for(large)
    run_plan.plan_for(task(10))
    assert run_plan.kept_plans() == 1
