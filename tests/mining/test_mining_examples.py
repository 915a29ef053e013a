"""The baseline of mined tasks runs: the nearest training solutions, renamed to fit."""

import json
import subprocess
import sys
from pathlib import Path

from codegym import Task
from codegym.sources.jsonl import write_jsonl

EXAMPLE = Path(__file__).parents[2] / "examples" / "nearest_solution.py"


def task(name: str, parameter: str, says: str, body: str) -> Task:
    return Task.from_calls(
        f'def {name}({parameter}):\n    """{says}"""',
        name,
        [((3,), 4), ((5,), 6)],
        task_id=name,
        canonical_solution=f"\n    return {body}\n",
    )


def test_the_nearest_solution_is_renamed_and_copies_are_counted(tmp_path):
    train = [
        task("halve", "x", "Return half of a number.", "x / 2"),
        task("next_number", "y", "Return the number after a number.", "y + 1"),
        task("hello", "who", "Greet somebody.", "'hello ' + who"),
    ]
    test = [task("following", "n", "Return the number that comes after a number.", "n + 1")]
    write_jsonl(tmp_path / "train.jsonl", train)
    write_jsonl(tmp_path / "test.jsonl", test)
    uris = [f"jsonl:{tmp_path / name}.jsonl" for name in ("train", "test")]
    out = tmp_path / "nearest.jsonl"
    command = [sys.executable, str(EXAMPLE), *uris, "--n", "2", "--out", str(out)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "1 of 1 held-out functions stand in training: ['following']" in told
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["following"] * 2
    assert rows[0]["program"].split("\n")[0] == "def following(n):"
    assert rows[0]["program"].endswith("return n + 1")
