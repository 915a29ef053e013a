"""Update metrics: figures of an update's episodes, and shares of its time."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from codegym.rollout.collect import Clock
from codegym.trajectory import Trajectory


def update_metrics(
    trajectories: Sequence[Trajectory],
    clock: Clock,
    learning_s: float,
    total_s: float,
    version: int,
) -> dict[str, float]:
    """Return the figures of an update that are logged.

    Args:
        trajectories: The episodes.
        clock: Seconds of sampling and of waiting for the grader.
        learning_s: Seconds of the agent's update.
        total_s: Seconds of the whole update.
        version: The policy's weight version before it learnt.
    """
    if not trajectories:
        return {"programs_per_s": 0.0}
    own = [episode for episode in trajectories if not episode.demonstration]
    outcomes = Counter(str(episode.verdict.outcome) for episode in own if episode.verdict)
    times = {
        "programs_per_s": len(trajectories) / total_s,
        "share_sampling": clock.sampling_s / total_s,
        "share_waiting_for_grader": clock.waiting_s / total_s,
        "share_learning": learning_s / total_s,
    }
    if not own:
        return times
    return times | {
        "reward": float(np.mean([episode.reward for episode in own])),
        "pass_rate": float(np.mean([episode.passed for episode in own])),
        "tokens": float(np.mean([len(episode) for episode in own])),
        "finished": float(np.mean([episode.finished for episode in own])),
        "sampling_lag": version - float(np.mean([episode.policy_version for episode in own])),
        **{f"outcome/{name}": count / len(own) for name, count in outcomes.items()},
        **_by_granularity(own),
    }


def _by_granularity(own: Sequence[Trajectory]) -> dict[str, float]:
    """Return the mean reward of the programs whose fault is global, of episode line, or nowhere."""
    rewards: dict[str, list[float]] = {}
    for episode in own:
        if episode.feedback is not None:
            rewards.setdefault(episode.feedback.granularity.value, []).append(episode.reward)
    return {f"reward/{name}": float(np.mean(values)) for name, values in sorted(rewards.items())}
