"""Closing: how many tokens the shortest way to a whole program takes from a parser stack.

The price of a terminal depends on what stands right before it: a word needs a space after a word.
So prices are small matrices in the (min, +) sense: row, whether a word (or a number) stands right
before; column, whether one stands at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from heapq import heappop, heappush
from math import inf

from codegym.grammar.parse_tables import load_tables
from codegym.grammar.parser import Column, Node, Parser
from codegym.grammar.word_tokens import KEYWORDS, OPERATORS, SOFT

Matrix = tuple[float, float, float, float]
_ONE: Matrix = (0.0, inf, inf, 0.0)
_NEVER: Matrix = (inf, inf, inf, inf)
# Rules whose newline must be written; a line's own is free where the file ends after it.
_LEADS_ON = ("decorator", "statement", "suite")
_PLAIN = {"NAME": "x", "NUMBER": "0", "IMAGINARY": "0j", "UNDERSCORE": "_"}
_SIGNS = (("}", "FCLOSE"), ("'", "FEND"), ("'''", "FLONGEND"), ("''", "STRING"))


def indentation(column: Column) -> str:
    """Return the text before a line's first word."""
    return "\t" * column[0] + " " * column[1]


def is_deeper(column: Column, than: Column) -> bool:
    """Whether CPython takes one indentation for deeper, whatever a tab's width."""
    return 8 * column[0] + column[1] > 8 * than[0] + than[1] and sum(column) > sum(than)


class Closing:
    """The prices of closing.

    Args:
        parser: Whose stacks.
        cost: Text -> how many tokens write it.
        name: Price of a name: (with nothing right before it, after a word).
    """

    def __init__(
        self, parser: Parser, cost: Callable[[str], int], name: tuple[float, float]
    ) -> None:
        self._parser, self._tables = parser, parser.tables
        self._cost = cost
        self._terminals = self._price_terminals(name)
        self._known_exits: dict[tuple[int, tuple[float, float]], list[tuple[str, int, Matrix]]] = {}
        self._columns: dict[Column, tuple[float, float]] = {}
        parser.root.closing = [0.0, 0.0]  # an empty file is whole

    def _price_terminals(self, name: tuple[float, float]) -> dict[str, Matrix]:
        cost = self._cost
        prices: dict[str, Matrix] = {}
        words = {word.upper(): word for word in KEYWORDS} | _PLAIN
        words |= {terminal: word for word, terminal in SOFT.items()}
        for terminal, word in words.items():
            prices[terminal] = (inf, cost(word), inf, cost(f" {word}"))
        prices["NAME"] = (inf, name[0], inf, name[1])
        for sign, terminal in (*_SIGNS, *OPERATORS.items()):
            price = min(cost(sign), prices.get(terminal, _NEVER)[0])
            prices[terminal] = (price, inf, price, inf)
        for terminal in ("NEWLINE", "INDENT", "DEDENT", "ITEMS"):
            prices[terminal] = (0.0, inf, 0.0, inf) if terminal == "NEWLINE" else _ONE
        return prices

    def new_line(self, column: Column) -> tuple[float, float]:
        """Return the price of a new line at a column, and of the cheapest deeper one."""
        known = self._columns.get(column)
        if known is None:
            tabs, spaces = column
            deeper = [(tabs, spaces + more) for more in range(1, 9)]
            prices = [float(self._cost("\n" + indentation(one))) for one in (column, *deeper)]
            known = self._columns[column] = (prices[0], min(prices[1:]))
        return known

    def terminal(self, terminal: str, word: bool) -> tuple[float, bool]:
        """Return the price of a terminal right after a word or not, and whether it ends in one."""
        row = self._terminals.get(terminal, _NEVER)[2 * word : 2 * word + 2]
        return (row[0], False) if row[0] <= row[1] else (row[1], True)

    def price(self, node: Node, word: bool) -> float:
        """Return what the cheapest way costs that closes a stack into a whole file.

        The way out of a stack is to finish a rule begun in its top state and go on from what lies
        below it; this is the shortest such way.

        Args:
            node: The stack.
            word: Whether a word or a number stands right before.
        """
        known = node.closing[word]
        if known is None:
            known = node.closing[word] = self._search(node, word)
        return known

    def _search(self, node: Node, word: bool) -> float:
        start = (node, word)
        costs: dict[tuple[Node, bool], float] = {start: 0.0}
        came: dict[tuple[Node, bool], tuple[Node, bool]] = {}
        heap: list[tuple[float, int, tuple[Node, bool]]] = [(0.0, 0, start)]
        counter = 0
        push, shifts = self._parser.push, self._tables.shifts
        while heap:
            cost, _, key = heappop(heap)
            if cost > costs[key]:
                continue
            here, after_word = key
            if here.state == self._tables.accepting:
                here.closing[after_word] = 0.0
            known = here.closing[after_word]
            if known is not None:
                # The rest of the way is known: it waits for its turn as a step of its own.
                if known == 0.0:
                    return self._remember(key, costs, came)
                done = (self._parser.root, False)
                if cost + known < costs.get(done, inf):
                    costs[done], came[done] = cost + known, key
                    counter += 1
                    heappush(heap, (cost + known, counter, done))
                continue
            for name, read, matrix in self._exits(here):
                base = here
                for _ in range(read):
                    base = base.below  # type: ignore[assignment]
                after = None
                for ends in (False, True):
                    total = cost + matrix[2 * after_word + ends]
                    if total < inf:
                        after = after or push(base, shifts[base.state][name])
                        if total < costs.get((after, ends), inf):
                            costs[after, ends], came[after, ends] = total, key
                            counter += 1
                            heappush(heap, (total, counter, (after, ends)))
        return inf

    def _remember(
        self,
        end: tuple[Node, bool],
        costs: dict[tuple[Node, bool], float],
        came: dict[tuple[Node, bool], tuple[Node, bool]],
    ) -> float:
        """Note what closing costs all along the way that was found, and return the whole of it."""
        key, total = end, costs[end]
        while key in came:
            key = came[key]
            key[0].closing[key[1]] = total - costs[key]
        return total

    def _exits(self, node: Node) -> list[tuple[str, int, Matrix]]:
        """Return the rules begun in a node's state, with the price of what is to come of each."""
        lines = self.new_line(node.column)
        exits = self._known_exits.get((node.state, lines))
        if exits is None:
            table = _price_symbols(tuple(self._terminals.items()), lines)
            best: dict[tuple[str, int], Matrix] = {}
            for name, read, rest in self._tables.items[node.state]:
                matrix = _product(name, rest, table, lines)
                best[name, read] = _least(best.get((name, read), _NEVER), matrix)
            exits = [(*key, matrix) for key, matrix in best.items() if min(matrix) < inf]
            self._known_exits[node.state, lines] = exits
        return exits


@lru_cache(maxsize=64)
def _price_symbols(
    terminals: tuple[tuple[str, Matrix], ...], lines: tuple[float, float]
) -> dict[str, Matrix]:
    """Return the price of every symbol; kept, as masks of one vocabulary after another ask for it.

    Args:
        terminals: Price of each terminal.
        lines: Price of a new line, and of the cheapest deeper one.
    """
    tables = load_tables()
    table = dict(terminals)
    for word in ("EXCEPT", "FINALLY"):
        # They begin a line, and a way out writes no line before it needs one.
        price = lines[0] + table[word][1]
        table[word] = (inf, price, inf, price)
    todo = dict.fromkeys(tables.rules)
    while todo:
        name = next(iter(todo))
        del todo[name]
        old = best = table.get(name, _NEVER)
        for body in tables.rules[name]:
            best = _least(best, _product(name, body, table, lines))
        if best != old:
            table[name] = best
            todo |= tables.users.get(name, {})
    return table


def _product(
    name: str, body: tuple[str, ...], table: dict[str, Matrix], lines: tuple[float, float]
) -> Matrix:
    total = _ONE
    for position, symbol in enumerate(body):
        matrix = table.get(symbol)
        if matrix is None:
            return _NEVER
        if symbol == "NEWLINE" and name in _LEADS_ON:
            deeper = body[position + 1 : position + 2] == ("INDENT",)
            matrix = (lines[deeper], inf, lines[deeper], inf)
        total = _times(total, matrix)
    return total


def _least(one: Matrix, other: Matrix) -> Matrix:
    a, b, c, d = one
    e, f, g, h = other
    return (min(a, e), min(b, f), min(c, g), min(d, h))


def _times(one: Matrix, other: Matrix) -> Matrix:
    a, b, c, d = one
    e, f, g, h = other
    return (min(a + e, b + g), min(a + f, b + h), min(c + e, d + g), min(c + f, d + h))
