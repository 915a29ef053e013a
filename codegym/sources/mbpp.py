"""``mbpp``: Mostly Basic Python Problems, full or sanitized.

    mbpp:/data/mbpp.jsonl?split=train
    mbpp:/data/mbpp.jsonl?form=call&split=train
    mbpp:hf/google-research-datasets/mbpp?split=test
    mbpp?split=train                      (reads the folder named by CODEGYM_DATA)

Source: Austin et al., "Program Synthesis with Large Language Models", arXiv 2108.07732; CC BY 4.0.
Splits are by task_id: 1-10 few-shot, 11-510 test, 511-600 validation, 601-974 train.
"""

import ast
import builtins
import os
from collections import Counter
from pathlib import Path

from codegym import registry
from codegym.errors import TaskError
from codegym.sources._contracts import MBPP
from codegym.sources._prompts import as_function, bare, docstring
from codegym.sources._records import (
    FORMS,
    HUGGING_FACE,
    Record,
    RecordSource,
    one_of,
    records_of,
)
from codegym.tasks.task import Task

SPLITS = {
    "": range(1, 975),
    "few_shot": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
PROMPTS = ("docstring", "signature", "text")
DATA_VARIABLE = "CODEGYM_DATA"
_FILES = ("mbpp.jsonl", "sanitized-mbpp.json", "mbpp_train_validation.jsonl")
_CURE = (
    "download mbpp.jsonl or sanitized-mbpp.json from "
    "https://github.com/google-research/google-research/tree/master/mbpp and give its path, "
    f"mbpp:/path/mbpp.jsonl, or put it into the folder that {DATA_VARIABLE} names"
)


@registry.plugin("sources", "mbpp")
class MbppSource(RecordSource):
    """MBPP problems.

    Args:
        path: The file, a folder that holds it, or ``hf/<data set>``; by default the folder named
            by the environment variable CODEGYM_DATA.
        split: ``few_shot``, ``test``, ``validation`` or ``train``; empty for all.
        prompt: ``docstring``: the text and the tests as a module's docstring, and the policy writes
            the whole function; ``signature``: the reference's first line with the text as its
            docstring, and the policy continues; ``text``: the text and the tests, for chat models.
        challenge: Whether to add the harder tests of ``challenge_test_list``.
        form: ``assertion`` or ``call`` (see ``codegym.grading.call_form``); tasks without a call
            form keep their assertions.

    Raises:
        TaskError: The file is missing or malformed; the error says how to get it.
    """

    contract = MBPP

    def __init__(
        self,
        path: str = "",
        *,
        split: str = "",
        prompt: str = "docstring",
        challenge: bool = False,
        form: str = "assertion",
    ) -> None:
        self._ids = SPLITS[split and one_of("split", split, list(SPLITS)[1:])]
        self._prompt = one_of("prompt", prompt, PROMPTS)
        self._challenge = challenge
        wanted = split if path.startswith(HUGGING_FACE) else ""
        one_of("form", form, FORMS)
        super().__init__(records_of(path or _default_path(), split=wanted, cure=_CURE))
        if form == "call":
            self.to_call_form()

    def read(self, record: Record) -> Task | None:
        """Return the task of a problem; None without tests or for another split."""
        number = record.take("task_id", int)
        if number not in self._ids:
            return None
        text, code = record.text("text", "prompt"), record.text("code")
        tests = record.texts("test_list")
        if not tests:
            return None
        entry_point = infer_entry_point(tests, code)
        harder = record.texts("challenge_test_list")
        task = Task.from_assertions(
            self._write_prompt(text, tests, code, entry_point),
            entry_point,
            "\n".join([*tests, *(harder if self._challenge else ())]),
            _setup(record),
            task_id=f"mbpp/{number}",
            canonical_solution=code.rstrip() + "\n",
            site=self.contract.site,
            metadata={
                "split": next(name for name, ids in SPLITS.items() if name and number in ids),
                "licence": "CC-BY-4.0",
                "challenge_tests": len(harder),
            },
        )
        return bare(task)

    def _write_prompt(self, text: str, tests: list[str], code: str, entry_point: str) -> str:
        if self._prompt == "signature":
            signature = as_function(code, entry_point)
            return f"{signature}\n{docstring(text, '    ')}"
        body = f"{text.strip()}\n" + "\n".join(test.strip() for test in tests)
        return body if self._prompt == "text" else docstring(body)


def infer_entry_point(tests: list[str], code: str = "") -> str:
    """Return the name of the function that test code tests.

    Args:
        tests: Assertions.
        code: The reference solution, or ""; functions it defines are preferred.

    Returns:
        The name called in most of the tests among the functions that ``code`` defines; without
        such a name, among the names that are not built-ins.

    Raises:
        TaskError: A test does not parse, or no test calls a function.
    """
    called: Counter[str] = Counter()
    for test in tests:
        try:
            tree = ast.parse(test)
        except SyntaxError as error:
            raise TaskError(
                f"a test does not parse ({error.msg})", field="test_list", value=test
            ) from None
        called.update(
            dict.fromkeys(
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ).keys()
        )
    defined = _defined_names(code)
    names = [name for name, _ in called.most_common() if not defined or name in defined]
    names = [name for name in names if name not in vars(builtins)] or names
    if not names:
        raise TaskError("no test calls a function of the solution", field="test_list", value=tests)
    return names[0]


def _defined_names(code: str) -> set[str]:
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return set()
    found = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _setup(record: Record) -> str:
    imports = record.texts("test_imports")
    return "\n".join(imports) if imports else record.row.get("test_setup_code") or ""


def _default_path() -> str:
    folder = os.environ.get(DATA_VARIABLE, "")
    for name in _FILES:
        if folder and (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    raise TaskError("MBPP was not found", value=folder or f"{DATA_VARIABLE} is unset", cure=_CURE)
