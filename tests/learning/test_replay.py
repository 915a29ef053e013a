"""The replay buffer: first in first out, its bound, and which programs are the same."""

from dataclasses import replace

import numpy as np
import pytest

from codegym.errors import ConfigError
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.replay import Experience, ReplayBuffer, program_key, weighted_batch
from codegym.trajectory import Batch, Trajectory


def episode(
    number: int, program: str = "", *, task: str = "t", finished: bool = True
) -> Trajectory:
    three = np.full(3, number, dtype=np.float32)
    return Trajectory(
        task_id=task, prompt=np.array([1, 2]), actions=np.array([number, 4, 5]), log_probs=three,
        values=three, reward=float(number), credit=three, finished=finished,
        program=program or f"x = {number}", policy_version=number,
        verdict=Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)]),
    )  # fmt: skip


def push(buffer: ReplayBuffer, trajectory: Trajectory) -> bool:
    return buffer.push(trajectory, np.zeros(3, dtype=np.float32))


def test_the_oldest_leave_first_and_the_bound_is_kept() -> None:
    buffer = ReplayBuffer(3)
    for number in range(5):
        push(buffer, episode(number))
        assert len(buffer) <= 3
    assert [entry.policy_version for entry in buffer.entries] == [2, 3, 4]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("x = 1", "x  =  1  # one\n", True),
        ("def f(a):\n    return a", "def f(a):\n\n        return a\n", True),
        ("x = 1", "x = 2", False),
        ("x = 1", "y = 1", False),
        ("x = (", "x = ( ", False),
        ("x = 1", "x = '1'", False),
    ],
)
def test_programs_are_the_same_by_their_syntax_tree(left: str, right: str, same: bool) -> None:
    assert (program_key("t", left) == program_key("t", right)) == same
    assert program_key("t", left) != program_key("u", left)
    buffer = ReplayBuffer(9, distinct=True)
    assert push(buffer, episode(1, left))
    assert push(buffer, episode(2, right)) != same
    assert len(buffer) == (1 if same else 2)


def test_what_has_left_may_come_again() -> None:
    buffer = ReplayBuffer(1, distinct=True)
    assert push(buffer, episode(1, "x = 1"))
    assert push(buffer, episode(2, "x = 2"))
    assert push(buffer, episode(3, "x = 1"))


def test_a_cut_program_did_not_pass() -> None:
    assert Experience.of(episode(1)).passed
    assert not Experience.of(episode(1, finished=False)).passed


def test_the_outcome_is_the_gravest() -> None:
    cases = [CaseResult(outcome=Outcome.FAILED), CaseResult(outcome=Outcome.RUNTIME_ERROR)]
    crashed = replace(episode(1), verdict=Verdict.from_cases(cases))
    assert Experience.of(crashed).outcome is Outcome.RUNTIME_ERROR
    assert Experience.of(replace(crashed, verdict=None)).outcome is None


def test_samples_are_different_entries_and_states_are_restored() -> None:
    buffer, again = ReplayBuffer(8, distinct=True), ReplayBuffer(8, distinct=True)
    for number in range(6):
        push(buffer, episode(number))
    again.load_state_dict(buffer.state_dict())
    drawn = [queue.sample(np.random.default_rng(1), 4) for queue in (buffer, again)]
    assert [entry.reward for entry in drawn[0]] == [entry.reward for entry in drawn[1]]
    assert len({entry.reward for entry in drawn[0]}) == 4
    assert len(buffer.sample(np.random.default_rng(0), 99)) == 6
    assert not push(again, episode(3))
    with pytest.raises(ConfigError, match="needs room"):
        ReplayBuffer(0)


def test_passing_programs_are_drawn_alone() -> None:
    buffer = ReplayBuffer(8)
    for number in range(6):
        push(buffer, episode(number, finished=number % 2 == 0))
    drawn = buffer.sample_passing(np.random.default_rng(0), 2)
    assert len(drawn) == 2 and all(entry.reward % 2 == 0 for entry in drawn)
    assert len(buffer.sample_passing(np.random.default_rng(0), 9)) == 3
    assert ReplayBuffer(1).sample_passing(np.random.default_rng(0), 9) == []


def test_weights_become_a_column_without_what_the_environment_wrote() -> None:
    weights = np.array([0.5, -1.0, 2.0], dtype=np.float32)
    chosen = np.array([True, False, True])
    long = replace(
        episode(1), actions=np.array([1, 2, 3, 4]), log_probs=np.zeros(4, dtype=np.float32),
        values=np.zeros(4, dtype=np.float32), credit=np.zeros(4, dtype=np.float32),
    )  # fmt: skip
    entries = [
        Experience.of(replace(episode(1), chosen=chosen), weights),
        Experience.of(long, np.ones(4, dtype=np.float32)),
    ]
    batch = weighted_batch(entries, pad_id=0)
    assert batch.columns["weights"].tolist() == [[0.5, 0.0, 2.0, 0.0], [1.0] * 4]
    assert batch.credit[0].tolist() == [1.0, 1.0, 1.0, 0.0], "credit is kept beside them"


def test_everything_learning_needs_is_in_the_state() -> None:
    buffer, again = ReplayBuffer(8), ReplayBuffer(8)
    chosen = np.array([True, False, True])
    push(buffer, replace(episode(1), temperature=0.6, chosen=chosen))
    buffer.push(replace(episode(2), verdict=None), np.full(3, 0.5, dtype=np.float32))
    again.load_state_dict(buffer.state_dict())
    for left, right in zip(buffer.entries, again.entries, strict=True):
        for name in left.__slots__:
            np.testing.assert_equal(getattr(left, name), getattr(right, name))
    batch = Batch.from_trajectories(again.entries, pad_id=0)
    assert batch.temperatures.tolist() == pytest.approx([0.6, 1.0])
    assert batch.mask.tolist() == [[True, False, True], [True] * 3]


def test_what_was_allowed_goes_through_the_buffer_and_its_state() -> None:
    buffer, again = ReplayBuffer(8), ReplayBuffer(8)
    masks = np.arange(6, dtype=np.uint8).reshape(3, 2)
    push(buffer, replace(episode(1), masks=masks))
    push(buffer, episode(2))
    again.load_state_dict(buffer.state_dict())
    for entries in (buffer.entries, again.entries):
        batch = Batch.from_trajectories(entries, pad_id=0)
        assert batch.masks is not None
        assert (batch.masks[0] == masks).all()
        assert (batch.masks[1] == 255).all()
