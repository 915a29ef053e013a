"""Strategies: inputs that Hypothesis draws for a type, in addition to ``inside.samplers``.

Hypothesis knows values that break programs (surrogates, huge integers, nan, near misses) better
than a fixed table. It comes with the extra ``mining``; drawing runs no foreign code.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from codegym.errors import MissingExtraError
from codegym.sandbox import wire

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Spec = Any


def draw_inputs(params: Sequence[Spec], *, seed: int, count: int) -> list[list[Any]]:
    """Draw argument lists of given types, the same lists for the same seed and version.

    Args:
        params: A type for each parameter, as in ``inside.samplers``.
        seed: Seed of the draws.
        count: Largest number of draws; equal lists count once.

    Returns:
        Argument lists as wire trees.

    Raises:
        MissingExtraError: Hypothesis is not installed.
    """
    try:
        import hypothesis
        from hypothesis import HealthCheck, Phase
        from hypothesis import strategies as st
    except ModuleNotFoundError as error:
        raise MissingExtraError("hypothesis", "mining") from error
    rows: dict[bytes, list[Any]] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(st.tuples(*(strategy_of(spec) for spec in params)))
    def collect(values: tuple[Any, ...]) -> None:
        trees = [wire.encode(value) for value in values]
        rows.setdefault(wire.dumps(trees), trees)

    collect()
    return list(rows.values())


def strategy_of(spec: Spec) -> "SearchStrategy[Any]":
    """Return the strategy of a type."""
    from hypothesis import strategies as st

    if isinstance(spec, str):
        return _plain(spec)
    head, *parts = spec
    if head == "literal":
        return st.sampled_from(parts)
    if head == "union":
        return st.one_of(*map(strategy_of, parts))
    if head == "tuple":
        return st.tuples(*map(strategy_of, parts))
    if head in ("dict", "set", "frozenset"):
        keys = _hashable(parts[0])
        if head == "dict":
            return st.dictionaries(keys, strategy_of(parts[1]), max_size=5)
        made = {"set": st.sets, "frozenset": st.frozensets}[head]
        return made(keys, max_size=6)
    items = st.lists(strategy_of(parts[0]), max_size=8)
    if head == "tuples":
        return items.map(tuple)
    return items.map(iter) if head == "iterator" else items


def _hashable(spec: Spec) -> "SearchStrategy[Any]":
    from hypothesis import strategies as st

    if isinstance(spec, str) and spec not in ("any", "callable"):
        return _plain(spec)
    return st.one_of(st.text(max_size=4), st.integers(-9, 9))


def _plain(name: str) -> "SearchStrategy[Any]":
    from hypothesis import strategies as st

    table: dict[str, Callable[[], SearchStrategy[Any]]] = {
        "int": lambda: st.integers(-1000, 10_000),
        "float": lambda: st.floats(-1e6, 1e6, width=32),
        "number": lambda: st.one_of(st.integers(-1000, 1000), st.floats(-1e3, 1e3, width=32)),
        "str": lambda: st.text(st.characters(codec="utf-8"), max_size=20),
        "bytes": lambda: st.binary(max_size=16),
        "bool": st.booleans,
        "none": st.none,
        "complex": lambda: st.complex_numbers(max_magnitude=100),
        "decimal": lambda: st.decimals(-1000, 1000, places=2),
        "fraction": lambda: st.fractions(-100, 100, max_denominator=50),
        "date": st.dates,
        "datetime": st.datetimes,
        "timedelta": st.timedeltas,
        "callable": lambda: st.sampled_from((str, int, bool, float, list, tuple)),
        "any": lambda: st.one_of(
            st.integers(-100, 100), st.text(max_size=8), st.lists(st.integers(-9, 9), max_size=5)
        ),
    }
    return table[name]()
