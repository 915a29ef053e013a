"""The lessons run from top to bottom on the public interface, and their checks can fail."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "docs" / "lessons").glob("*.ipynb"))
RUNNER = ROOT / "docs" / "generators" / "notebooks.py"
# The lesson that the default run executes: it needs no torch.
QUICK = "4_credit"
PUBLIC = {"codegym", "gymnasium", "numpy", "torch", "tokenizers", "transformers"}
NAMES = [path.stem for path in LESSONS]


def cells(path: Path, tag: str = "") -> list[str]:
    """Return the sources of the code cells, of those with a tag if one is given."""
    return [
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code" and (not tag or tag in cell["metadata"].get("tags", ()))
    ]


def run(path: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # In a process that ends, as a notebook's kernel is; Python's hash seed is left to chance.
    return subprocess.run(
        [sys.executable, str(RUNNER), str(path), *options],
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_there_are_six() -> None:
    assert [name[0] for name in NAMES] == list("123456")
    assert QUICK in NAMES


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_a_lesson_is_stored_without_outputs_and_uses_public_names_only(path: Path) -> None:
    for cell in json.loads(path.read_text())["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    tree = ast.parse("\n".join(cells(path)))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert not {name for name in imported if name.startswith("codegym.")}
    strangers = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert strangers <= PUBLIC


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_each_exercise_has_an_answer_and_a_check(path: Path) -> None:
    answers, checks = cells(path, "answer"), cells(path, "check")
    assert len(answers) == len(checks) >= 3
    assert all("assert" in check for check in checks)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem == QUICK else pytest.mark.slow)
        for path in LESSONS
    ],
)
def test_a_lesson_runs(path: Path, tmp_path: Path) -> None:
    done = run(path, tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    assert len(outputs) == len(cells(path))
    for output in outputs:
        assert len(output["text"].splitlines()) <= 40
        assert max(map(len, output["text"].splitlines()), default=0) <= 110


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["1_an_episode_by_hand", "2_a_grader_that_cannot_be_fooled"])
def test_a_lesson_without_its_answers_fails(name: str, tmp_path: Path) -> None:
    path = ROOT / "docs" / "lessons" / f"{name}.ipynb"
    done = run(path, tmp_path, "--without", "answer")
    assert done.returncode != 0 and "NameError" in done.stderr
