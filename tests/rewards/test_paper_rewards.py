"""The rewards of the papers, term by term, against numbers worked out by hand."""

import numpy as np
import pytest

from codegym.checks.check_reward import check_reward
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.rewards import make_reward

P, F, E = Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR
SYNTAX = Verdict.syntax_error(n_cases=4, error_type="SyntaxError", message="invalid", line=1)
LINE = Feedback(granularity=Granularity.LINE, lines=(2, 2), tokens=(1, 3), n_tokens=5)


def cases(*outcomes: Outcome) -> Verdict:
    return Verdict.from_cases([CaseResult(outcome=outcome) for outcome in outcomes])


PROGRAMS = [cases(P, P, P, P), cases(P, P, F, F), cases(F, F, F, F), cases(P, P, P, E),
            cases(E, E, E, E), SYNTAX]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "values", "fault"),
    [
        ("rltf", [1, 0.35, -0.3, -0.6, -0.6, -1], -0.75),
        ("rltf(adaptive=false)", [1, -0.3, -0.3, -0.6, -0.6, -1], -0.75),
        ("rltf(coarse=false)", [1, 0.35, -0.3, 0, 0, 0], -0.75),
        ("rltf(coarse=false, adaptive=false)", [0, 0, 0, 0, 0, 0], -0.75),
        ("rltf(coarse=false, adaptive=false, fine=0)", [0, 0, 0, 0, 0, 0], 0.0),
        ("rltf(coarse=false, adaptive=false, alpha=false)", [0, 0, 0, 0, 0, 0], -0.3),
        # sparse * [all pass] + complete * share
        ("gorinski", [1, 0.25, 0, 0.375, 0, 0], 0.0),
        ("gorinski(sparse=1, complete=0)", [1, 0, 0, 0, 0, 0], 0.0),
        ("gorinski(sparse=0, complete=2)", [2, 1, 0, 1.5, 0, 0], 0.0),
        ("gorinski(sparse=-2, complete=1)", [-1, 0.5, 0, 0.75, 0, 0], 0.0),
    ],
)
def test_each_term_can_be_switched_off(text: str, values: list[float], fault: float) -> None:
    reward = make_reward(text)
    assert [reward(verdict) for verdict in PROGRAMS] == pytest.approx(values)
    assert reward.low <= min(values) and max(values) <= reward.high
    fine = reward.fine(PROGRAMS[4], LINE)
    np.testing.assert_allclose(fine, [0, fault, fault, 0, 0], rtol=1e-6)
    again = make_reward(repr(reward))
    assert [again(verdict) for verdict in PROGRAMS] == pytest.approx(values)
    check_reward(reward)


def test_three_passes_and_a_crash_are_worth_more_than_four_wrong_answers() -> None:
    reward = make_reward("gorinski")
    assert reward(cases(P, P, P, E)) > reward(cases(F, F, F, F))


def test_bounds_without_terms() -> None:
    for text, low, high in (
        ("rltf", -1, 1), ("rltf(coarse=false)", -0.3, 1),
        ("rltf(coarse=false, adaptive=false)", 0, 0), ("gorinski", 0, 1),
        ("gorinski(sparse=-2, complete=1)", -1, 1),
    ):  # fmt: skip
        reward = make_reward(text)
        assert (reward.low, reward.high) == (low, high)
