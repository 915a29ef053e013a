"""Study: the function that the sandbox calls, with an operation in each call.

``load``, ``explore``, ``strength`` and ``behaviour`` run in this order in the same process and
return plain values. Runs inside the sandbox.
"""

from collections.abc import Callable
from typing import Any

from codegym.mining.inside.behaviour import behaviour
from codegym.mining.inside.probe import Explorer, Subject
from codegym.mining.inside.strength import Strength

_SURVIVORS_LISTED, _WITNESSES = 12, 10
_state: dict[str, Any] = {}


def study(operation: str, *args: Any) -> Any:
    """Run an operation.

    Args:
        operation: Name of an operation, from the module's docstring.
        args: ``load``: the program and the function's name; ``explore``: the job, see
            ``Explorer``; ``behaviour``: the number of arguments.
    """
    return _OPERATIONS[operation](*args)


def _load(source: str, entry: str) -> int:
    _state["subject"] = Subject(source, entry)
    return len(_state["subject"].wanted)


def _explore(job: dict[str, Any]) -> dict[str, Any]:
    explorer = Explorer(_state["subject"], job)
    explorer.explore()
    _state["explorer"] = explorer
    values = [run for run in explorer.runs if run.kind == "r"]
    return {
        "runs": sum(explorer.ends.values()),
        "ends": dict(explorer.ends),
        "results": len({run.outcome for run in values}),
        "values": len(values),
        "nones": sum(run.result is None for run in values),
        "largest_share": _largest_share([run.outcome for run in values]),
    }


def _strength() -> dict[str, Any]:
    strength = Strength(_state["explorer"])
    strength.run()
    kept = strength.minimised()
    covered = frozenset().union(*(strength.cases[number].arcs for number in kept))
    survivors = [trial.mutant for trial in strength.trials if not trial.killers]
    return {
        "steady": strength.is_steady(),
        "cases": [[strength.cases[number].args, strength.cases[number].kwargs] for number in kept],
        "witnesses": [
            [run.args, run.kwargs]
            for number, run in enumerate(strength.cases)
            if number not in kept and run.kind == "r"
        ][-_WITNESSES:],
        "ends": [[strength.cases[number].kind, strength.cases[number].result] for number in kept],
        "branches": len(_state["subject"].wanted),
        "covered": len(covered & _state["subject"].wanted),
        "mutants": len(strength.trials),
        "killed": len(strength.trials) - len(survivors),
        "equivalent": strength.equivalent,
        "alike": strength.alike,
        "survivors": [[mutant.operator, mutant.line] for mutant in survivors[:_SURVIVORS_LISTED]],
    }


def _behaviour(arity: int) -> dict[str, str]:
    return {str(number): text for number, text in behaviour(_state["subject"], arity).items()}


def _largest_share(outcomes: list[str]) -> float:
    return max(map(outcomes.count, set(outcomes))) / len(outcomes) if outcomes else 1.0


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "load": _load,
    "explore": _explore,
    "strength": _strength,
    "behaviour": _behaviour,
}
