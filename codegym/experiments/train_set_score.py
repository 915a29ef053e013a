"""Training set score: pass@1 of a finished run's policy on the tasks that it was trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.experiments.runs import FinishedRun
from codegym.measuring.run_report import KINDS
from codegym.training.comparison_run import locked_folder

_FILE = "train_set_score.json"


def train_set_score(finished: FinishedRun, uri: str, count: int) -> dict[str, Any]:
    """Evaluate the last policy of a run on training tasks, or read an earlier evaluation.

    Args:
        finished: The run.
        uri: URI of the training tasks.
        count: Number of tasks.

    Returns:
        For ``greedy`` and ``sampled`` a report as JSON, as in the run's curve.
    """
    path = finished.folder / _FILE
    # A score belongs to one policy; the last evaluation of the run identifies that policy.
    subject = {"tasks": uri, "count": count, "end": finished.run.curve[-1]["sampled"]["rows"]}
    with locked_folder(finished.folder):
        kept = _read(path)
        if kept.get("subject") == subject:
            return {kind: kept[kind] for kind in KINDS}
        measured = _measure(finished, uri, count)
        aside = path.with_name(f"{_FILE}.new")
        aside.write_text(json.dumps({"subject": subject} | measured) + "\n")
        aside.replace(path)
        return measured


def _read(path: Path) -> Mapping[str, Any]:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def _measure(finished: FinishedRun, uri: str, count: int) -> dict[str, Any]:
    from codegym.measuring.evaluation import evaluate
    from codegym.policies.checkpoint import load_policy
    from codegym.sandbox import make_sandbox
    from codegym.training.run_folder import RunFolder

    folder = RunFolder(finished.folder)
    config = folder.read_config()
    policy = load_policy(folder.checkpoint)
    policy.module.eval()
    with make_sandbox(config["isolation"], workers=config["workers"] or None) as sandbox:
        return {
            kind: evaluate(
                policy,
                uri,
                env=config["env"],
                env_args=config["env_args"],
                count=count,
                budget=config["max_new_tokens"],
                grammar=config["grammar"],
                deterministic=kind == "greedy",
                seed=finished.run.seed,
                name=uri,
                sandbox=sandbox,
            ).to_json()
            for kind in KINDS
        }
