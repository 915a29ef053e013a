"""Strength: finds the mutants that a set of cases kills, and a small set that kills as many.

Runs inside the sandbox.
"""

import ast
import itertools
from collections import Counter
from types import CodeType
from typing import Any

from codegym.grading.compare import same
from codegym.mining.inside.instrument import Ticking
from codegym.mining.inside.mutants import Mutant, make, sites
from codegym.mining.inside.probe import Explorer, Run, Subject

MOST_MUTANTS, MOST_CASES, KILLS_KEPT = 80, 36, 3
HUNT_RUNS, HUNT_STEPS, CASE_STEPS = 350, 200_000, 30_000
ENDLESS_STEPS = 150_000
TOLERANCE = 1e-9
TELLING = 6
MOST_KEPT, FEWEST_KEPT = 20, 4


class Trial:
    """A compiled mutant, and the numbers of the cases that kill it."""

    __slots__ = ("code", "endless", "killers", "mutant")

    def __init__(self, mutant: Mutant, code: Any) -> None:
        self.mutant = mutant
        self.code = code
        self.killers: list[int] = []
        self.endless = False


class Strength:
    """Runs the mutants of an explored function.

    Args:
        explorer: Explorer whose runs provide the cases.

    Attributes:
        cases: Runs in use; grows when the hunt for survivors finds a killer.
        trials: A trial for each mutant that differs from the function and from the others.
        equivalent: Number of mutants left out because they compile to the function's code.
        alike: Number of mutants left out because they compile to another mutant's code.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._subject: Subject = explorer.subject
        self.cases = choose_cases(explorer.runs)
        missing = TELLING - sum(not is_echo(run) for run in self.cases)
        if missing > 0:
            telling = (run for run in explorer.runs if not is_echo(run) and run not in self.cases)
            self.cases += itertools.islice(telling, missing)
        self.trials: list[Trial] = []
        self.equivalent = self.alike = 0
        self._make()

    def _make(self) -> None:
        function = self._subject.function
        assert isinstance(function, ast.FunctionDef)
        places = sites(function)
        if len(places) > MOST_MUTANTS:
            places = sorted(self._explorer.rng.sample(places, MOST_MUTANTS))
        own = _shape(_code(function))
        seen = {own}
        for place in places:
            mutant = make(function, place)
            try:
                code = _code(mutant.tree)
            except (SyntaxError, ValueError):
                continue
            shape = _shape(code)
            if shape == own:
                self.equivalent += 1
            elif shape in seen:
                self.alike += 1
            else:
                seen.add(shape)
                self.trials.append(Trial(mutant, _code(mutant.tree, ticking=True)))

    def run(self) -> None:
        """Run every mutant on the cases, then hunt for inputs that kill the survivors."""
        order = list(range(len(self.cases)))
        credit: Counter[int] = Counter()
        for trial in self.trials:
            order.sort(key=lambda number: -credit[number])
            for number in order:
                if self._kills(trial, self.cases[number]):
                    trial.killers.append(number)
                    credit[number] += 1
                    if len(trial.killers) >= KILLS_KEPT or trial.endless:
                        break
        self._hunt()

    def _hunt(self) -> None:
        survivors = [trial for trial in self.trials if not trial.killers]
        base = list(self.cases)
        steps = 0
        self._explorer.steps = 0
        for _ in range(HUNT_RUNS):
            if not survivors or steps > HUNT_STEPS:
                return
            run = self._explorer.attempt(*self._explorer.variation(base))
            if run is None:
                continue
            killed = [trial for trial in survivors if self._kills(trial, run)]
            steps += run.steps * (1 + len(survivors))
            if killed:
                self.cases.append(run)
                for trial in killed:
                    trial.killers.append(len(self.cases) - 1)
                survivors = [trial for trial in survivors if not trial.killers]

    def _kills(self, trial: Trial, case: Run) -> bool:
        names, entry = self._subject.names, self._subject.entry
        original = names[entry]
        try:
            exec(trial.code, names)
            run = self._subject.call(case.args, case.kwargs, 10 * case.steps + 201)
            if run.kind == "x":  # slow is not wrong; only a seemingly endless mutant is killed
                run = self._subject.call(case.args, case.kwargs, ENDLESS_STEPS)
                trial.endless = run.kind == "x"
        except BaseException:
            return True  # it cannot be defined
        finally:
            names[entry] = original
        return not agrees(run, case)

    def is_steady(self) -> bool:
        """Return whether the function still gives its earlier results after the mutants ran."""
        again = [self._subject.call(case.args, case.kwargs) for case in reversed(self.cases)]
        return all(agrees(run, case) for run, case in zip(reversed(again), self.cases, strict=True))

    def minimised(self) -> list[int]:
        """Return the numbers of few cases that keep all branches and kills, chosen greedily.

        A program that returns its first argument fails at least one of the cases.
        """
        needs: list[set[int]] = [set(trial.killers) for trial in self.trials if trial.killers]
        arcs = frozenset().union(*(case.arcs for case in self.cases))
        needs += [
            {number for number, case in enumerate(self.cases) if arc in case.arcs} for arc in arcs
        ]
        telling = {number for number, case in enumerate(self.cases) if not is_echo(case)}
        needs += [telling] if telling else []
        kept: list[int] = []
        while needs:
            votes = Counter(number for need in needs for number in need)
            best = max(votes, key=lambda number: (votes[number] / self._cost(number), -number))
            kept.append(best)
            needs = [need for need in needs if best not in need]
        return sorted(self._balanced(kept))

    def _cost(self, number: int) -> float:
        case = self.cases[number]
        if case.text in self._explorer.documented:
            return 0.6  # the author's examples show the purpose of the function
        return 1.0 + (len(case.text) + len(case.outcome)) / 120 + 0.5 * (case.kind == "e")

    def _balanced(self, kept: list[int]) -> list[int]:
        """Add cases until neither a constant nor the first argument passes half of them."""
        left = sorted(set(range(len(self.cases))) - set(kept), key=self._cost)
        while left and len(kept) < MOST_KEPT:
            counts = Counter(self.cases[number].outcome for number in kept)
            values = sum(self.cases[number].kind == "r" for number in kept)
            ((_, most),) = counts.most_common(1) or [("", 0)]
            echoes = sum(is_echo(self.cases[number]) for number in kept)
            echoing = 2 * echoes >= len(kept)
            if (
                not echoing
                and len(kept) >= FEWEST_KEPT
                and 2 * most < len(kept)
                and 2 * values >= len(kept)
            ):
                break
            rarest = min(left, key=lambda number: (
                self.cases[number].kind == "e",
                echoing and is_echo(self.cases[number]),
                counts[self.cases[number].outcome], self._cost(number)))  # fmt: skip
            if echoing and len(kept) >= FEWEST_KEPT and is_echo(self.cases[rarest]):
                break
            if 2 * counts[self.cases[rarest].outcome] >= max(2, len(kept)):
                break
            kept.append(rarest)
            left.remove(rarest)
        return kept


def agrees(run: Run, expected: Run) -> bool:
    """Return whether a run ended as expected, by the judge's rules."""
    if run.kind != expected.kind:
        return False
    if run.kind == "r":
        return same(run.result, expected.result, TOLERANCE, "strict")
    return bool(run.result == expected.result)


def is_echo(run: Run) -> bool:
    """Return whether a run returned its first argument unchanged."""
    given = [*run.args, *run.kwargs.values()]
    return run.kind == "r" and bool(given) and same(given[0], run.result, TOLERANCE, "strict")


def choose_cases(runs: list[Run]) -> list[Run]:
    """Choose runs for the mutants: every set of branches, then every result, short runs first.

    At most a third of them raise an exception.
    """
    ordered = sorted(runs, key=lambda run: (run.kind == "e", len(run.text) + len(run.outcome)))
    seen_arcs: Counter[frozenset[int]] = Counter()
    seen_outcomes: Counter[str] = Counter()
    ranked = []
    for position, run in enumerate(ordered):
        rank = (seen_arcs[run.arcs], seen_outcomes[run.outcome], position)
        ranked.append((rank, run))
        seen_arcs[run.arcs] += 1
        seen_outcomes[run.outcome] += 1
    chosen: list[Run] = []
    steps = raising = 0
    for _, run in sorted(ranked, key=lambda row: row[0]):
        if run.kind == "e":
            if raising >= MOST_CASES // 3:
                continue
            raising += 1
        chosen.append(run)
        steps += run.steps
        if len(chosen) >= MOST_CASES or steps > CASE_STEPS:
            break
    return chosen


def _code(function: ast.FunctionDef, *, ticking: bool = False) -> Any:
    node = _without_annotations(function)
    tree = ast.Module(body=[node], type_ignores=[])
    if ticking:
        tree = Ticking().visit(tree)
    return compile(ast.fix_missing_locations(tree), "<mutant>", "exec", dont_inherit=True)


def _shape(code: Any) -> tuple[Any, ...]:
    """Return the effect of a code object, without line numbers."""
    constants = tuple(
        _shape(constant) if isinstance(constant, CodeType) else (type(constant), repr(constant))
        for constant in code.co_consts
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_exceptiontable,
            code.co_freevars, code.co_cellvars, code.co_flags)  # fmt: skip


def _without_annotations(function: ast.FunctionDef) -> ast.FunctionDef:
    # Outside their module, annotations might use names that do not exist.
    node = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.returns = None
    for arg in ast.walk(node.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    return node
