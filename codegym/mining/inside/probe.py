"""Probe: loads a function inside the sandbox and explores its behaviour.

``Explorer`` draws inputs and keeps those that reach new branches or give new results, as a fuzzer
does; ``inside.strength`` then tests the function against its mutants. Limits count steps, never
seconds, so the same job gives the same answer everywhere. Runs inside the sandbox.
"""

import ast
import json
from collections import Counter
from random import Random
from typing import Any, NamedTuple

from codegym.mining.inside.instrument import Arcs, Meter, OverBudget, Ticking
from codegym.mining.inside.samplers import WILD, Sampler
from codegym.sandbox import wire

FIRST_RUNS, ROUND_RUNS, MOST_RUNS = 70, 50, 260
CALL_STEPS, ALL_STEPS, LOAD_STEPS = 20_000, 250_000, 200_000
INPUT_CHARS, OUTPUT_CHARS = 500, 1500
WILD_RUNS = 30
STUDIED = "<studied>"


class Run(NamedTuple):
    """A call: its input as wire trees, its end and its cost.

    ``kind`` is ``r`` for a result, ``e`` for an exception that the program raises on purpose, ``f``
    for a failure, ``u`` for a result that cannot be encoded, ``x`` for too many steps. ``text`` is
    the input as JSON.
    """

    args: list[Any]
    kwargs: dict[str, Any]
    kind: str
    result: Any
    arcs: frozenset[int]
    steps: int
    text: str = ""

    @property
    def outcome(self) -> str:
        """The result as a text, equal for equal results."""
        return self.kind + json.dumps(self.result)


class Subject:
    """The program under study, loaded with counters.

    Args:
        source: The whole program.
        entry: Name of the function.
    """

    def __init__(self, source: str, entry: str) -> None:
        self.meter = Meter()
        self.entry = entry
        tree = ast.parse(source)
        places = [
            at
            for at, node in enumerate(tree.body)
            if isinstance(node, ast.FunctionDef) and node.name == entry
        ]
        place = places[-1]
        self.function = ast.parse(source).body[place]
        arcs = Arcs()
        tree.body[place] = arcs.visit(tree.body[place])
        self.wanted = frozenset(arcs.wanted)
        self._raise_lines = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        tree = ast.fix_missing_locations(Ticking().visit(tree))
        self.names: dict[str, Any] = {"__name__": "candidate"} | self.meter.names()
        self.meter.start(LOAD_STEPS)
        exec(compile(tree, STUDIED, "exec", dont_inherit=True), self.names)

    def call(self, args: list[Any], kwargs: dict[str, Any], steps: int = CALL_STEPS) -> Run:
        """Call the function on decoded copies of the trees."""
        values = [wire.decode(tree) for tree in args]
        named = {name: wire.decode(tree) for name, tree in kwargs.items()}
        self.meter.start(steps)
        kind, result = "r", None
        try:
            result = wire.encode(self.names[self.entry](*values, **named))
        except (OverBudget, MemoryError, RecursionError):
            kind = "x"
        except wire.UnencodableError:
            kind = "u"
        except BaseException as error:
            kind, result = "e", type(error).__name__
            if steps == CALL_STEPS and not self._is_meant(error):
                kind = "f"
        return Run(args, kwargs, kind, result, frozenset(self.meter.arcs), self.meter.used)

    def _is_meant(self, error: BaseException) -> bool:
        """Return whether a ``raise`` statement of the program raised an exception."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        return (
            trace is not None
            and trace.tb_frame.f_code.co_filename == STUDIED
            and trace.tb_lineno in self._raise_lines
        )


class Explorer:
    """Draws inputs for a subject and keeps the informative ones.

    Args:
        subject: The program.
        job: ``seed``; ``params``, a type for each parameter; ``required``, the number of required
            parameters; ``rest``, the type of further arguments or None; ``keywords``, name ->
            type; ``examples``, argument lists as Python text; ``literals``; ``patterns``, regular
            expressions; ``given``, further argument lists as wire trees; ``loose``, the numbers
            of the parameters whose type is a guess.

    Attributes:
        runs: The runs in order, one for each distinct input.
        ends: Number of runs for each kind of end, exceptions with their names.
        documented: Inputs from the documentation, as JSON.
    """

    def __init__(self, subject: Subject, job: dict[str, Any]) -> None:
        self.subject = subject
        self.job = job
        self.rng = Random(job["seed"])
        self.sampler = Sampler(self.rng, job["literals"], job["patterns"])
        self.runs: list[Run] = []
        self.ends: Counter[str] = Counter()
        self.steps = 0
        self.documented: set[str] = set()
        self._seen: set[str] = set()
        self._arcs: set[int] = set()
        self._outcomes: set[str] = set()
        self._fertile: list[Run] = []

    def explore(self) -> None:
        """Run examples, boundary values and random inputs, then variations of fertile inputs."""
        for text in self.job["examples"]:
            self._try_example(text)
        for args in self._boundaries():
            self.attempt(args, {})
        for _ in range(FIRST_RUNS):
            self.attempt(*self.fresh())
        for trees in self.job["given"]:
            self.attempt([wire.decode(tree) for tree in trees], {})
        for _ in range(WILD_RUNS if self.job["loose"] else 0):
            self.attempt(*self._wild())
        while not self._done():
            before = len(self._arcs), len(self._outcomes)
            for _ in range(ROUND_RUNS):
                self.attempt(*self.variation())
            if before == (len(self._arcs), len(self._outcomes)):
                break

    def fresh(self) -> tuple[list[Any], dict[str, Any]]:
        """Draw an input of the declared types."""
        job, sampler, rng = self.job, self.sampler, self.rng
        count = rng.randint(job["required"], len(job["params"]))
        args = [sampler.draw(spec) for spec in job["params"][:count]]
        if job["rest"] is not None and count == len(job["params"]):
            args += [sampler.draw(job["rest"]) for _ in range(rng.randrange(4))]
        keywords = {
            name: sampler.draw(spec)
            for name, (spec, needed) in job["keywords"].items()
            if needed or rng.random() < 0.3
        }
        return args, keywords

    def _wild(self) -> tuple[list[Any], dict[str, Any]]:
        """Draw an input with a value of any type for a parameter whose type is a guess."""
        args, kwargs = self.fresh()
        at = self.rng.choice(self.job["loose"])
        if at < len(args):
            args[at] = self.sampler.draw(WILD)
        return args, kwargs

    def variation(self, runs: list[Run] | None = None) -> tuple[list[Any], dict[str, Any]]:
        """Draw an input close to a fertile input, or a fresh input."""
        pool = runs or self._fertile
        if not pool or self.rng.random() < 0.2:
            return self.fresh()
        run = self.rng.choice(pool)
        args = [wire.decode(tree) for tree in run.args]
        kwargs = {name: wire.decode(tree) for name, tree in run.kwargs.items()}
        if args:
            for _ in range(self.rng.choice((1, 1, 2, 3))):
                at = self.rng.randrange(len(args))
                args[at] = self._vary(args[at])
        elif kwargs:
            name = self.rng.choice(list(kwargs))
            kwargs[name] = self._vary(kwargs[name])
        return args, kwargs

    def attempt(self, args: list[Any], kwargs: dict[str, Any]) -> Run | None:
        """Run an input; None if it is known, too large, or cannot be encoded."""
        try:
            trees = [wire.encode(value) for value in args]
            named = {name: wire.encode(value) for name, value in kwargs.items()}
            text = json.dumps([trees, named])
        except (wire.UnencodableError, ValueError, RecursionError):
            return None
        if text in self._seen or len(text) > INPUT_CHARS or self.steps > ALL_STEPS:
            return None
        self._seen.add(text)
        run = self.subject.call(trees, named)._replace(text=text)
        self.steps += run.steps
        self.ends[run.kind if run.kind not in "ef" else f"{run.kind}:{run.result}"] += 1
        if run.kind not in "re" or len(run.outcome) > OUTPUT_CHARS or " at 0x" in run.outcome:
            return None
        self.runs.append(run)
        if not run.arcs <= self._arcs or (
            len(self._outcomes) < 40 and run.outcome not in self._outcomes
        ):
            self._fertile.append(run)
        self._arcs |= run.arcs
        self._outcomes.add(run.outcome)
        return run

    def _done(self) -> bool:
        return len(self._seen) >= MOST_RUNS or self.steps > ALL_STEPS

    def _boundaries(self) -> list[list[Any]]:
        specs = self.job["params"]
        rows = [self.sampler.boundary(spec) or [self.sampler.draw(spec)] for spec in specs]
        if not rows:
            return [[]]
        longest = max(map(len, rows))
        found = [[row[at % len(row)] for row in rows] for at in range(longest)]
        found += [[row[(at + 1 + k) % len(row)] for k, row in enumerate(rows)] for at in range(6)]
        return found + [row[: self.job["required"]] for row in found[:4]]

    def _try_example(self, text: str) -> None:
        scope = dict(self.subject.names)
        scope["_cg_given"] = lambda *args, **kwargs: (list(args), kwargs)
        self.subject.meter.start(CALL_STEPS)
        try:
            args, kwargs = eval(f"_cg_given({text})", scope)
        except BaseException:
            return  # it needs names that the program does not hold
        run = self.attempt(args, kwargs)
        if run is not None:
            self.documented.add(run.text)

    def _vary(self, value: Any) -> Any:
        return value if callable(value) or hasattr(value, "__next__") else self.sampler.vary(value)
