"""``apps``: APPS and TACO problems, tested by calls or by standard input and output.

    apps:/data/APPS?split=train&difficulty=introductory
    apps:/data/taco_train.jsonl
    apps:hf/codeparrot/apps?split=train
    apps:/data/APPS?split=train&contract=apps_rltf

Source: Hendrycks et al., "Measuring Coding Challenge Competence With APPS", arXiv 2105.09938; Li et
al., "TACO", arXiv 2312.14852 (the same fields). A path may also name the published tree, which has
a folder for each problem (question.txt, input_output.json, solutions.json, starter_code.py,
metadata.json).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codegym import registry
from codegym.errors import TaskError
from codegym.sandbox.limits import Limits
from codegym.sources._contracts import CONTRACTS
from codegym.sources._prompts import as_function, bare, docstring
from codegym.sources._records import (
    Record,
    RecordSource,
    one_of,
    parse_json,
    read_records,
    records_of,
)
from codegym.tasks.cases import CallCase
from codegym.tasks.contest import call_method
from codegym.tasks.contract import Contract
from codegym.tasks.task import Task

PROMPTS = ("docstring", "text")
_MOST_S = 60.0
_CURE = (
    "get APPS from https://github.com/hendrycks/apps or https://huggingface.co/datasets/"
    "codeparrot/apps, TACO from https://huggingface.co/datasets/BAAI/TACO, and give its path"
)


@registry.plugin("sources", "apps")
class AppsSource(RecordSource):
    """APPS or TACO problems.

    Args:
        path: The published folder, a JSON Lines file, a folder of them, or ``hf/<data set>``.
        split: Sub-folder or file stem to read (``train``, ``test``); empty for the path itself.
        difficulty: Difficulty of the problems to keep; empty for all.
        prompt: ``docstring``: the problem as a docstring, after the signature where the tests call
            a function; ``text``: the bare problem with its starter code, for chat models.
        case_s: Processor seconds allowed per test case; a whole run gets at most a minute.
        contract: ``apps`` for the rules of the data set's grader, ``apps_rltf`` for those of RLTF's
            harness.

    Attributes:
        skipped: Number of problems without tests or of another difficulty.

    Raises:
        TaskError: The files are missing or malformed; the error says how to get them.
    """

    def __init__(
        self,
        path: str = "",
        *,
        split: str = "",
        difficulty: str = "",
        prompt: str = "docstring",
        case_s: float = 4.0,
        contract: str = "apps",
    ) -> None:
        self.contract = CONTRACTS[one_of("contract", contract, ("apps", "apps_rltf"))]
        self._difficulty = difficulty.upper()
        self._prompt = one_of("prompt", prompt, PROMPTS)
        self._case_s = case_s
        super().__init__(_records(path, split))

    def read(self, record: Record) -> Task | None:
        """Return the task of a problem; None without tests or for another difficulty."""
        tests = record.mapping("input_output")
        difficulty = str(record.get("difficulty") or "")
        wanted = self._difficulty in ("", difficulty.upper())
        if not wanted or not tests.get("inputs"):
            return None
        inputs, outputs = paired(record, "input_output", tests["inputs"], tests.get("outputs"))
        function = tests.get("fn_name") or ""
        if not isinstance(function, str):
            raise record.error("not text", field="input_output.fn_name", value=function)
        name = record.get("problem_id", "id", "task_id")
        solutions = record.packed("solutions")
        solution = solutions[0] if isinstance(solutions, list) and solutions else None
        return problem_task(
            f"apps/{name if name is not None else record.line}",
            record.text("question"),
            inputs,
            outputs,
            function=function,
            starter=record.optional("starter_code"),
            solution=solution,
            plain=self._prompt == "text",
            contract=self.contract,
            limits=limits_of(len(inputs), self._case_s),
            metadata={
                "difficulty": difficulty,
                "url": record.get("url") or "",
                "name": record.get("name") or "",
                "solutions": len(solutions or ()),
            },
        )


def paired(record: Record, name: str, inputs: Any, outputs: Any) -> tuple[list[Any], list[Any]]:
    """Return the inputs and outputs of a problem's tests.

    Raises:
        TaskError: They are not lists, or their lengths differ.
    """
    for side, value in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(value, list):
            raise record.error("wrong type", field=f"{name}.{side}", value=value, expected="a list")
    if len(inputs) != len(outputs):
        raise record.error(
            "inputs and outputs differ in number", field=name, value=(len(inputs), len(outputs))
        )
    return inputs, outputs


def problem_task(
    task_id: str,
    question: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    function: str,
    starter: str,
    solution: str | None,
    plain: bool,
    contract: Contract,
    limits: Limits,
    metadata: dict[str, Any],
) -> Task:
    """Make the task of a programming-contest problem.

    A problem that names a function is tested by calling it, any other by standard input.

    Args:
        task_id: Stable name.
        question: The problem in prose.
        inputs: Texts for standard input, or argument lists.
        outputs: Expected texts, or values.
        function: Name of the function, or "".
        starter: Starter code, or "".
        solution: A reference program, or None.
        plain: Whether the prompt is the bare problem rather than code.
        contract: Rules of the data set's grader.
        limits: Bounds of a run.
        metadata: Anything else.

    Raises:
        TaskError: The tests are neither texts nor calls.
    """
    if solution is not None and function:
        solution = call_method(solution, function)
    prompt = _contest_prompt(question, function, starter, plain)
    common: dict[str, Any] = {
        "task_id": task_id,
        "canonical_solution": solution,
        "metadata": metadata,
        "site": contract.site,
        "limits": limits,
    }
    if function:
        cases = _calls(inputs, outputs, wrapped=contract.match != "livecodebench")
        tolerance, match = contract.float_tolerance, contract.match
        task = Task.from_calls(
            prompt, function, cases, float_tolerance=tolerance, match=match, **common
        )
    else:
        pairs = [
            (_text(given), _text(wanted)) for given, wanted in zip(inputs, outputs, strict=True)
        ]
        task = Task.from_stdio(prompt, pairs, output_rule=contract.output_rule, **common)
    return bare(task)


def _contest_prompt(question: str, function: str, starter: str, plain: bool) -> str:
    """Write a prompt: prose with starter code if ``plain``, else a signature and a docstring."""
    if function:
        head = as_function(starter, function)
        if plain:
            return f"{question.strip()}\n\n{head}"
        return f"{head}\n{docstring(question, _INDENT)}"
    if not plain:
        return docstring(question.strip())
    if starter.strip():
        return f"{question.strip()}\n\n{starter.strip()}"
    return question.strip()


def limits_of(n_cases: int, case_s: float) -> Limits:
    """Return the limits of a task: ``case_s`` for each case, and at most a minute for all."""
    cpu_s = min(_MOST_S, case_s * n_cases)
    return Limits(case_s=case_s, cpu_s=cpu_s, wall_s=min(_MOST_S, 2 * cpu_s))


_INDENT = "    "


def _calls(inputs: Sequence[Any], outputs: Sequence[Any], *, wrapped: bool) -> list[CallCase]:
    """Read argument lists and results.

    APPS wraps most results in a list (``wrapped``), and its rule for values takes the list or its
    first item. JSON has no keys but text: as in APPS's grader, keys of digits become integers where
    the first argument, the result or the first item of the result is an object.
    """
    cases = []
    for number, (given, wanted) in enumerate(zip(inputs, outputs, strict=True)):
        try:
            args = parse_json(given) if isinstance(given, str) else given
        except (ValueError, RecursionError):
            args = None
        if not isinstance(args, list):
            raise TaskError(
                "the arguments of a call are not a list",
                field=f"input_output.inputs[{number}]",
                value=given,
                expected="a list, or a list as JSON text",
            )
        if wrapped:
            args = [*map(_digit_keys, args[:1]), *args[1:]]
            wanted = _wrapped(wanted)
        cases.append(CallCase(args=tuple(args), expected=wanted))
    return cases


def _wrapped(wanted: Any) -> Any:
    """Return a result as APPS's grader sees it: an object is a list of the object."""
    if isinstance(wanted, dict):
        return [keyed] if (keyed := _digit_keys(wanted)) is not wanted else wanted
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        return [keyed] if (keyed := _digit_keys(wanted[0])) is not wanted[0] else wanted
    return wanted


def _digit_keys(value: Any) -> Any:
    """Return an object with integer keys if all its keys are integers, else the value."""
    if not isinstance(value, dict):
        return value
    try:
        return {int(key): item for key, item in value.items()}
    except ValueError:
        return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(str(line) for line in value)
    return str(value)


def _records(path: str, split: str) -> list[Record]:
    root = Path(path).expanduser()
    folder = root / split if split and (root / split).is_dir() else root
    if path and (problems := sorted(folder.glob("*/question.txt"))):
        return [_problem(question.parent, number) for number, question in enumerate(problems, 1)]
    for suffix in (".jsonl", ".jsonl.gz", ".json"):
        if split and (root / f"{split}{suffix}").is_file():
            return read_records(root / f"{split}{suffix}")
    return records_of(path, split=split, cure=_CURE)


def _problem(folder: Path, number: int) -> Record:
    row: dict[str, Any] = {"problem_id": int(folder.name) if folder.name.isdigit() else folder.name}
    for name, field in (
        ("question.txt", "question"),
        ("input_output.json", "input_output"),
        ("solutions.json", "solutions"),
        ("starter_code.py", "starter_code"),
    ):
        if (folder / name).is_file():
            row[field] = (folder / name).read_text(encoding="utf-8")
    metadata = folder / "metadata.json"
    if metadata.is_file():
        row |= Record({"metadata": metadata.read_text()}, str(metadata), 1).packed("metadata") or {}
    return Record(row, str(folder), number)
