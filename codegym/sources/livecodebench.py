"""``livecodebench``: LiveCodeBench problems, in their JSON form.

    livecodebench:/data/test.jsonl?since=2024-08-01
    livecodebench:hf/livecodebench/code_generation_lite?split=test

Source: Jain et al., "LiveCodeBench", arXiv 2403.07974. The private tests are a compressed pickle of
a single text, which is read here without unpickling.
"""

import base64
import binascii
import pickletools
import zlib
from typing import Any

from codegym import registry
from codegym.errors import TaskError
from codegym.sources._contracts import LIVECODEBENCH
from codegym.sources._records import Record, RecordSource, one_of, records_of
from codegym.sources.apps import limits_of, problem_task
from codegym.tasks.task import Task

_MOST_BYTES = 1 << 28
_CURE = (
    "get it from https://huggingface.co/datasets/livecodebench/code_generation_lite, "
    "and give its path"
)


@registry.plugin("sources", "livecodebench")
class LiveCodeBenchSource(RecordSource):
    """LiveCodeBench problems, tested by calls or by standard input and output.

    Args:
        path: A JSON Lines file, a folder of them, or ``hf/<data set>``.
        split: Split of a Hugging Face data set.
        since: Earliest contest date to keep, as ``2024-08-01``; empty for all.
        difficulty: Difficulty of the problems to keep; empty for all.
        private: Whether to use the private tests too.
        prompt: ``docstring`` or ``text``; see ``apps``.
        case_s: Processor seconds allowed per test case; a whole run gets at most a minute.

    Attributes:
        skipped: Number of problems without tests, too old, or of another difficulty.

    Raises:
        TaskError: The file is missing or malformed; the error says how to get it.
    """

    contract = LIVECODEBENCH

    def __init__(
        self,
        path: str = "",
        *,
        split: str = "",
        since: str = "",
        difficulty: str = "",
        private: bool = True,
        prompt: str = "docstring",
        case_s: float = 6.0,
    ) -> None:
        self._since, self._difficulty, self._private = since, difficulty, private
        self._plain = one_of("prompt", prompt, ("docstring", "text")) == "text"
        self._case_s = case_s
        super().__init__(records_of(path, split=split, cure=_CURE))

    def read(self, record: Record) -> Task | None:
        """Return the task of a problem; None if it is filtered out or has no tests."""
        date = str(record.get("contest_date") or "")
        difficulty = str(record.get("difficulty") or "")
        if date < self._since or self._difficulty not in ("", difficulty):
            return None
        tests = _tests(record, "public_test_cases")
        if self._private:
            tests += _tests(record, "private_test_cases")
        if not tests:
            return None
        metadata = record.mapping("metadata")
        function = metadata.get("func_name") or ""
        functional = any(test.get("testtype") == "functional" for test in tests)
        if functional and not function:
            raise record.error("missing", field="metadata.func_name")
        return problem_task(
            f"livecodebench/{record.text('question_id')}",
            record.text("question_content"),
            [_arguments(record, test["input"]) if functional else test["input"] for test in tests],
            [
                record.parse(test["output"], "tests.output") if functional else test["output"]
                for test in tests
            ],
            function=function if functional else "",
            starter=record.optional("starter_code"),
            solution=None,
            plain=self._plain,
            contract=self.contract,
            limits=limits_of(len(tests), self._case_s),
            metadata={
                "difficulty": difficulty,
                "date": date,
                "platform": record.get("platform") or "",
            },
        )


def _arguments(record: Record, text: str) -> list[Any]:
    """Read the arguments of a call, a JSON value on each line."""
    return [record.parse(line, "tests.input") for line in text.split("\n") if line.strip()]


def _tests(record: Record, name: str) -> list[dict[str, str]]:
    value = record.get(name)
    if isinstance(value, str) and value.strip()[:1] not in ("", "["):
        value = record.parse(_unpack(value, name), name)
    elif isinstance(value, str):
        value = record.packed(name)
    if value is not None and not isinstance(value, list):
        raise record.error("wrong type", field=name, value=value, expected="a list of tests")
    for number, test in enumerate(value or ()):
        if not isinstance(test, dict) or not all(
            isinstance(test.get(part), str) for part in ("input", "output")
        ):
            raise record.error(
                "malformed test",
                field=f"{name}[{number}]",
                value=test,
                expected='{"input": text, "output": text, "testtype": "stdin" or "functional"}',
            )
    return list(value or ())


def _unpack(text: str, name: str) -> str:
    """Return the single text of a compressed pickle, without running the pickle."""
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(base64.b64decode(text), _MOST_BYTES)
        if not unzip.eof:
            raise ValueError("cut off" if len(data) < _MOST_BYTES else "more than 256 MiB")
        texts = [value for _, value, _ in pickletools.genops(data) if isinstance(value, str)]
    except (binascii.Error, zlib.error, ValueError) as error:
        raise TaskError(f"unreadable tests ({error})", field=name, value=text[:40]) from None
    if len(texts) != 1:
        raise TaskError("not the pickle of a single text", field=name, value=text[:40])
    return texts[0]
