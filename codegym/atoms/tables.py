"""Tables: dictionaries from words to numbers."""

from codegym.atoms.atom import atom


@atom(
    "count how often each character occurs",
    "map each character to its count",
    "make a table of character counts",
    inline="{c: s.count(c) for c in s}",
)
def count_characters(s: str) -> dict[str, int]:
    """Count how often each character occurs.

    >>> count_characters("noon")
    {'n': 2, 'o': 2}
    """
    counts: dict[str, int] = {}
    for c in s:
        counts[c] = counts.get(c, 0) + 1
    return counts


@atom(
    "count how often each word occurs",
    "map each word to its count",
    "make a table of word counts",
    inline="{w: ws.count(w) for w in ws}",
)
def count_each_word(ws: list[str]) -> dict[str, int]:
    """Count how often each word occurs.

    >>> count_each_word(["ox", "bee", "ox"])
    {'ox': 2, 'bee': 1}
    """
    counts: dict[str, int] = {}
    for w in ws:
        counts[w] = counts.get(w, 0) + 1
    return counts


@atom(
    "map each word to its length",
    "make a table of word lengths",
    "make a table from word to length",
)
def length_table(ws: list[str]) -> dict[str, int]:
    """Map each word to how many letters it has.

    >>> length_table(["ox", "bee"])
    {'ox': 2, 'bee': 3}
    """
    return {w: len(w) for w in ws}


@atom(
    "list the keys",
    "take the keys in order",
    "make a list of the keys",
)
def list_keys(d: dict[str, int]) -> list[str]:
    """List the keys of a table, in order.

    >>> list_keys({"ox": 2, "bee": 3})
    ['ox', 'bee']
    """
    return list(d)


@atom(
    "list the values",
    "take the values in order",
    "make a list of the values",
)
def list_values(d: dict[str, int]) -> list[int]:
    """List the values of a table, in order.

    >>> list_values({"ox": 2, "bee": 3})
    [2, 3]
    """
    return list(d.values())


@atom(
    "add up the values",
    "take the sum of the values",
    "compute the sum of all values",
)
def total_values(d: dict[str, int]) -> int:
    """Add up the values of a table.

    >>> total_values({"ox": 2, "bee": 3})
    5
    """
    return sum(d.values())


@atom(
    "keep the entries with values above {k}",
    "drop entries with values not above {k}",
    "keep entries with values greater than {k}",
    draw={"k": range(1, 4)},
)
def keep_entries(d: dict[str, int], k: int) -> dict[str, int]:
    """Keep the entries whose value is above a bound.

    >>> keep_entries({"ox": 2, "bee": 3}, 2)
    {'bee': 3}
    """
    return {w: v for w, v in d.items() if v > k}


@atom(
    "add {k} to each value",
    "increase each value by {k}",
    "add {k} to all values",
    draw={"k": range(1, 10)},
)
def add_to_values(d: dict[str, int], k: int) -> dict[str, int]:
    """Add a constant to each value of a table.

    >>> add_to_values({"ox": 2}, 5)
    {'ox': 7}
    """
    return {w: v + k for w, v in d.items()}


@atom(
    "take the key of the largest value or an empty string if empty",
    "find the key of the largest value or an empty string if empty",
    "find the key with the largest value or an empty string if empty",
    inline='max(d, key=d.get, default="")',
)
def best_key(d: dict[str, int]) -> str:
    """Return the key of the largest value, the first of several, or "" for an empty table.

    >>> best_key({"ox": 2, "bee": 3})
    'bee'
    """
    best = ""
    most = None
    for key, value in d.items():
        if most is None or value > most:
            best, most = key, value
    return best


@atom(
    "map each word of {a} to its number in {b}",
    "pair the words {a} with the numbers {b}",
    "make a table from the words {a} to the numbers {b}",
    inline="dict(zip(ws, xs))",
)
def pair_up(ws: list[str], xs: list[int]) -> dict[str, int]:
    """Map each word to the number at its place, as far as both lists reach.

    >>> pair_up(["ox", "bee"], [5, 7])
    {'ox': 5, 'bee': 7}
    """
    return dict(zip(ws, xs, strict=False))
