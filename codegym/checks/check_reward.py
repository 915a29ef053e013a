"""check_reward: tests that a reward is pure, within its bounds and credited to the right tokens."""

from collections.abc import Iterator
from math import isfinite

import numpy as np

from codegym.errors import ConformanceError
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.rewards.reward import Reward
from codegym.tasks.task import Task

_CASES = 3


def check_reward(reward: type[Reward] | Reward) -> None:
    """Run a reward through its contract, over every outcome and kind of feedback.

    Args:
        reward: A reward, or a class that can be made without arguments.

    Raises:
        ConformanceError: The contract is violated; the message says how.
    """
    checked = reward() if isinstance(reward, type) else reward
    _claim(isinstance(checked, Reward), "a reward is a Reward", checked)
    _claim(checked.low <= checked.high, "low is not above high", (checked.low, checked.high))
    task = Task.from_calls(
        "def f(x):\n", "f", [((1,), 1)], canonical_solution="    y = x\n    return y\n"
    )
    for program in ("", "def f(x):\n    y = x\n    return y\n", "def f(x:\n", "x = (\n" * 3):
        bound = checked.bind(task, program)
        _claim(isinstance(bound, Reward), "bind returns a Reward", bound)
        for verdict in verdicts():
            for feedback in feedbacks():
                _check_price(checked, bound, verdict, feedback)


def _check_price(checked: Reward, bound: Reward, verdict: Verdict, feedback: Feedback) -> None:
    where = (str(verdict.outcome), str(feedback.granularity), feedback.n_tokens)
    value = bound(verdict, feedback)
    _claim(isinstance(value, float) and isfinite(value), "a reward is a finite float", value)
    slack = 1e-9
    inside = checked.low - slack <= value <= checked.high + slack
    _claim(inside, "low <= reward <= high", (value, checked.low, checked.high, where))
    _claim(bound(verdict, feedback) == value, "the same verdict earns the same", where)
    fine = bound.fine(verdict, feedback)
    tokens = bound.credit(verdict, feedback)
    for name, array in (("fine", fine), ("tokens", tokens)):
        _claim(array.shape == (feedback.n_tokens,), f"{name} has a number for each token", where)
        _claim(array.dtype == np.float32, f"{name} is float32", array.dtype)
        _claim(bool(np.isfinite(array).all()), f"{name} is finite", array)
    if feedback.n_tokens:
        expected = value + float(fine.mean())
        close = abs(float(tokens.sum()) - expected) <= 1e-4 * max(1.0, abs(expected))
        _claim(close, "tokens sum to the reward plus the mean fine weight", where)
    again = bound.credit(verdict, feedback)
    _claim(bool((again == tokens).all()), "the same verdict credits the same tokens", where)


def verdicts() -> Iterator[Verdict]:
    """Yield a verdict of each outcome, and verdicts of programs that pass some tests."""
    ended = [
        outcome for outcome in Outcome if outcome not in (Outcome.SYNTAX_ERROR, Outcome.NO_PROGRAM)
    ]
    for outcome in ended:
        for passed in range(_CASES):
            results = [CaseResult(outcome=Outcome.PASSED)] * passed
            results += [CaseResult(outcome=outcome, error_line=2)] * (_CASES - passed)
            yield Verdict.from_cases(results)
            yield Verdict.from_cases(results).as_cut()
    yield Verdict.syntax_error(
        n_cases=_CASES, error_type="SyntaxError", message="invalid syntax", line=2
    )
    yield Verdict.no_program(n_cases=_CASES)


def feedbacks() -> Iterator[Feedback]:
    """Yield feedback of each kind, for programs of a single token and of many."""
    for count in (1, 40):
        yield Feedback(granularity=Granularity.GLOBAL, tokens=(0, count), n_tokens=count)
        yield Feedback(granularity=Granularity.IGNORE, n_tokens=count)
        yield Feedback(granularity=Granularity.LINE, lines=(2, 2), n_tokens=count)
        yield Feedback(
            granularity=Granularity.LINE, lines=(2, 2), tokens=(count // 2, count), n_tokens=count
        )
    yield Feedback(granularity=Granularity.IGNORE, n_tokens=0)


def _claim(holds: bool, promise: str, value: object) -> None:
    if not holds:
        raise ConformanceError(f"broken: {promise}", value=value)
