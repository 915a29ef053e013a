"""Selecting: keep some items of a list by their position."""

from codegym.atoms.atom import atom


@atom(
    "reverse the list",
    "flip the order of the list",
    "put the items in reverse order",
    level=1,
)
def reverse(xs: list[int]) -> list[int]:
    """List the items from the last to the first.

    >>> reverse([1, 2, 3])
    [3, 2, 1]
    """
    return xs[::-1]


@atom(
    "keep the first {k} items",
    "take the first {k} items",
    "keep only the first {k} items",
    level=1,
    draw={"k": range(1, 6)},
)
def take_first(xs: list[int], k: int) -> list[int]:
    """Keep at most the first k items.

    >>> take_first([4, 5, 6], 2)
    [4, 5]
    """
    return xs[:k]


@atom(
    "drop the first {k} items",
    "skip the first {k} items",
    "remove the first {k} items",
    level=1,
    draw={"k": range(1, 6)},
)
def drop_first(xs: list[int], k: int) -> list[int]:
    """Drop the first k items.

    >>> drop_first([4, 5, 6], 2)
    [6]
    """
    return xs[k:]


@atom(
    "keep the last {k} items",
    "take the last {k} items",
    "keep only the last {k} items",
    level=1,
    draw={"k": range(1, 6)},
)
def take_last(xs: list[int], k: int) -> list[int]:
    """Keep at most the last k items.

    >>> take_last([4, 5, 6], 2)
    [5, 6]
    """
    return xs[-k:]


@atom(
    "take every other item",
    "keep every other item from the first",
    "drop every second item",
    level=1,
)
def every_other(xs: list[int]) -> list[int]:
    """Keep the first item, the third, the fifth and so on.

    >>> every_other([1, 2, 3, 4, 5])
    [1, 3, 5]
    """
    return xs[::2]


@atom(
    "take the first item or 0 if empty",
    "find the first item or 0 if empty",
    "keep only the first item or 0 if empty",
    level=1,
)
def first_item(xs: list[int]) -> int:
    """Return the first item, or 0 for an empty list.

    >>> first_item([4, 5]), first_item([])
    (4, 0)
    """
    return xs[0] if xs else 0


@atom(
    "take the last item or 0 if empty",
    "find the last item or 0 if empty",
    "keep only the last item or 0 if empty",
    level=1,
)
def last_item(xs: list[int]) -> int:
    """Return the last item, or 0 for an empty list.

    >>> last_item([4, 5]), last_item([])
    (5, 0)
    """
    return xs[-1] if xs else 0


@atom(
    "drop the last {k} items",
    "remove the last {k} items",
    "cut off the last {k} items",
    draw={"k": range(1, 4)},
)
def drop_last(xs: list[int], k: int) -> list[int]:
    """Drop the last k items.

    >>> drop_last([4, 5, 6], 2)
    [4]
    """
    return xs[:-k]


@atom(
    "move the first {k} items to the end",
    "put the first {k} items at the end",
    "put the first {k} items after the others",
    draw={"k": range(1, 4)},
    inline="xs[k:] + xs[:k]",
)
def rotate(xs: list[int], k: int) -> list[int]:
    """Move the first k items to the end, or all of them when there are fewer.

    >>> rotate([1, 2, 3, 4], 1)
    [2, 3, 4, 1]
    """
    front, back = xs[:k], xs[k:]
    return back + front


@atom(
    "append {b} to {a}",
    "put {b} after {a}",
    "join the lists {a} and {b}",
)
def join_lists(xs: list[int], ys: list[int]) -> list[int]:
    """Put a second list after a first.

    >>> join_lists([1, 2], [3])
    [1, 2, 3]
    """
    return xs + ys
