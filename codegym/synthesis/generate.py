"""Generate: draws a task from a random stream."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from random import Random
from typing import Any, Literal, get_args

from codegym.atoms import catalogue
from codegym.atoms.atom import NAMES, Atom
from codegym.atoms.inputs import sample
from codegym.errors import ConfigError, UnknownNameError
from codegym.sandbox.limits import Limits
from codegym.synthesis.composition import Composition, Parameters
from codegym.synthesis.rivals import chosen_cases
from codegym.synthesis.space import Space, space_of
from codegym.synthesis.splits import DOMAINS, Split, SplitRule, are_held_out, domain_named
from codegym.synthesis.task_text import Style, write_prompt, write_solution
from codegym.synthesis.validity import outputs_of
from codegym.tasks.task import Task, TestSuite

Shape = Literal["chain", "fork", "any"]
Choice = Literal["drawn", "weak", "strong"]
_LIMITS = Limits()
_MAX_DEPTH = 4
_DRAWS = 20_000
_TRIES = 3
_LISTED = 5000
_POOL = 16


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """Settings of task synthesis, which control the difficulty.

    Attributes:
        domain: ``small``, ``big`` or ``all``; see ``splits.DOMAINS``.
        min_depth: Fewest atoms, at least 1.
        max_depth: Most atoms, at most 4.
        split: Set of compositions to draw from; A with ``min_depth=1`` also draws single atoms.
        atoms: Names of the allowed atoms; empty for all of the domain.
        types: Allowed types; empty for all of the domain.
        shape: ``chain``, ``fork``, or ``any`` for half of each.
        style: ``inline`` or ``helpers``; see ``task_text.write_solution``.
        tests: Number of test cases.
        hidden: Number of hidden test cases; 0 for none. With hidden tests, the others are chosen
            from 16 cases, so that tasks differ in nothing but their tests where ``tests`` and
            ``choice`` differ.
        choice: How the tests are chosen: as they were ``drawn``, the ``weak`` ones that tell few
            wrong programs from the right one, or ``strong`` ones that together tell many; see
            ``rivals``.
        held_out_parameters: For single atoms, whether to draw parameters from the fifth that
            training never uses rather than from the rest.
        hold_out: Seed of the split.
    """

    domain: str = "small"
    min_depth: int = 2
    max_depth: int = 2
    split: Split = Split.A
    atoms: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    shape: Shape = "chain"
    style: Style = "inline"
    tests: int = 8
    hidden: int = 0
    choice: Choice = "drawn"
    held_out_parameters: bool = False
    hold_out: int = 0

    def __post_init__(self) -> None:
        domain = domain_named(self.domain)
        if not 1 <= self.min_depth <= self.max_depth <= _MAX_DEPTH:
            raise ConfigError(
                "unusable depth",
                value=f"{self.min_depth}-{self.max_depth}",
                expected=f"1 to {_MAX_DEPTH}, as '2' or '1-3'",
            )
        if self.split in (Split.A, Split.B) and self.max_depth > domain.train_depth:
            raise ConfigError(
                f"domain {self.domain!r} trains on at most {domain.train_depth} atoms",
                value=self.max_depth,
                cure=_longer(self.max_depth),
            )
        if not self.depths:
            raise ConfigError(
                f"split {self.split!s} has no composition of this depth",
                value=f"{self.min_depth}-{self.max_depth}",
                cure="b and c (test) begin at two atoms; atoms holds single atoms",
            )
        if self.tests < 2:
            raise ConfigError("outputs must vary", value=self.tests, expected="tests >= 2")
        if self.hidden < 0 or (self.hidden and self.tests > _POOL):
            raise ConfigError(
                "unusable number of tests",
                value={"tests": self.tests, "hidden": self.hidden},
                expected=f"hidden >= 0, and at most {_POOL} tests beside hidden ones",
            )
        if self.choice != "drawn" and not self.hidden:
            raise ConfigError(
                "tests are chosen by their strength only beside hidden tests",
                value=self.choice,
                cure="give hidden=16",
            )
        for kind, value, known in (
            ("shape", self.shape, get_args(Shape)),
            ("style", self.style, get_args(Style)),
            ("choice", self.choice, get_args(Choice)),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, known)
        for name in self.atoms:
            if name not in catalogue():
                raise UnknownNameError("atom", name, catalogue())
        for name in self.types:
            if name not in NAMES:
                raise UnknownNameError("type", name, NAMES)

    @cached_property
    def rule(self) -> SplitRule:
        """Rule that assigns compositions to splits."""
        return SplitRule(train_depth=domain_named(self.domain).train_depth, seed=self.hold_out)

    @cached_property
    def accepted(self) -> tuple[Split, ...]:
        """Splits that compositions may come from; A includes Atom_base."""
        return (Split.A, Split.ATOMS) if self.split is Split.A else (self.split,)

    @property
    def space(self) -> Space:
        """Compositions that pass the domain and the filters."""
        return space_of(domain_named(self.domain).level, self.atoms, self.types)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Depths within the configured range that the split can have."""
        lowest = {Split.ATOMS: 1, Split.A: 1, Split.B: 2, Split.C: 2}[self.split]
        highest = 1 if self.split is Split.ATOMS else self.max_depth
        return tuple(range(max(self.min_depth, lowest), highest + 1))


def _longer(depth: int) -> str:
    """Name the domains and the split that hold compositions of a depth."""
    deep = [f"domain={name}" for name, domain in DOMAINS.items() if domain.train_depth >= depth]
    return f"take {' or '.join([*deep, 'split=c'])}, which has longer compositions"


@lru_cache(maxsize=64)
def members(config: SynthesisConfig, depth: int) -> tuple[Composition, ...]:
    """Return the chains of a depth that the configuration draws from.

    Args:
        config: Settings of the synthesis.
        depth: Number of atoms; each further atom makes the list about twenty times longer.
    """
    split_of = config.rule.split_of
    return tuple(
        chain for chain in config.space.chains(depth) if split_of(chain) in config.accepted
    )


def draw_composition(config: SynthesisConfig, rng: Random, depth: int) -> Composition:
    """Draw a composition of a depth from the configured split.

    Raises:
        ConfigError: The settings leave no composition of this depth, or almost none.
    """
    for _ in range(_DRAWS):
        if depth > 1 and config.shape != "chain" and (config.shape == "fork" or rng.random() < 0.5):
            composition = config.space.draw_fork(rng, depth)
        elif config.space.count(depth) <= _LISTED:
            listed = members(config, depth)
            if not listed:
                break
            return listed[int(rng.random() * len(listed))]
        else:
            composition = config.space.draw_chain(rng, depth)
        if composition is not None and config.rule.split_of(composition) in config.accepted:
            return composition
    raise ConfigError(
        "these settings leave no composition",
        value=f"domain={config.domain}, depth={depth}, split={config.split}, "
        f"shape={config.shape}, {len(config.space.atoms)} atoms",
        cure="allow more atoms or types, or another depth",
    )


def draw_task(
    config: SynthesisConfig, rng: Random, *, name: Callable[[str], str] = str, split: str = ""
) -> Task:
    """Draw a valid task; all depths of the range are equally likely.

    An invalid draw is repeated at the same depth.

    Args:
        config: Settings of the synthesis.
        rng: Source of randomness; the same stream gives the same task.
        name: Turns the composition's key into the task's id.
        split: Name of the split in the metadata; by default the configuration's split.

    Raises:
        ConfigError: The settings leave no composition that makes valid tasks.
    """
    depth = config.depths[int(rng.random() * len(config.depths))]
    for _ in range(_DRAWS):
        composition = draw_composition(config, rng, depth)
        for _ in range(_TRIES):
            task = make_task(
                composition, rng, config=config, name=name, split=split or str(config.split)
            )
            if task is not None:
                return task
    raise ConfigError("these settings leave no valid task", value=config)


def make_task(
    composition: Composition,
    rng: Random,
    *,
    config: SynthesisConfig,
    name: Callable[[str], str] = str,
    split: str = "",
) -> Task | None:
    """Make a task of a composition by drawing parameters, inputs and wording.

    Returns:
        The task, or None if this draw breaks a rule of ``validity``.
    """
    parameters = composition.draw(rng)
    first = composition.stages[0]
    if composition.depth == 1 and config.held_out_parameters is not are_held_out(
        composition.atoms[0], parameters[0], config.rule
    ):
        return None
    inputs = sample(
        composition.arguments,
        rng,
        n=_POOL + config.hidden if config.hidden else config.tests,
        atom=first if isinstance(first, Atom) else None,
    )
    outputs = outputs_of(composition, parameters, inputs) if len(inputs) > 1 else None
    if outputs is None:
        return None
    cases = list(zip(inputs, outputs, strict=True))
    hidden = None
    if config.hidden:
        if len(cases) < _POOL + config.hidden:
            return None
        hidden = TestSuite.of_calls(cases[_POOL:], limits=_LIMITS)
        chosen = chosen_cases(composition, parameters, cases[:_POOL], config.space, config.tests)
        cases = [cases[place] for place in chosen[config.choice]]
    task = Task.from_calls(
        write_prompt(composition, parameters, rng),
        "f",
        cases,
        task_id=name(composition.key),
        canonical_solution=write_solution(composition, parameters, config.style),
        metadata=_metadata(composition, parameters, split),
        limits=_LIMITS,
    )
    return replace(task, hidden_tests=hidden)


def _metadata(composition: Composition, parameters: Parameters, split: str) -> dict[str, Any]:
    return {
        "key": composition.key,
        "depth": composition.depth,
        "split": split,
        "topics": list(dict.fromkeys(atom.topic for atom in composition.atoms)),
        "types": [*composition.arguments, composition.returns],
        "parameters": [dict(values) for values in parameters],
    }
