"""Further scores: pass@1 of a finished run's policy on further sets of tasks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.experiments.runs import FinishedRun
from codegym.measuring.run_report import KINDS
from codegym.training.comparison_run import locked_folder

_FILE = "further_scores.json"


def further_scores(finished: FinishedRun, sets: Mapping[str, str], count: int) -> dict[str, Any]:
    """Evaluate the last policy of a run on further sets of tasks, or read earlier evaluations.

    Args:
        finished: The run.
        sets: Name -> URI of the tasks.
        count: Number of tasks of each set.

    Returns:
        Name of the set -> for ``greedy`` and ``sampled`` a report as JSON, as in the run's curve.
    """
    path = finished.folder / _FILE
    # A score belongs to one policy; the last evaluation of the run identifies that policy.
    end = finished.run.curve[-1]["sampled"]["rows"]
    with locked_folder(finished.folder):
        kept = _read(path)
        if kept.get("end") != end:
            kept = {"end": end, "scores": {}}
        scores = kept["scores"]
        for uri in sets.values():
            key = f"{count} of {uri}"
            if key not in scores:
                scores[key] = _measure(finished, uri, count)
                aside = path.with_name(f"{_FILE}.new")
                aside.write_text(json.dumps(kept) + "\n")
                aside.replace(path)
        return {name: scores[f"{count} of {uri}"] for name, uri in sets.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) and isinstance(row.get("scores"), dict) else {}


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
                n=1 if kind == "greedy" else config["eval_samples"],
                budget=config["max_new_tokens"],
                grammar=config["grammar"],
                deterministic=kind == "greedy",
                seed=finished.run.seed,
                name=uri,
                sandbox=sandbox,
            ).to_json()
            for kind in KINDS
        }
