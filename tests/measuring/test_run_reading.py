"""Reading runs: seeds are joined, rows are in the order of gains, half a line is left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from codegym.errors import CheckpointError
from codegym.measuring.run_reading import RunFiles, leaderboard


def report(passed: list[int]) -> dict[str, Any]:
    return {"n": 1, "rows": [{"passed": count} for count in passed]}


def run(agent: str, seed: int, after: list[int], **settings: Any) -> RunFiles:
    config = {
        "agent": agent,
        "seed": seed,
        "policy": f"runs/start-ab-{seed}/checkpoint",
        **settings,
    }
    curve = tuple(
        {"moment": moment, "programs": 100, "train_s": 60.0, "greedy": report(passed),
         "sampled": report(passed)}
        for moment, passed in (("before", [0] * 4), ("after", after))
    )  # fmt: skip
    return RunFiles(
        path=Path(agent), config=config, metrics=(), curve=curve, departures={}, complete=True
    )


def test_seeds_are_joined_and_rows_are_in_the_order_of_their_gains() -> None:
    runs = [
        run("ppo", 0, [0, 0, 0, 1]),
        run("rft", 0, [1, 1, 0, 0]), run("rft", 1, [1, 1, 1, 1]),
        run("rltf", 0, [0, 0, 0, 0], reward="binary"), run("rltf", 0, [1, 0, 0, 1], reward="rltf"),
    ]  # fmt: skip
    rows = [row for row in leaderboard(runs) if row["kind"] == "sampled"]
    assert [(row["label"], row["seeds"]) for row in rows] == [
        ("rft", [0, 1]), ("rltf reward=rltf", [0]), ("ppo", [0]), ("rltf reward=binary", [0]),
    ]  # fmt: skip
    first = rows[0]
    # Each task averaged over the seeds: 1, 1, .5, .5.
    assert first["after"]["mean"] == 0.75 and first["gain"]["mean"] == 0.75
    assert first["minutes"] == 1.0 and first["tasks"] == 4
    assert rows[-1]["gain"]["low"] < 0 < rows[-1]["gain"]["high"]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("agent: rft\nseed: 0\n")
    (tmp_path / "metrics.jsonl").write_text('{"phase": "rft"}\n{"pha')
    found = RunFiles.read(tmp_path)
    assert found.metrics == ({"phase": "rft"},) and not found.complete and found.summary is None
    (tmp_path / "report.json").write_text(json.dumps({"config": {"agent": "rltf"}}))
    assert RunFiles.read(tmp_path).complete


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run"):
        RunFiles.read(tmp_path)
