"""check_source: tests that a task source keeps its contract and counts weaknesses of its tasks.

A violation of the contract (ids, determinism, round trip) raises an error. A weakness (a weak task,
a duplicate, a prompt shared by two splits) is counted and reported.
"""

import ast
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from codegym import registry
from codegym.errors import CodegymError, ConfigError, ConformanceError
from codegym.grading.verdict import Verdict
from codegym.sources import load_tasks, parse_uri
from codegym.sources.mixture import Mixture
from codegym.synthesis.duplicate_tasks import ast_key
from codegym.tasks.contract import CODEGYM, Contract
from codegym.tasks.task import CallCase, StdioCase, Task
from codegym.tasks.task_source import TaskSource
from codegym.tasks.unpassable import reasons

if TYPE_CHECKING:
    from codegym.sandbox import Sandbox

_SHOWN = 5
_OTHER_SPLITS = ("train", "validation", "b", "test")
_FIRST = "return (*args, *kwargs.values(), None)[0]"
_WHOLE = 10_000
_CONSTANTS = ("None", "0", "1", '""', "[]", "True", "False")


@dataclass(slots=True, kw_only=True)
class SourceReport:
    """Findings about a task source.

    Attributes:
        uri: URI of the source.
        contract: The grading contract that the source declares.
        size: Number of tasks in the source.
        checked: Number of tasks checked.
        broken: Id -> the verdict's message, for tasks whose canonical solution does not pass.
        unpassable: Id -> why no program can pass the task, as its text shows.
        unsolved: Number of tasks without a canonical solution.
        weak: Id -> the program, for tasks that an idle program passes.
        generous: Ids of tasks for which an idle program passes at least half of the cases.
        duplicates: Ids of tasks whose prompt and tests also belong to another task.
        same_solution: Ids of tasks whose canonical solution, apart from spacing, also belongs to
            another task.
        shared: Other split -> ids of tasks whose prompt or solution also occurs in that split.
        cut_prompts: Ids of tasks whose prompt ends in white space (see docs/tasks.md).
        judged: Whether programs were run.
    """

    uri: str
    size: int
    contract: Contract = CODEGYM
    checked: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    unpassable: dict[str, str] = field(default_factory=dict)
    unsolved: int = 0
    weak: dict[str, str] = field(default_factory=dict)
    generous: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    same_solution: list[str] = field(default_factory=list)
    shared: dict[str, list[str]] = field(default_factory=dict)
    cut_prompts: list[str] = field(default_factory=list)
    judged: bool = False

    @property
    def causes(self) -> list[tuple[str, int]]:
        """The reasons why canonical solutions fail, each with the number of tasks."""
        return Counter(self.broken.values()).most_common()

    @property
    def ok(self) -> bool:
        """Whether the checked tasks have no fault; duplicates are not a fault."""
        return (
            not self.broken
            and not self.unpassable
            and not self.weak
            and not any(self.shared.values())
        )

    def rows(self) -> Iterator[tuple[str, int, str]]:
        """Yield each finding as its label, its count and the first few ids."""
        for label, found in (
            (
                "canonical solution fails",
                [f"{task_id} ({why})" for task_id, why in self.broken.items()],
            ),
            (
                "cannot be passed",
                [f"{task_id} ({why})" for task_id, why in self.unpassable.items()],
            ),
            ("weak: passed by an idle program", [f"{a} ({b})" for a, b in self.weak.items()]),
            ("generous: an idle program passes half of the cases", self.generous),
            ("same prompt and tests as another task", self.duplicates),
            ("same solution as another task", self.same_solution),
            ("prompt ends in white space", self.cut_prompts),
            *((f"also in split {split!r}", ids) for split, ids in self.shared.items()),
        ):
            yield label, len(found), ", ".join(found[:_SHOWN])


def check_source(
    uri: str, *, count: int = 200, sandbox: "Sandbox | None" = None, judge: bool = True
) -> SourceReport:
    """Check up to ``count`` tasks of a source, spread evenly over it.

    Args:
        uri: URI of the source.
        count: Number of tasks to check.
        sandbox: Sandbox that runs the programs; None makes a new sandbox.
        judge: Whether to run programs.

    Returns:
        The findings.

    Raises:
        ConformanceError: An id is empty, repeated, not stable or not found again; a task changes
            between accesses, or does not survive JSON; the length is wrong.
        ConfigError: The URI is unreadable or names a mixture.
    """
    source = load_tasks(uri)
    if isinstance(source, Mixture):
        raise ConfigError(
            "a mixture cannot be checked as a whole",
            value=uri,
            expected="the URI of a single source",
            cure="check each source of the mixture",
        )
    tasks = _spread(source, count)
    before = [task.to_json() for task in tasks]
    report = SourceReport(uri=uri, size=len(source), contract=source.contract, checked=len(tasks))
    _check_promises(source, uri, count, tasks)
    _find_duplicates(tasks, report)
    _find_leaks(uri, tasks, count, report)
    report.cut_prompts = [task.task_id for task in tasks if task.prompt[-1:].isspace()]
    report.unpassable = {
        task.task_id: "; ".join(found) for task in tasks if (found := reasons(task))
    }
    report.unsolved = sum(task.canonical_solution is None for task in tasks)
    if judge:
        _judge(tasks, sandbox, report)
    for task, row in zip(tasks, before, strict=True):
        if task.to_json() != row:
            raise ConformanceError("a task changes while it is used", value=task.task_id)
    return report


def idle_programs(task: Task) -> list[str]:
    """Return programs that do nothing useful and should pass no task.

    They are ``pass``, ``return None``, plain constants, the most frequent expected result and the
    unchanged first argument; for tasks on standard input, programs that print nothing or a fixed
    text.
    """
    if task.tests.form == "stdio":
        printed = Counter(
            case.expected_stdout for case in task.tests.cases if isinstance(case, StdioCase)
        )
        texts = [f"print({text!r}, end='')\n" for text, _ in printed.most_common(1)]
        return ["pass\n", *texts]
    constants = list(_CONSTANTS)
    expected = Counter(repr(case.expected) for case in _calls(task) if not case.raises)
    constants += [text for text, _ in expected.most_common(1) if _is_literal(text)]
    head = f"def {task.entry_point}(*args, **kwargs):\n    "
    bodies = ["pass", *(f"return {value}" for value in dict.fromkeys(constants)), _FIRST]
    return [f"{head}{body}\n" for body in bodies]


def _calls(task: Task) -> list[CallCase]:
    return [case for case in task.tests.cases if isinstance(case, CallCase)]


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _spread(source: TaskSource, count: int) -> list[Task]:
    size = len(source)
    wanted = min(size, count)
    found = []
    for number in range(wanted):
        index = number * (size - 1) // max(1, wanted - 1)
        try:
            found.append(source[index])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, CodegymError):
                raise
            raise ConformanceError(
                f"task {index} cannot be read ({type(error).__name__}: {error})",
                value=source.uri,
                expected=f"a task for each index below its length, {size}",
            ) from error
    return found


def _check_promises(source: TaskSource, uri: str, count: int, tasks: Sequence[Task]) -> None:
    if not tasks:
        raise ConformanceError("the source is empty", value=uri)
    ids = Counter(task.task_id for task in tasks)
    for task_id, times in ids.items():
        if not task_id or times > 1:
            raise ConformanceError("an id is empty or occurs twice", value=task_id)
    other = load_tasks(uri)
    if len(other) != len(source):
        raise ConformanceError(
            "the length changes between two loads", value=(len(source), len(other))
        )
    if len(source) <= _WHOLE:
        _check_whole(source)
    again = _spread(other, count)
    for task, same in zip(tasks, again, strict=True):
        if task.to_json() != same.to_json():
            raise ConformanceError("a task changes between two loads", value=task.task_id)
        row = json.loads(json.dumps(task.to_json()))
        if Task.from_json(row).to_json() != task.to_json():
            raise ConformanceError("a task does not survive JSON", value=task.task_id)
        if source.find(task.task_id).to_json() != task.to_json():
            raise ConformanceError("find returns another task", value=task.task_id)
    if source[-1].to_json() != source[len(source) - 1].to_json():
        raise ConformanceError("index -1 is not the last task", value=source[-1].task_id)
    _must_raise(IndexError, lambda: source[len(source)], "an index beyond the end is answered")
    _must_raise(CodegymError, lambda: source.find("no/such/id"), "an unknown id is found")


def _check_whole(source: TaskSource) -> None:
    ids = Counter(task.task_id for task in source)
    if ids.total() != len(source):
        raise ConformanceError(
            "iterating does not give as many tasks as there are",
            value=ids.total(),
            expected=str(len(source)),
        )
    for task_id, times in ids.items():
        if times > 1:
            raise ConformanceError("an id is empty or occurs twice", value=task_id)


def _must_raise(kind: type[Exception], action: Callable[[], object], complaint: str) -> None:
    try:
        action()
    except kind:
        return
    raise ConformanceError(complaint, expected=kind.__name__)


def _find_duplicates(tasks: Sequence[Task], report: SourceReport) -> None:
    seen: set[str] = set()
    solved: set[str] = set()
    for task in tasks:
        text = json.dumps([task.prompt, task.tests.to_json()])
        if text in seen:
            report.duplicates.append(task.task_id)
        seen.add(text)
        solution = _solution_key(task)
        if solution and solution in solved:
            report.same_solution.append(task.task_id)
        solved.add(solution)


def _find_leaks(uri: str, tasks: Sequence[Task], count: int, report: SourceReport) -> None:
    """Compare with every other split of the same source, whole or by tasks spread over it."""
    parsed = parse_uri(uri)
    takes = inspect.signature(registry.get("sources", parsed.name)).parameters
    mine = parsed.options.get("split") or (takes["split"].default if "split" in takes else "")
    if not mine:
        return
    ids = {task.task_id for task in tasks}
    for split in _OTHER_SPLITS:
        if split == mine:
            continue
        head = f"{parsed.name}:{parsed.path}" if parsed.path else parsed.name
        try:
            other = load_tasks(f"{head}?{urlencode(parsed.options | {'split': split})}")
            theirs = list(other) if len(other) <= _WHOLE else _spread(other, count)
        except CodegymError:
            continue  # the source has no such split
        if len(other) == report.size and ids <= {task.task_id for task in theirs}:
            continue  # a different name for the same split
        prompts = {_prompt_key(task) for task in theirs}
        solutions = {_solution_key(task) for task in theirs} - {""}
        report.shared[split] = [
            task.task_id
            for task in tasks
            if _prompt_key(task) in prompts or _solution_key(task) in solutions
        ]


def _prompt_key(task: Task) -> str:
    return " ".join(task.prompt.split())


def _solution_key(task: Task) -> str:
    """Return the canonical program without spacing, comments and docstrings; "" if absent."""
    if task.canonical_solution is None:
        return ""
    try:
        return ast_key(task.program(task.canonical_solution))
    except (SyntaxError, ValueError):
        return ""


def _judge(tasks: Sequence[Task], sandbox: "Sandbox | None", report: SourceReport) -> None:
    from codegym.grading.judge import judge_many
    from codegym.sandbox import make_sandbox

    solved = [task for task in tasks if task.canonical_solution is not None]
    idle = [(program, task) for task in tasks for program in idle_programs(task)]
    hidden = [
        replace(task, tests=task.hidden_tests, hidden_tests=None)
        for task in solved
        if task.hidden_tests is not None
    ]
    referred = [(task.program(task.canonical_solution or ""), task) for task in (*solved, *hidden)]
    programs = referred + idle
    if sandbox is None:
        with make_sandbox() as made:
            verdicts = judge_many(programs, sandbox=made)
    else:
        verdicts = judge_many(programs, sandbox=sandbox)
    report.judged = True
    for task, verdict in zip(solved, verdicts, strict=False):
        if not verdict.passed:
            report.broken[task.task_id] = _why(verdict)
    for task, verdict in zip(hidden, verdicts[len(solved) :], strict=False):
        if not verdict.passed:
            report.broken.setdefault(task.task_id, f"hidden tests: {_why(verdict)}")
    for (program, task), verdict in zip(idle, verdicts[len(referred) :], strict=True):
        if verdict.passed:
            report.weak.setdefault(task.task_id, program.strip().split("\n")[-1].strip())
        elif verdict.pass_rate >= 0.5 and task.task_id not in report.generous:
            report.generous.append(task.task_id)


def _why(verdict: Verdict) -> str:
    return " ".join(filter(None, (str(verdict.outcome), verdict.error_type, verdict.error_message)))
