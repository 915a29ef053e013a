"""Seen: how far a finished run's policy passes the tasks it was trained on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.experiments.runs import Done
from codegym.measuring.run_report import KINDS
from codegym.training.comparison_run import alone

_FILE = "seen.json"


def seen(done: Done, uri: str, count: int) -> dict[str, Any]:
    """Evaluate a run's last policy on training tasks, or read what was measured before.

    Args:
        done: The run.
        uri: The training tasks.
        count: How many of them.

    Returns:
        For ``greedy`` and ``sampled`` a report as JSON, as in the run's curve.
    """
    path = done.folder / _FILE
    # What a file says holds for one policy, and the policy is known by what it wrote at the end.
    of = {"tasks": uri, "count": count, "end": done.trial.curve[-1]["sampled"]["rows"]}
    with alone(done.folder):
        kept = _read(path)
        if kept.get("of") == of:
            return {kind: kept[kind] for kind in KINDS}
        measured = _measure(done, uri, count)
        aside = path.with_name(f"{_FILE}.new")
        aside.write_text(json.dumps({"of": of} | measured) + "\n")
        aside.replace(path)
        return measured


def _read(path: Path) -> Mapping[str, Any]:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def _measure(done: Done, uri: str, count: int) -> dict[str, Any]:
    from codegym.grading.judge import Judge
    from codegym.measuring.evaluation import evaluate, held_out
    from codegym.policies.checkpoint import load_policy
    from codegym.sandbox import make_sandbox
    from codegym.sources import load_tasks
    from codegym.training.run_folder import RunFolder

    folder = RunFolder(done.folder)
    config = folder.read_config()
    policy = load_policy(folder.checkpoint)
    policy.module.eval()
    tasks = held_out(load_tasks(uri), count)
    with make_sandbox(config["isolation"], workers=config["workers"] or None) as sandbox:
        return {
            kind: evaluate(
                policy,
                tasks,
                judge=Judge(sandbox),
                deterministic=kind == "greedy",
                budget=config["max_new_tokens"],
                grammar=config["grammar"],
                seed=done.trial.seed,
                name=uri,
            ).to_json()
            for kind in KINDS
        }
