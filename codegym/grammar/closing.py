"""Closing: number of tokens that the shortest completion of a parser stack takes.

The price of a terminal depends on the character before it: a word needs a space after a word. So
prices are 2 x 2 matrices over the (min, +) semiring. The row says whether a word (or a number) ends
directly before the terminal, the column whether the terminal ends in a word.
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
# Rules whose newline must be written; the newline of a plain line is free at the end of the file.
_LEADS_ON = ("decorator", "statement", "suite")
_PLAIN = {"NAME": "x", "NUMBER": "0", "IMAGINARY": "0j", "UNDERSCORE": "_"}
_SIGNS = (("}", "FCLOSE"), ("'", "FEND"), ("'''", "FLONGEND"), ("''", "STRING"))


def indentation(column: Column) -> str:
    """Return the text before a line's first word."""
    return "\t" * column[0] + " " * column[1]


def is_deeper(column: Column, than: Column) -> bool:
    """Whether CPython sees a column as deeper than another, whatever a tab's width."""
    return 8 * column[0] + column[1] > 8 * than[0] + than[1] and sum(column) > sum(than)


def rest_of_indentation(written: Column, wanted: Column) -> str | None:
    """Return the text that extends an indentation to another; None if no text does."""
    tabs, spaces = wanted[0] - written[0], wanted[1] - written[1]
    if tabs < 0 or spaces < 0 or (tabs and written[1]):
        return None
    return indentation((tabs, spaces))


def deeper_columns(column: Column) -> list[Column]:
    """Return columns deeper than a given column, the cheapest to write among them."""
    tabs, spaces = column
    return [(tabs, spaces + more) for more in range(1, 9)] + [(tabs + 1, spaces)]


class Closing:
    """Prices of completing parser stacks.

    Args:
        parser: Parser of the stacks.
        cost: Text -> number of tokens that write it.
        name: Price of a name: (directly after a non-word, after a word).
    """

    def __init__(
        self, parser: Parser, cost: Callable[[str], int], name: tuple[float, float]
    ) -> None:
        self._parser, self._tables = parser, parser.tables
        self._cost = cost
        self._terminals = self._price_terminals(name)
        self._known_exits: dict[tuple[int, tuple[float, float]], list[tuple[str, int, Matrix]]] = {}
        self._columns: dict[Column, tuple[float, float]] = {}
        parser.root.closing = [0.0, 0.0]  # an empty file is a complete program

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
        """Return the price of a new line at a column, and of the cheapest deeper line."""
        known = self._columns.get(column)
        if known is None:
            tabs, spaces = column
            deeper = [(tabs, spaces + more) for more in range(1, 9)]
            prices = [float(self._cost("\n" + indentation(target))) for target in (column, *deeper)]
            known = self._columns[column] = (prices[0], min(prices[1:]))
        return known

    def terminal(self, terminal: str, word: bool) -> tuple[float, bool]:
        """Return a terminal's price after a word or non-word, and whether it ends in a word."""
        row = self._terminals.get(terminal, _NEVER)[2 * word : 2 * word + 2]
        return (row[0], False) if row[0] <= row[1] else (row[1], True)

    def price(self, node: Node, word: bool) -> float:
        """Return the price of the cheapest completion of a stack to a whole file.

        A step of a completion finishes a rule that the top state has begun and continues with the
        stack below it. The search returns the cheapest sequence of steps.

        Args:
            node: The stack.
            word: Whether a word or a number ends directly before.
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
                # The remaining price is known: it enters the queue as a single step.
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
        """Store the price of closing for every stack on the path; return the total price."""
        key, total = end, costs[end]
        while key in came:
            key = came[key]
            key[0].closing[key[1]] = total - costs[key]
        return total

    def _exits(self, node: Node) -> list[tuple[str, int, Matrix]]:
        """Return the rules that a node's state has begun, with the price of completing each."""
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
    """Return the price of every symbol; cached, since several vocabularies share prices.

    Args:
        terminals: Price of each terminal.
        lines: Prices of a new line and of the cheapest deeper line.
    """
    tables = load_tables()
    table = dict(terminals)
    for word in ("EXCEPT", "FINALLY"):
        # They begin a line; a completion writes the line break only with the word.
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


def _least(left: Matrix, right: Matrix) -> Matrix:
    a, b, c, d = left
    e, f, g, h = right
    return (min(a, e), min(b, f), min(c, g), min(d, h))


def _times(left: Matrix, right: Matrix) -> Matrix:
    a, b, c, d = left
    e, f, g, h = right
    return (min(a + e, b + g), min(a + f, b + h), min(c + e, d + g), min(c + f, d + h))
