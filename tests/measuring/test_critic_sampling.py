"""Critic sampling: beginnings of programs, refined tasks, and the number of programs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.errors import ConfigError
from codegym.grading.judge import Judge
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic
from codegym.measuring.critic_sampling import beginnings, critic_sampling, passes_visible
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.rollout.environments import make_env
from codegym.sandbox import make_sandbox
from codegym.sources.task_list import TaskList
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

TASKS = [
    Task.from_calls("def f(x):\n", "f", [((1,), 2), ((2,), 3), ((3,), 4)], task_id=name)
    for name in ("a", "b")
]
PASS, FAIL = CaseResult(outcome=Outcome.PASSED), CaseResult(outcome=Outcome.FAILED)


def tiny() -> GPTPolicy:
    shape = GPTConfig(d_model=16, n_layers=1, n_heads=1, max_tokens=96)
    return GPTPolicy(registry.get("tokenizers", "lexemes")(), shape, seed=0)


def written(actions: list[int], cases: list[CaseResult]) -> Trajectory:
    nothing = np.zeros(len(actions), dtype=np.float32)
    return Trajectory(
        task_id="t", prompt=np.array([5]), actions=np.array(actions), log_probs=nothing,
        values=nothing, reward=0.0, credit=nothing, finished=True, program="",
        verdict=Verdict.from_cases(cases),
    )  # fmt: skip


class TableCritic(OutcomeCritic):
    """A critic that reads the chance of a pass from a table, by first token and position."""

    def __init__(self, table: dict[int, list[float]]) -> None:
        self.table = table

    def shares(self, episodes: Any) -> torch.Tensor:
        width = max(len(episode.actions) for episode in episodes)
        shares = torch.zeros(len(episodes), width, len(CLASSES))
        for row, episode in enumerate(episodes):
            # Padding has the highest probability: it must not be chosen.
            shares[row, :, 0] = 1.0
            chances = torch.tensor(self.table[int(episode.actions[0])])
            shares[row, : len(chances), 0] = chances
        return shares


def test_the_last_test_is_never_shown() -> None:
    assert passes_visible(Verdict.from_cases([PASS, PASS, FAIL]), 2)
    assert not passes_visible(Verdict.from_cases([PASS, FAIL, PASS]), 2)
    assert passes_visible(Verdict.from_cases([PASS, FAIL]), 9)
    assert not passes_visible(Verdict.from_cases([PASS]), 2)


def test_programs_that_pass_visible_tests_are_refined_from_before_the_peak() -> None:
    critic = TableCritic({10: [0.1, 0.2, 0.7, 0.3], 20: [0.9, 0.1], 30: [0.2, 0.8, 0.1]})
    programs = [
        written([10, 11, 12, 13], [PASS, FAIL]),
        written([20, 21], [FAIL, FAIL]),  # the surest, but it fails the visible test
        written([30, 31, 32], [PASS, PASS]),
        written([30, 31, 32], [PASS, PASS]),
    ]
    begun, refines = beginnings(critic, programs, visible=1, seeds=2)
    assert refines and begun == [[30], [10, 11]]


def test_where_none_passes_the_surest_are_repaired() -> None:
    critic = TableCritic({10: [0.1, 0.2, 0.7, 0.3], 20: [0.1, 0.9]})
    programs = [written([10, 11, 12, 13], [FAIL, FAIL]), written([20, 21], [FAIL, FAIL])]
    begun, refines = beginnings(critic, programs, visible=1, seeds=1)
    assert not refines and begun == [[20]]


def environment(policy: GPTPolicy, env_id: str = "CodeGym/Synthesis-v0", **rest: Any) -> Any:
    return make_env(env_id, policy, tasks=TaskList(TASKS), reward="pass_rate", budget=6, **rest)


def test_both_sides_write_as_many_programs() -> None:
    policy = tiny()
    critic = OutcomeCritic(policy, hidden=8, seed=0)
    settings: dict[str, Any] = {"n": 5, "ks": (1, 5)}
    with make_sandbox(workers=1) as sandbox:
        env = environment(policy, judge=Judge(sandbox))
        compared = critic_sampling(policy, critic, TASKS, env=env, **settings)
        again = critic_sampling(policy, critic, TASKS, env=env, **settings)
    for side, other in ((compared.plain, again.plain), (compared.guided, again.guided)):
        assert (side.rows, side.pass_at, side.outcomes) == (
            other.rows,
            other.pass_at,
            other.outcomes,
        )
    for side in (compared.plain, compared.guided):
        assert sum(side.outcomes.values()) == 10 and side.n == 5
        assert [row["task_id"] for row in side.rows] == ["a", "b"]
        assert list(side.pass_at) == [1, 5]
    assert compared.to_json()["gains"]["5"]["mean"] == compared.gains[5].mean


def test_the_second_half_begins_where_the_critic_says() -> None:
    policy = tiny()
    judged: list[str] = []

    def judge(pairs: Any) -> list[Verdict]:
        judged.extend(program for program, _ in pairs)
        return [Verdict.from_cases([FAIL, FAIL])] * len(pairs)

    class ThirdToken(OutcomeCritic):
        """A critic that expects a pass at the third token, or the last of a shorter program."""

        def __init__(self) -> None: ...

        def shares(self, episodes: Any) -> torch.Tensor:
            width = max(len(episode.actions) for episode in episodes)
            shares = torch.zeros(len(episodes), width, len(CLASSES))
            shares[:, :3, 0] = torch.arange(1, 4)[:width]
            return shares

    env = environment(policy, judge=Judge(stand_in=judge))
    report = critic_sampling(policy, ThirdToken(), TASKS, env=env, n=2, seeds=1, seed=1)
    assert report.refined == 0.0
    first, guided = judged[:2], judged[-2:]
    for task, before, after in zip(TASKS, first, guided, strict=True):
        ids = policy.tokenizer.encode(before.removeprefix(task.prompt))
        assert len(ids) >= 2
        assert after.startswith(task.prompt + policy.tokenizer.decode(ids[:2]))
        assert after != before


def test_what_cannot_be_measured_is_refused() -> None:
    policy = tiny()
    critic = OutcomeCritic(policy, hidden=8, seed=0)
    judge = Judge(stand_in=lambda pairs: [Verdict.from_cases([FAIL])] * len(pairs))
    env = environment(policy, judge=judge)
    for wrong in ({"n": 1, "ks": (1,)}, {"n": 5, "ks": (6,)}, {"n": 5, "visible": 0}):
        with pytest.raises(ConfigError):
            critic_sampling(policy, critic, TASKS, env=env, **wrong)  # type: ignore[arg-type]
    repair = environment(policy, "CodeGym/Repair-v0", judge=judge)
    for unusable in (repair, None):
        with pytest.raises(ConfigError, match="one program per episode"):
            critic_sampling(policy, critic, TASKS, env=unusable, n=2)


def test_a_critic_is_saved_with_the_weights_it_reads() -> None:
    policy = tiny()
    critic = OutcomeCritic(policy, hidden=8, seed=0)
    programs = [written([10, 11, 12], [PASS]), written([20, 21], [FAIL])]
    before = critic.shares(programs)
    with torch.no_grad():
        for weight in policy.module.parameters():
            weight.add_(0.1)
    policy.mark_updated()
    assert torch.equal(critic.shares(programs), before)
    assert torch.equal(
        OutcomeCritic.from_state(critic.state_dict(), policy).shares(programs), before
    )


def test_a_run_without_a_critic_is_refused(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from codegym.cli.eval import command

    tiny().save(tmp_path / "policy")
    done = CliRunner().invoke(command, [str(tmp_path / "policy"), "--critic-sampling", "--n", "2"])
    assert isinstance(done.exception, ConfigError) and "keeps no critic" in str(done.exception)
