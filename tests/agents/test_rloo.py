"""RLOO's baseline, loss and gradient against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from codegym import registry


def update(policy: Any, programs: Any, **settings: Any) -> dict[str, float]:
    cls = registry.get("agents", "rloo")
    agent = cls(policy, cls.config_class(**{"lr": 1e-3} | settings), seed=1)
    return agent.update(programs)


def test_each_program_is_compared_with_the_others(table: Any, program: Any) -> None:
    # Task t earns 1, 0, 0: advantages 1 - 0, 0 - 1/2, 0 - 1/2; the program of task u has no others.
    # L = - sum_i A_i sum_t log p / 4 programs, so a token of program i has the gradient -A_i / 4.
    policy = table([[-1.0, -2.0], [-1.0, -1.0], [-3.0, -1.0], [-1.0, -1.0]])
    rewards = [(1.0, "t"), (0.0, "t"), (0.0, "t"), (7.0, "u")]
    rows = [program(r, row=i, task=task) for i, (r, task) in enumerate(rewards)]
    metrics = update(policy, rows)
    expected = [[-0.25] * 2, [0.125] * 2, [0.125] * 2, [0.0] * 2]
    np.testing.assert_allclose(policy.gradient, expected)
    # -(1 * -3 - 1/2 * -2 - 1/2 * -4) / 4 = 0
    assert metrics["loss"] == pytest.approx(0.0)
    assert metrics["used_share"] == 0.75


def test_small_divides_by_the_root_mean_square_and_by_tokens(table: Any, program: Any) -> None:
    # Advantages 1 and -1 over 2 and 4 tokens: the root mean square is 1; 6 tokens.
    policy = table([[-1.0, -1.0, 0, 0], [-1.0] * 4])
    update(
        policy,
        [program(1.0, row=0), program(0.0, row=1, length=4)],
        average="token",
        standardise=True,
    )
    expected = [[-1 / 6, -1 / 6, 0, 0], [1 / 6] * 4]
    np.testing.assert_allclose(policy.gradient, expected, rtol=1e-5)


def test_what_the_environment_wrote_has_no_gradient(table: Any, program: Any) -> None:
    policy = table([[-1.0] * 3, [-1.0] * 3])
    rows = [
        program(1.0, row=0, length=3, chosen=[True, False, True]),
        program(0.0, row=1, length=3),
    ]
    update(policy, rows, average="token")
    np.testing.assert_allclose(policy.gradient, [[-0.2, 0, -0.2], [0.2] * 3], rtol=1e-6)


def test_programs_are_scored_at_the_temperature_they_were_sampled_at(
    table: Any, program: Any
) -> None:
    policy = table([[-1.0, -1.0], [-1.0, -1.0]])
    update(policy, [program(1.0, row=0, temperature=0.5), program(0.0, row=1, temperature=2.0)])
    assert sorted(policy.asked[0]) == [0.5, 2.0]
