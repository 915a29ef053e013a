"""Parse tables and stacks: which terminals may follow, and how cheaply a program can be closed.

lark builds the LALR(1) tables; this walks them. A stack is a linked list of interned nodes, so that
what was found out about one stays with it, and copying one costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from heapq import heappop, heappush
from math import inf
from typing import Any

from codegym.errors import MissingExtraError
from codegym.grammar.subset import grammar_text

END = "$END"
_NODES_KEPT = 200_000


class Node:
    """A parser stack: a state on top of the stack below it."""

    __slots__ = ("above", "below", "closing", "depth", "first", "moves", "state")

    def __init__(self, state: int, below: Node | None) -> None:
        self.state = state
        self.below = below
        self.depth: int = 0 if below is None else below.depth + 1
        self.above: dict[int, Node] = {}
        self.moves: dict[str, Node | None] = {}
        self.closing: float | None = None
        self.first: str | None = None  # the first terminal of the cheapest way to close it


class Tables:
    """The LALR(1) tables of the grammar.

    Attributes:
        shifts: For each state, symbol -> next state; terminals and non-terminals alike.
        reductions: For each state, terminal -> (symbol, length) of the rule to reduce.
        start: The first state.
        accepting: The state in which a whole file has been read.
        items: For each state, the rules begun in it: (symbol, length read, symbols to come).
        rules: Symbol -> right-hand sides.
    """

    def __init__(self) -> None:
        table, start, accepting = _build()
        self.start, self.accepting = start, accepting
        self.shifts: list[dict[str, int]] = [{} for _ in table]
        self.reductions: list[dict[str, tuple[str, int]]] = [{} for _ in table]
        rules: dict[str, set[tuple[str, ...]]] = {}
        for state, row in table.items():
            for symbol, (action, argument) in row.items():
                if action.name == "Shift":
                    self.shifts[state][str(symbol)] = argument
                else:
                    body = tuple(str(part.name) for part in argument.expansion)
                    self.reductions[state][str(symbol)] = (str(argument.origin.name), len(body))
                    rules.setdefault(str(argument.origin.name), set()).add(body)
        self.rules = {symbol: sorted(bodies) for symbol, bodies in sorted(rules.items())}
        self.items = self._find_items()

    def _find_items(self) -> list[list[tuple[str, int, tuple[str, ...]]]]:
        """Read the begun rules of each state off the table, from where they are reduced back."""
        before: list[list[tuple[int, str]]] = [[] for _ in self.shifts]
        for state, row in enumerate(self.shifts):
            for symbol, target in row.items():
                before[target].append((state, symbol))
        bodies: dict[tuple[str, int], list[tuple[str, ...]]] = {}
        for name, alternatives in self.rules.items():
            for body in alternatives:
                bodies.setdefault((name, len(body)), []).append(body)
        found: list[set[tuple[str, int, tuple[str, ...]]]] = [set() for _ in self.shifts]
        for state, reductions in enumerate(self.reductions):
            for name, length in set(reductions.values()):
                for body in bodies[name, length]:
                    self._walk_back(state, name, body, before, found)
        return [sorted(items) for items in found]

    def _walk_back(
        self,
        state: int,
        name: str,
        body: tuple[str, ...],
        before: list[list[tuple[int, str]]],
        found: list[set[tuple[str, int, tuple[str, ...]]]],
    ) -> None:
        # `body` belongs to this reduction only if its symbols lead to this state.
        todo = [(state, len(body))]
        seen = set(todo)
        while todo:
            here, read = todo.pop()
            if read == 0:
                continue
            for previous, symbol in before[here]:
                step = (previous, read - 1)
                if symbol == body[read - 1] and step not in seen:
                    seen.add(step)
                    todo.append(step)
        complete = {here for here, read in seen if read == 0}
        if not complete:
            return
        # Only states that a complete walk passes through hold the begun rule.
        reach = {(here, 0) for here in complete if name in self.shifts[here]}
        for read, symbol in enumerate(body):
            for here in [one for one, at in reach if at == read]:
                target = self.shifts[here].get(symbol)
                if target is not None and (target, read + 1) in seen:
                    reach.add((target, read + 1))
        for here, read in reach:
            if read:
                found[here].add((name, read, body[read:]))


class Stacks:
    """Parser stacks over the tables, with the price of closing each.

    Args:
        tables: The tables.
        prices: Terminal -> how many tokens it costs to write; what is missing costs nothing.
    """

    def __init__(self, tables: Tables, prices: Mapping[str, float]) -> None:
        self._tables = tables
        self._prices, self._firsts = _symbol_prices(tables, prices)
        self._count = 0
        self.root = Node(tables.start, None)
        self.root.closing = 0.0  # an empty file is whole

    def feed(self, node: Node, terminal: str) -> Node | None:
        """Return the stack after a terminal, or None where it is not allowed."""
        if terminal in node.moves:
            return node.moves[terminal]
        tables = self._tables
        here: Node | None = node
        while here is not None:
            target = tables.shifts[here.state].get(terminal)
            if target is not None:
                here = self._push(here, target)
                break
            reduction = tables.reductions[here.state].get(terminal)
            if reduction is None:
                here = None
                break
            here = self._reduce(here, *reduction)
            if terminal == END and here.state == tables.accepting:
                break
        node.moves[terminal] = here
        return here

    def price(self, node: Node) -> float:
        """Return the price of the cheapest terminals that close a stack into a whole file.

        The way out of a stack is to finish a rule begun in its top state and go on from what lies
        below it; this is the shortest such way.
        """
        if node.closing is None:
            node.closing, node.first = self._search(node)
        return node.closing

    def _search(self, node: Node) -> tuple[float, str | None]:
        costs: dict[int, float] = {id(node): 0.0}
        heap: list[tuple[float, int, str | None, Node]] = [(0.0, 0, None, node)]
        counter = 0
        while heap:
            cost, _, first, here = heappop(heap)
            if cost > costs[id(here)]:
                continue
            if here.closing is not None:
                return cost + here.closing, first or here.first
            if here.state == self._tables.accepting:
                return cost, first
            for name, read, rest in self._tables.items[here.state]:
                total = cost + sum(self._prices[symbol] for symbol in rest)
                after = self._reduce(here, name, read)
                if total < costs.get(id(after), inf):
                    costs[id(after)] = total
                    counter += 1
                    begins = first or next(filter(None, map(self._firsts.get, rest)), None)
                    heappush(heap, (total, counter, begins, after))
        return inf, None

    def _reduce(self, node: Node, name: str, length: int) -> Node:
        here = node
        for _ in range(length):
            assert here.below is not None
            here = here.below
        return self._push(here, self._tables.shifts[here.state][name])

    def _push(self, node: Node, state: int) -> Node:
        known = node.above.get(state)
        if known is None:
            known = node.above[state] = Node(state, node)
            self._count += 1
        return known

    def forget(self) -> None:
        """Let go of the stacks that nobody else holds."""
        self.root.above.clear()
        self.root.moves.clear()
        self._count = 0

    def full(self) -> bool:
        """Whether so many stacks are kept that it is time to start anew."""
        return self._count > _NODES_KEPT


@cache
def load_tables() -> Tables:
    """Build the tables once per process (about a second).

    Raises:
        MissingExtraError: lark is not installed.
    """
    return Tables()


def _build() -> tuple[dict[int, dict[Any, Any]], int, int]:
    try:
        from lark import Lark
        from lark.lexer import Lexer
    except ModuleNotFoundError as error:
        raise MissingExtraError("lark", "grammar") from error

    class NoLexer(Lexer):
        """Terminals are fed one by one; nothing is read from a text."""

        def __init__(self, conf: Any) -> None:
            """Take lark's configuration and keep nothing."""

        def lex(self, *_: Any) -> Any:
            """Read nothing."""
            return iter(())

    parser = Lark(
        grammar_text(), parser="lalr", lexer=NoLexer, start="file", maybe_placeholders=False
    )
    conf = parser.parse_interactive("").parser_state.parse_conf
    return conf.states, conf.start_state, conf.end_state


def _symbol_prices(
    tables: Tables, prices: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, str | None]]:
    """Return for every symbol the price of its cheapest text, and the first terminal of that."""
    symbols = {part for bodies in tables.rules.values() for body in bodies for part in body}
    terminals = symbols - set(tables.rules)
    known = {terminal: float(prices.get(terminal, 0.0)) for terminal in terminals}
    known |= dict.fromkeys(tables.rules, inf)
    first: dict[str, str | None] = {terminal: terminal for terminal in terminals}
    changed = True
    while changed:
        changed = False
        for symbol, bodies in tables.rules.items():
            for body in bodies:
                price = sum(known[part] for part in body)
                if price < known[symbol]:
                    known[symbol], changed = price, True
                    first[symbol] = next(filter(None, map(first.get, body)), None)
    return known, first
