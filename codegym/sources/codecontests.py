"""``codecontests``: CodeContests problems, in their JSON form.

    codecontests:/data/code_contests_test.jsonl?tests=public,private
    codecontests:hf/deepmind/code_contests?split=test

Source: Li et al., "Competition-Level Code Generation with AlphaCode", arXiv 2203.07814; CC BY 4.0.
"""

from typing import Any

from codegym import registry
from codegym.sandbox.limits import Limits
from codegym.sources._contracts import CODECONTESTS
from codegym.sources._records import Record, RecordSource, one_of, records_of
from codegym.sources.apps import limits_of, paired, problem_task
from codegym.tasks.task import Task

TESTS = ("public", "private", "generated")
_PYTHON3 = (3, "PYTHON3")
_CURE = "get it from https://huggingface.co/datasets/deepmind/code_contests, and give its path"


@registry.plugin("sources", "codecontests")
class CodeContestsSource(RecordSource):
    """CodeContests problems, tested by standard input and output.

    Args:
        path: A JSON Lines file, a folder of them, or ``hf/<data set>``.
        split: Split of a Hugging Face data set.
        tests: Kinds of tests to use, separated by commas: ``public``, ``private``, ``generated``.
        prompt: ``docstring`` or ``text``; see ``apps``.
        slower: Factor on the published time limits, which are set for C++.

    Attributes:
        skipped: Number of problems without such tests.

    Raises:
        TaskError: The file is missing or malformed; the error says how to get it.
    """

    contract = CODECONTESTS

    def __init__(
        self,
        path: str = "",
        *,
        split: str = "",
        tests: str = "public,private,generated",
        prompt: str = "docstring",
        slower: float = 3.0,
    ) -> None:
        self._tests = [one_of("kind of tests", kind, TESTS) for kind in tests.split(",")]
        self._plain = one_of("prompt", prompt, ("docstring", "text")) == "text"
        self._slower = slower
        super().__init__(records_of(path, split=split, cure=_CURE))

    def read(self, record: Record) -> Task | None:
        """Return the task of a problem; None without tests."""
        inputs: list[str] = []
        outputs: list[str] = []
        for kind in self._tests:
            found = _by_field(record, f"{kind}_tests", ("input", "output"))
            given, wanted = paired(record, f"{kind}_tests", found["input"], found["output"])
            inputs += given
            outputs += wanted
        if not inputs:
            return None
        return problem_task(
            f"codecontests/{record.text('name')}",
            record.text("description"),
            inputs,
            outputs,
            function="",
            starter="",
            solution=_python_solution(record),
            plain=self._plain,
            contract=self.contract,
            limits=self._limits(record, len(inputs)),
            metadata={"difficulty": record.row.get("difficulty"), "licence": "CC-BY-4.0"},
        )

    def _limits(self, record: Record, n_cases: int) -> Limits:
        limit = Record(record.mapping("time_limit"), record.path, record.line)
        seconds = limit.number("seconds", 0.0) + limit.number("nanos", 0.0) / 1e9
        return limits_of(n_cases, self._slower * (seconds or 2.0))


def _by_field(record: Record, name: str, parts: tuple[str, ...]) -> dict[str, Any]:
    """Return an object of lists; some copies of the data set hold a list of objects instead."""
    value = record.packed(name)
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return {part: [row.get(part) for row in value] for part in parts}
    found = record.mapping(name)
    return {part: found.get(part, []) for part in parts}


def _python_solution(record: Record) -> str | None:
    found = _by_field(record, "solutions", ("language", "solution"))
    languages, codes = found["language"], found["solution"]
    if not isinstance(languages, list) or not isinstance(codes, list):
        return None
    pairs = zip(languages, codes, strict=False)
    return next((code for language, code in pairs if language in _PYTHON3), None)
