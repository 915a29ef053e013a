"""A policy whose log-probabilities are its weights, so that gradients can be worked out by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from codegym.checks.symbol_world import SymbolTokenizer
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.policies.uniform import UniformPolicy
from codegym.policy import Evaluation
from codegym.trajectory import Batch, Trajectory


class Table(nn.Module):
    """(R, T) log-probabilities and values."""

    def __init__(self, log_probs: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.log_probs, self.values = nn.Parameter(log_probs), nn.Parameter(values)


class TablePolicy(UniformPolicy):
    """Row r of the table belongs to the program whose prompt is the id 2 + r.

    Attributes:
        gradient: (R, T) of the log-probabilities, summed over all steps.
        value_gradient: (R, T) of the values.
        asked: (B,) temperatures of each call of ``evaluate``.
    """

    def __init__(self, log_probs: Sequence[Sequence[float]]) -> None:
        super().__init__(SymbolTokenizer(), seed=0)
        table = torch.tensor(log_probs)
        self._table = Table(table, torch.zeros_like(table))
        self.gradient, self.value_gradient = torch.zeros_like(table), torch.zeros_like(table)
        self.asked: list[list[float]] = []
        self._table.log_probs.register_hook(self.gradient.add_)
        self._table.values.register_hook(self.value_gradient.add_)

    @property
    def module(self) -> Table:  # type: ignore[override]
        return self._table

    def value_parameters(self) -> list[nn.Parameter]:
        return [self._table.values]

    def evaluate(
        self, batch: Batch, *, temperature: float | NDArray[np.float32] = 1.0
    ) -> Evaluation:
        rows, width = torch.from_numpy(batch.tokens[:, 0] - 2), batch.mask.shape[1]
        mask = torch.from_numpy(batch.mask)
        self.asked.append(np.broadcast_to(temperature, (len(batch),)).tolist())
        log_probs = self._table.log_probs[rows, :width] * mask
        return Evaluation(
            log_probs=log_probs,
            entropy=0.5 * mask,
            values=self._table.values[rows, :width] * mask,
            hidden=log_probs[..., None],
        )


def verdict_of(passed: int, total: int, outcome: Outcome = Outcome.FAILED) -> Verdict:
    """Return the verdict of a program that passes some of its tests."""
    cases = [CaseResult(outcome=Outcome.PASSED)] * passed
    return Verdict.from_cases(cases + [CaseResult(outcome=outcome)] * (total - passed))


def make_program(
    reward: float = 0.0,
    *,
    row: int = 0,
    length: int = 2,
    task: str = "t",
    old_log_probs: Sequence[float] | None = None,
    values: Sequence[float] | None = None,
    fine: Sequence[float] | None = None,
    chosen: Sequence[bool] | None = None,
    verdict: Verdict | None = None,
    tokens: tuple[int, int] = (0, 0),
    finished: bool = True,
    greedy: bool = False,
    temperature: float = 1.0,
    text: str = "b",
) -> Trajectory:
    """Return an episode of so many tokens that earns a reward, and a fine weight on each token."""
    nothing = np.zeros(length, dtype=np.float32)
    credit = nothing if fine is None else np.array(fine, dtype=np.float32) / np.float32(length)
    credit = credit.copy()
    credit[-1] += reward
    return Trajectory(
        task_id=task,
        prompt=np.array([2 + row]),
        actions=np.array([3] * (length - 1) + [1]),
        log_probs=nothing if old_log_probs is None else np.array(old_log_probs, dtype=np.float32),
        values=nothing if values is None else np.array(values, dtype=np.float32),
        reward=reward,
        credit=credit,
        finished=finished,
        program=text,
        verdict=verdict,
        feedback=Feedback(
            granularity=Granularity.LINE if tokens != (0, 0) else Granularity.IGNORE,
            tokens=tokens,
            n_tokens=length,
        ),
        chosen=None if chosen is None else np.array(chosen),
        greedy=greedy,
        temperature=temperature,
    )


@pytest.fixture
def table() -> Callable[[Sequence[Sequence[float]]], TablePolicy]:
    """Make a TablePolicy from its log-probabilities."""
    return TablePolicy


@pytest.fixture
def program() -> Callable[..., Trajectory]:
    """Make an episode; see ``make_program``."""
    return make_program


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    """Make a verdict; see ``verdict_of``."""
    return verdict_of
