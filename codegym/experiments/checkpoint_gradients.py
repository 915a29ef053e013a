"""Checkpoint gradients: measures an experiment's gradient estimators before and after training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegym.experiments.experiment import Arm
from codegym.experiments.runs import ExperimentRuns

if TYPE_CHECKING:
    from codegym.measuring.gradient_estimators import Critic

TASKS, BATCHES = 32, 16
"""Tasks of a batch, with four programs each, and batches: sixteen of 128 programs."""
_FILE = "mechanism.json"


def checkpoint_gradients(
    runs: ExperimentRuns, seed: int = 0, *, tasks: int = TASKS, batches: int = BATCHES
) -> dict[str, Any]:
    """Return the figures at the start and at the end of the first arm, or read earlier figures.

    The frozen critic is fitted at the start.

    Args:
        runs: The runs of the experiment; those that are missing are trained.
        seed: Seed of the runs.
        tasks: Tasks of a batch.
        batches: Number of batches.

    Returns:
        ``checkpoints``: label of the run -> ``estimators`` (name -> ``noise``, ``cosine``,
        ``signal``), ``explained_variance`` of the critics and ``pass_rate``.

    Raises:
        Interrupted: A signal stopped the training of a missing run.
    """
    path = runs.out / _FILE
    subject: dict[str, Any] = {"seed": seed, "tasks": tasks, "batches": batches}
    wanted = [*runs.experiment.starts[:1], runs.experiment.arms[0]]
    subject["folders"] = [runs.folder(arm, seed).name for arm in wanted]
    kept = _read(path)
    if kept.get("subject") == subject:
        return kept
    folders: dict[str, Path] = {}
    for each in runs.train(seed):
        folders[each.run.label] = each.folder
        if all(arm.label in folders for arm in wanted):
            break
    found: dict[str, Any] = {"subject": subject, "checkpoints": {}}
    frozen: Critic | None = None
    for arm in wanted:
        row, frozen = _measure(runs, arm, folders[arm.label], frozen, seed, tasks, batches)
        found["checkpoints"][arm.label] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{_FILE}.new")
    aside.write_text(json.dumps(found, indent=1) + "\n")
    aside.replace(path)
    return found


def _measure(
    runs: ExperimentRuns,
    arm: Arm,
    folder: Path,
    frozen: "Critic | None",
    seed: int,
    tasks: int,
    batches: int,
) -> tuple[dict[str, Any], "Critic"]:
    from codegym.grading.judge import Judge
    from codegym.measuring.gradient_estimators import Critic, draw, estimators_of, measure
    from codegym.policies.checkpoint import load_policy
    from codegym.rewards import make_reward
    from codegym.rollout.environments import make_env
    from codegym.sandbox import make_sandbox
    from codegym.sources import load_tasks
    from codegym.training.config import TrainConfig

    chosen = runs.experiment
    config = TrainConfig.from_mapping(runs.settings(chosen.arms[0], seed))
    policy = load_policy(folder / "checkpoint")
    with make_sandbox(config.isolation, workers=config.workers or None) as sandbox:
        env = make_env(
            config.env,
            policy,
            tasks=load_tasks(chosen.tasks),
            reward=make_reward("rltf"),
            budget=config.max_new_tokens,
            judge=Judge(sandbox),
            env_args=config.env_args,
        )
        sample = draw(policy, env, tasks=tasks, batches=batches, seed=seed)
    estimators, explains = estimators_of(chosen.mechanism, sample, frozen)
    row = {
        "estimators": measure(sample, estimators),
        "explained_variance": explains,
        "pass_rate": sum(each.passed for each in sample.many) / len(sample.many),
    }
    return row, frozen or Critic(policy, sample.many, seed=seed)


def _read(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def mechanism_lines(found: dict[str, Any]) -> list[str]:
    """Return a line for each estimator at each checkpoint."""
    lines = []
    for label, row in found["checkpoints"].items():
        for name, figures in row["estimators"].items():
            explains = row["explained_variance"].get(name)
            extra = "" if explains is None else f", explained variance {explains:.2f}"
            lines.append(
                f"{label}: {name}: noise {figures['noise']:.1f}, cosine {figures['cosine']:.2f}, "
                f"of the mean {figures['signal']:.2f}{extra}"
            )
    return lines
