"""Batching: reads and checks the arguments that a vector env gets for all its sub-envs at once."""

from collections.abc import Collection, Sequence
from itertools import chain, compress
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from codegym.envs.arguments import check_choice, check_options
from codegym.errors import ConfigError

Infos = dict[str, Any]


def read_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """Return an autoreset mode by its name.

    Raises:
        UnknownNameError: There is no such mode; names the nearest.
    """
    if isinstance(mode, AutoresetMode):
        return mode
    check_choice("autoreset_mode", mode, tuple(each.value for each in AutoresetMode))
    return AutoresetMode(mode)


def read_mask(mask: Any, count: int) -> NDArray[np.bool_]:
    """Return which sub-envs to reset, (count,) bool; all of them for None.

    Raises:
        ConfigError: Of another shape or type, or it marks none.
    """
    if mask is None:
        return np.ones(count, dtype=np.bool_)
    marks = np.asarray(mask)
    if marks.shape != (count,) or marks.dtype != np.bool_ or not marks.any():
        raise ConfigError(
            "option 'reset_mask' is unusable",
            value=mask,
            expected=f"({count},) bool, at least one True",
        )
    return marks


def spread(name: str, value: Any, count: int, *, add: bool = False) -> list[Any]:
    """Return a value for each sub-env, from a value for all of them or from a sequence.

    Args:
        name: What it is, for the error message.
        value: None, a text or an integer for all; else a sequence.
        count: Number of sub-envs.
        add: Whether an integer grows by one from each sub-env to the next.

    Raises:
        ConfigError: A sequence of another length.
    """
    if value is None or isinstance(value, str):
        return [value] * count
    if isinstance(value, int | np.integer):
        return [int(value) + row * add for row in range(count)]
    each = [int(item) if isinstance(item, np.integer) else item for item in value]
    if len(each) != count:
        raise ConfigError(
            f"{name!r} has the wrong length", value=value, expected=f"{count} of them"
        )
    return each


def read_reset(
    seed: Any, options: Infos | None, count: int
) -> tuple[list[int], list[Any], list[Any]]:
    """Read the arguments of a vector env's ``reset``.

    Returns:
        The sub-envs to reset, and for each of all ``count`` sub-envs its seed and its task's id.

    Raises:
        ConfigError: A sequence of the wrong length, or a mask that marks nothing.
        UnknownNameError: An option of another name.
    """
    options = check_options(options, ("task_id", "reset_mask"))
    rows = np.flatnonzero(read_mask(options.get("reset_mask"), count)).tolist()
    task_ids = spread("task_id", options.get("task_id"), count)
    return rows, spread("seed", seed, count, add=True), task_ids


def stack_infos(infos: Sequence[Infos], rows: Collection[int], count: int) -> Infos:
    """Return the infos of some sub-envs in the layout of Gymnasium's vector envs.

    It is what ``VectorEnv._add_info`` builds one sub-env at a time: an array and a mask ``_key``
    for each key, numbers in arrays of their type, dicts in dicts, all else in arrays of objects.

    Args:
        infos: One for each row.
        rows: Which sub-envs they come from.
        count: How many sub-envs there are.
    """
    owners = np.fromiter(rows, dtype=np.intp, count=len(rows))
    held: dict[str, tuple[NDArray[np.intp], list[Any]]] = {}
    first = infos[0]
    try:
        # Infos with equal keys, the usual case, need no search for keys.
        if all(len(info) == len(first) for info in infos):
            held = {key: (owners, [info[key] for info in infos]) for key in first}
    except KeyError:
        held = {}
    for key in () if held else dict.fromkeys(chain.from_iterable(infos)):
        having = [key in info for info in infos]
        held[key] = owners[having], [info[key] for info in compress(infos, having)]
    stacked: Infos = {}
    for key, (who, values) in held.items():
        mask = np.zeros(count, dtype=np.bool_)
        mask[who] = True
        stacked[key], stacked[f"_{key}"] = _stack(values, who, count), mask
    return stacked


def _stack(values: list[Any], held: NDArray[np.intp], count: int) -> Any:
    kind = type(values[0])
    if kind is dict:
        return stack_infos(values, held, count)
    if kind in (int, float, bool):
        numbers = np.zeros(count, dtype=kind)
        numbers[held] = values
        return numbers
    objects = np.full(count, None, dtype=object)
    objects[held] = np.fromiter(values, dtype=object, count=len(values))
    return objects


class SeededRows:
    """The random generators of a vector env's sub-envs, made when they are first needed."""

    def seed_rows(self, count: int) -> None:
        """Start without any generator."""
        self._rngs: list[np.random.Generator | None] = [None] * count
        self._seeds = [-1] * count

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The generators of the sub-envs."""
        return tuple(self.rng_of(row) for row in range(len(self._rngs)))

    @property
    def np_random_seed(self) -> tuple[int, ...]:
        """The seeds of the sub-envs' generators."""
        for row in range(len(self._rngs)):
            self.rng_of(row)
        return tuple(self._seeds)

    def rng_of(self, row: int, seed: int | None = None) -> np.random.Generator:
        """Return a sub-env's generator, seeded anew where a seed is given."""
        known = self._rngs[row]
        if known is None or seed is not None:
            known, self._seeds[row] = seeding.np_random(seed)
            self._rngs[row] = known
        return known
