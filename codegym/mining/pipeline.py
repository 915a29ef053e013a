"""Pipeline: turns functions into tasks and returns a fate for each function.

The static stages run here; a sandbox runs everything that executes foreign code. Many functions
are in progress at once, and their fates are returned in input order, so the same modules, settings
and seed give the same file.
"""

import ast
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from codegym.errors import SandboxError
from codegym.mining.contamination import Benchmarks, is_behaviour
from codegym.mining.docstrings import example_literals
from codegym.mining.duplicate_programs import behaviour_key, tree_key
from codegym.mining.finding import (
    Candidate,
    docstring_fault,
    find_candidates,
    literals_of,
    patterns_of,
    result_fault,
)
from codegym.mining.funnel import KEPT, Fate
from codegym.mining.harness import read_answers, study_job
from codegym.mining.inference import Signature, UntypedError, examples_for, infer
from codegym.mining.mined_task import has_fixed_order, make_mined_task
from codegym.mining.mining_config import MiningConfig
from codegym.mining.module_tree import Module, Origin
from codegym.mining.program_assembly import (
    AssembledProgram,
    DependencyError,
    ImpureError,
    ProgramAssembler,
)
from codegym.mining.recorded_answers import read_recorded_answers, recording_jobs
from codegym.mining.strategies import draw_inputs
from codegym.mining.study_report import StudyReport, read_report
from codegym.sandbox.job import ExecutionResult, Job, Sandbox, Ticket
from codegym.tasks.task import Task

MOST_BROKEN = 10


@dataclass(slots=True)
class Work:
    """A function in progress."""

    candidate: Candidate
    fate: Fate | None = None
    task: Task | None = None
    signature: Signature = field(default_factory=Signature)
    assembled: AssembledProgram = field(default_factory=lambda: AssembledProgram("", "", ()))
    tree: str = ""
    prompt: str = ""
    behaviour: dict[str, str] = field(default_factory=dict)
    report: StudyReport | None = None
    recordings: dict[int, ExecutionResult] = field(default_factory=dict)

    def stop(self, stage: str, reason: str) -> None:
        """Record the stage at which the function stops."""
        self.fate = Fate(
            key=self.candidate.key,
            stage=stage,
            reason=reason,
            tree=self.tree,
            behaviour=behaviour_key(self.behaviour),
            prompt=self.prompt,
        )


@dataclass(slots=True)
class Costs:
    """Work of the sandbox: number of jobs, processor seconds, elapsed seconds inside."""

    jobs: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0


class Miner:
    """Turns the functions of modules into tasks.

    Args:
        modules: Modules to mine.
        sandbox: Sandbox that runs foreign code.
        config: Settings of the run.
        benchmarks: Problems that mined functions must not repeat.
        done: Fates of an earlier run over the same modules; its functions are not tried again.

    Attributes:
        costs: Work of the sandbox.
    """

    def __init__(
        self,
        modules: Iterable[Module],
        sandbox: Sandbox,
        *,
        config: MiningConfig | None = None,
        benchmarks: Benchmarks | None = None,
        done: Iterable[Fate] = (),
    ) -> None:
        self.config = config or MiningConfig()
        self.costs = Costs()
        self._modules = [
            module
            for module in modules
            if not self.config.licences or module.origin.licence in self.config.licences
        ]
        # Code is carried within a distribution only, since another may have another licence.
        self._worlds: dict[Origin, dict[str, Module]] = {}
        for module in self._modules:
            self._worlds.setdefault(module.origin, {})[module.name] = module
        self._channel = sandbox.channel()
        self._benchmarks = benchmarks or Benchmarks()
        self._keys: set[str] = set()
        self._trees: set[str] = set()
        self._behaviours: set[str] = set()
        self._prompts: set[str] = set()
        self._tickets: dict[Ticket, tuple[Work, int]] = {}
        self._broken = 0
        for fate in done:
            self._keys.add(fate.key)
            self._trees |= {fate.tree} - {""}
            self._prompts |= {fate.prompt} - {""}
            if fate.stage == KEPT:
                self._behaviours |= {fate.behaviour} - {""}

    def candidates(self) -> list[Candidate]:
        """Return the functions that are left to try, in order."""
        found: dict[str, Candidate] = {}
        for module in self._modules:
            for candidate in find_candidates(module):
                if candidate.key not in self._keys:
                    found.setdefault(candidate.key, candidate)
        return list(found.values())

    def mine(self) -> Iterator[tuple[Fate, Task | None]]:
        """Yield the fate of every function in order, with its task if it was kept.

        Raises:
            SandboxError: The sandbox broke too often to blame the functions.
        """
        waiting: deque[Work] = deque()
        for candidate in self.candidates():
            work = Work(candidate)
            try:
                self._begin(work)
            except RecursionError:
                work.stop("self-contained", "nested too deeply")
            waiting.append(work)
            while waiting and (waiting[0].fate or len(waiting) >= self.config.window):
                yield from self._settled(waiting)
        while waiting:
            yield from self._settled(waiting)

    def _settled(self, waiting: deque[Work]) -> Iterator[tuple[Fate, Task | None]]:
        work = waiting[0]
        if work.fate is None:
            self._collect()
            return
        waiting.popleft()
        if work.fate.stage == KEPT and work.fate.behaviour:
            if work.fate.behaviour in self._behaviours:
                work.stop("distinct", "behaves like an earlier function")
                work.task = None
            else:
                self._behaviours.add(work.fate.behaviour)
        assert work.fate is not None
        yield work.fate, work.task

    def _begin(self, work: Work) -> None:
        """Run a function through the static stages, and submit it to the sandbox."""
        candidate = work.candidate
        for stage, reason in (
            ("returns a value", result_fault(candidate)),
            ("documented", docstring_fault(candidate)),
        ):
            if reason:
                return work.stop(stage, reason)
        try:
            work.signature = infer(candidate.module, candidate.node)
            assembler = ProgramAssembler(self._worlds[candidate.module.origin])
            work.assembled = assembler.assemble(candidate.module, candidate.node)
            work.tree = tree_key(work.assembled.program)
        except UntypedError as error:
            return work.stop("typed", f"untyped parameter: {error}")
        except DependencyError as error:
            return work.stop("self-contained", str(error))
        except ImpureError as error:
            return work.stop("pure", str(error))
        except (SyntaxError, RecursionError) as error:
            return work.stop("self-contained", f"does not parse alone: {error}")
        if work.tree in self._trees:
            return work.stop("new", "the code of an earlier function")
        self._trees.add(work.tree)
        if not self._has_unique_prompt(work):
            return work.stop("new", "the prompt of an earlier function")
        sign = self._benchmarks.text_sign(candidate.node, candidate.docstring)
        if sign:
            return work.stop("new", f"in a benchmark: {sign}")
        self._submit(work, 0, study_job(self._operations(work)))
        return None

    def _has_unique_prompt(self, work: Work) -> bool:
        """Make the prompt unique, with the module's docstring if necessary.

        Two tasks with the same prompt cannot both be solved.
        """
        candidate = work.candidate
        for preface in (False, True):
            if preface:
                assembler = ProgramAssembler(self._worlds[candidate.module.origin])
                try:
                    work.assembled = assembler.assemble(
                        candidate.module, candidate.node, preface=True
                    )
                except DependencyError:
                    return False  # too long with the docstring
            text = " ".join(work.assembled.head.split())
            digest = hashlib.sha256(text.encode()).hexdigest()[:24]
            if digest not in self._prompts:
                self._prompts.add(digest)
                work.prompt = digest
                return True
        return False

    def _operations(self, work: Work) -> list[list[Any]]:
        candidate, signature = work.candidate, work.signature
        return [
            ["load", work.assembled.program, candidate.node.name],
            ["explore", self._exploration(work)],
            ["strength"],
            ["behaviour", signature.required],
        ]

    def _exploration(self, work: Work) -> dict[str, Any]:
        """Return the job of ``inside.probe.Explorer``."""
        candidate, signature = work.candidate, work.signature
        tree = ast.parse(work.assembled.program)
        seed = _seed(self.config.seed, candidate.key)
        module_docs = ast.get_docstring(candidate.module.tree) or ""
        return {
            "seed": seed,
            "params": signature.params,
            "required": signature.required,
            "rest": signature.rest,
            "keywords": {name: list(entry) for name, entry in signature.keywords.items()},
            "examples": examples_for(candidate.module, candidate.node.name, candidate.docstring),
            "literals": literals_of(tree)
            + example_literals(f"{candidate.docstring}\n\n{module_docs}"),
            "patterns": patterns_of(tree),
            "given": draw_inputs(signature.params, seed=seed, count=self.config.hypothesis)
            if self.config.hypothesis and signature.params
            else [],
            "loose": [
                number
                for number, evidence in enumerate(signature.evidence.values())
                if evidence != "annotation" and number < len(signature.params)
            ],
        }

    def _submit(self, work: Work, part: int, job: Job) -> None:
        self.costs.jobs += 1
        self._tickets[self._channel.submit(job)] = (work, part)

    def _collect(self) -> None:
        try:
            arrived = self._channel.collect()
        except SandboxError as error:
            self._broken += 1
            if error.ticket not in self._tickets or self._broken > MOST_BROKEN:
                raise
            work, _ = self._tickets.pop(error.ticket)
            work.stop("runs", "the sandbox could not run it")
            return
        for ticket, result in arrived:
            work, part = self._tickets.pop(ticket)
            self.costs.cpu_s += result.cpu_s
            self.costs.wall_s += result.wall_s
            if work.fate is not None:
                continue
            if part == 0:
                self._read_study(work, result)
            else:
                work.recordings[part] = result
                if len(work.recordings) == 2:
                    self._read_recordings(work)

    def _read_study(self, work: Work, result: ExecutionResult) -> None:
        study = read_answers(result)
        report = read_report(study, result, self.config.min_strength)
        if len(study) == 4 and is_behaviour(study[3]):
            work.behaviour = study[3]
        if isinstance(report, tuple):
            return work.stop(*report)
        sign = self._benchmarks.behaviour_sign(work.signature.required, work.behaviour)
        if sign:
            return work.stop("new", f"in a benchmark: {sign}")
        work.report = report
        calls = report.cases + report.witnesses
        jobs = recording_jobs(work.assembled.program, work.candidate.node.name, calls)
        for part, job in enumerate(jobs, start=1):
            self._submit(work, part, job)
        return None

    def _read_recordings(self, work: Work) -> None:
        report = work.report
        assert report is not None
        count = len(report.cases)
        answers = read_recorded_answers(
            work.recordings[1], work.recordings[2], count + len(report.witnesses)
        )
        if isinstance(answers, str):
            return work.stop("deterministic", answers)
        answers = answers[:count]
        if not has_fixed_order([*map(list, report.cases), *map(list, answers)]):
            return work.stop("deterministic", "a set of texts has no order")
        if not report.agrees(answers):
            return work.stop("deterministic", "another answer than when studied")
        work.task = make_mined_task(
            work.candidate, work.assembled, work.signature, report, answers, seed=self.config.seed
        )
        return work.stop(KEPT, "")


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:6])
