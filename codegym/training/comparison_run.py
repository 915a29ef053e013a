"""Comparison run: trains one run of a comparison, continues it, or reads it.

Comparisons train many runs from shared starts. A finished run is read, and a stopped run is
continued. A run that another process trains is waited for. So the seeds of a comparison can be
spread over processes, and repeating a comparison only reads.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym import registry
from codegym.learning.agent import departures
from codegym.training.config import TrainConfig, agent_config, phases_of
from codegym.training.interrupts import Interrupted


@dataclass(frozen=True, slots=True)
class ComparisonRun:
    """One run: its label, its seed, and the lines of its ``curve.jsonl``."""

    label: str
    seed: int
    curve: Sequence[Mapping[str, Any]]

    def end(self, axis: str) -> float:
        """Return the run's length in ``train_s`` or ``programs``."""
        return float(self.curve[-1][axis])

    def clusters(self, kind: str) -> list[str]:
        """Return the cluster of each task; a task without one is a cluster of its own."""
        rows = self.curve[-1][kind]["rows"]
        return [row.get("cluster", str(place)) for place, row in enumerate(rows)]

    def passed(self, kind: str, axis: str, at: float) -> NDArray[np.float64]:
        """Return the share of each task's programs that pass at a point of an axis, (tasks,)."""
        points = np.array([row[axis] for row in self.curve], dtype=np.float64)
        values = np.array([passed(row[kind]) for row in self.curve])
        after = int(np.clip(np.searchsorted(points, at), 1, len(points) - 1))
        left, right = points[after - 1], points[after]
        share = float(np.clip((at - left) / (right - left), 0.0, 1.0)) if right > left else 1.0
        mixed: NDArray[np.float64] = (1 - share) * values[after - 1] + share * values[after]
        return mixed


def passed(report: Mapping[str, Any], count: str = "passed") -> NDArray[np.float64]:
    """Return the share of each task's programs that passed, (tasks,), from a report as JSON.

    Args:
        report: The report.
        count: ``hidden_passed`` for the programs that passed the hidden tests as well.
    """
    return np.array([row[count] / report["n"] for row in report["rows"]], dtype=np.float64)


def departures_by_label(
    configs: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return the settings in which the agents of a comparison differ from their papers.

    Args:
        configs: Label of each run -> its settings, as ``TrainConfig`` takes them.

    Returns:
        ``"AGENT (LABEL, ...)"`` -> setting -> (value, the paper's value). Runs of the same agent
        with the same differences share an entry.

    Raises:
        UnknownNameError, ConfigError: A setting names nothing, or cannot be used.
    """
    labels: dict[str, list[str]] = {}
    found: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {}
    for label, settings in configs.items():
        # A comparison trains its warm starts in runs of their own.
        config = TrainConfig.from_mapping({"warm_start_programs": 0, **settings})
        agent_class = registry.get("agents", config.agent)
        own = departures(
            agent_config(agent_class, phases_of(config)[-1], max_new_tokens=config.max_new_tokens)
        )
        key = repr((config.agent, sorted(own.items())))
        found[key] = config.agent, own
        labels.setdefault(key, []).append(label)
    return {
        f"{agent} ({', '.join(labels[key])})": own for key, (agent, own) in found.items() if own
    }


def check_env(config: TrainConfig) -> None:
    """Make the environment of a run and close it, to refuse unusable settings before training.

    Raises:
        UnknownNameError: No such environment, or no such argument of it; names the nearest.
        ConfigError: The environment takes no tasks or no reward, or an argument is unusable.
    """
    from codegym.grading.judge import Judge
    from codegym.policies.factory import make_policy
    from codegym.rollout.environments import make_env

    env = make_env(
        config.env,
        make_policy("gpt:tiny"),
        tasks=config.tasks or None,
        reward=config.reward,
        budget=config.max_new_tokens,
        # Nothing is graded here, so no sandbox is needed.
        judge=Judge(stand_in=lambda pairs: []),
        env_args=config.env_args,
    )
    env.close()


def train_or_read(
    path: Path,
    settings: Mapping[str, Any],
    *,
    start: ComparisonRun | None = None,
    watch: Callable[[float], None] | None = None,
) -> list[dict[str, Any]]:
    """Train a run, continue it, or read a finished run with the same settings.

    Args:
        path: The run's folder.
        settings: The settings, as ``TrainConfig`` takes them.
        start: The run from whose policy this run begins, if any, with the same settings of the
            evaluation: its last evaluation is this run's first.
        watch: Called after each update with the share of the budget that is spent.

    Returns:
        The lines of the run's curve.

    Raises:
        Interrupted: A signal stopped the run, which is saved and can be continued.
    """
    from codegym.training.run_folder import RunFolder
    from codegym.training.trainer import Trainer

    folder = RunFolder(path)
    config = TrainConfig.from_mapping(settings)
    with locked_folder(path):
        curve = list(folder.rows("curve"))
        same = folder.exists and folder.read_config() == config.to_mapping()
        if start is not None and curve:
            # A warm start that was deleted and trained again is another policy.
            same = same and curve[0]["sampled"]["rows"] == start.curve[-1]["sampled"]["rows"]
        if not (same and curve and curve[-1]["moment"] == "after"):
            resume = same and (folder.checkpoint / "trainer").is_dir()
            if not resume:
                folder.create(config.to_mapping(), overwrite=True)
            before = start.curve[-1] if start is not None else None
            trainer = Trainer(config, folder, before=before)
            if watch is not None:
                trainer.watch = lambda update: watch(update.progress)
            if not trainer.run(resume=resume):
                raise Interrupted(trainer.stopped_by)
        return list(folder.rows("curve"))


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Keep other comparisons out of a run's folder; the lock ends with this process.

    The lock is a file beside the folder, because the trainer locks the folder itself, and refuses a
    locked folder instead of waiting for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
