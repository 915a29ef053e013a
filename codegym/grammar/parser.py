"""Parser: stacks over the parse tables, and rules about where words may occur.

A stack is a linked list of interned nodes, so results about a stack are cached on its node, and a
copy of a stack costs nothing. An ambiguous text is read in every possible way: it has a stack for
each reading that is still possible, usually a single stack or two.

A node also holds its context: whether it is inside a function, a loop, and so on. CPython's parser
accepts ``return``, ``await`` and similar words anywhere, and its compiler refuses them; here they
are refused at once. No completion needs such a word, so nothing else changes.
"""

from __future__ import annotations

from codegym.grammar.parse_tables import END, Tables
from codegym.grammar.word_tokens import SOFT

Column = tuple[int, int]  # tabs and spaces before a line's first word

FUNCTION, ASYNC, LOOP, NESTED, CLASS, GROUP, FIELD = (1 << bit for bit in range(7))
_OPENING, _CLOSING = ("LPAR", "LSQB", "LBRACE"), ("RPAR", "RSQB", "RBRACE")
# Flags that a word needs in its context, and flags that forbid it.
_ASKS = {"BREAK": LOOP, "CONTINUE": LOOP, "RETURN": FUNCTION, "YIELD": FUNCTION, "AWAIT": ASYNC}
_ASKS["NONLOCAL"] = NESTED
_FORBIDS = {"RETURN": GROUP, "LAMBDA": FIELD}
# CPython's limits are 200 brackets, 100 blocks and its parser's stack of 6,000 calls (4,000 in
# later versions), of which a bracket takes up to 30 and each level of nested operands up to 9.
MOST_BRACKETS, MOST_BLOCKS, DEEPEST = 80, 90, 150
_DEEPENING = {"LAMBDA", "IF", "NOT", "MINUS", "PLUS", "TILDE", "DSTAR", "AWAIT", *_OPENING}


class Node:
    """A parser stack: a state on top of the stack below it.

    Attributes:
        state: The state.
        symbol: Symbol that led to the state.
        below: The rest of the stack.
        depth: Nesting depth of operands in this line.
        column: Column of the innermost block.
        blocks: Number of open blocks.
        brackets: Number of open brackets.
        context: Flags of the enclosing constructs.
        closing: Price of closing the stack; see ``codegym.grammar.closing``.
    """

    __slots__ = (
        *("above", "below", "blocks", "brackets", "closing", "column", "context", "depth"),
        *("moves", "state", "symbol"),
    )

    def __init__(self, state: int, below: Node | None, symbol: str, column: Column | None) -> None:
        self.state = state
        self.symbol = symbol
        self.below = below
        self.above: dict[int | tuple[int, Column], Node] = {}
        self.moves: dict[str, Node | None] = {}
        self.closing: list[float | None] = [None, None]
        self.depth = self.brackets = self.blocks = self.context = 0
        self.column: Column = (0, 0)
        if below is None:
            return
        around = _around_block(below) if symbol == "DEDENT" else below
        self.depth = 0 if column else around.depth + (symbol in _DEEPENING)
        self.brackets = around.brackets + (symbol in _OPENING) - (symbol in _CLOSING)
        self.blocks = around.blocks + (column is not None)
        self.column = column or around.column
        self.context = _context(symbol, around.context)


def _around_block(node: Node) -> Node:
    here = node
    while here.symbol != "INDENT":
        assert here.below is not None
        here = here.below
    assert here.below is not None
    return here.below


def _context(symbol: str, around: int) -> int:
    nested = NESTED if around & (FUNCTION | NESTED) else 0
    if symbol in ("def_head", "lambda_head"):
        return FUNCTION | nested
    if symbol == "async_head":
        return FUNCTION | ASYNC | nested
    if symbol == "class_head":
        return CLASS | nested
    if symbol == "loop_head":
        return around | LOOP
    if symbol == "group_head":
        return (around | GROUP) & ~LOOP
    if symbol == "FOPEN":
        return around | FIELD
    return around & ~FIELD if symbol in _OPENING else around


class Parser:
    """Feeds terminals to parser stacks.

    Args:
        tables: The tables.

    Attributes:
        root: The empty stack.
        count: Number of nodes made since the last ``forget``.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.count = 0
        self.root = Node(tables.start, None, "", None)
        self._asks: list[dict[str, int]] = []
        self._forbids: list[dict[str, int]] = []
        for row in tables.shifts:
            self._asks.append({word: flag for word, flag in _ASKS.items() if word in row})
            self._forbids.append({word: flag for word, flag in _FORBIDS.items() if word in row})
        for row in tables.shifts:
            self._add_pairs(row)

    def _add_pairs(self, row: dict[str, int]) -> None:
        # Words that are refused only after certain other words.
        if "ASYNC" in row and "DEF" in self.tables.shifts[row["ASYNC"]]:
            self._asks[row["ASYNC"]] |= {"FOR": ASYNC, "WITH": ASYNC}
        if "YIELD" in row:
            self._forbids[row["YIELD"]]["FROM"] = ASYNC
        if "IMPORT" in row and "STAR" in self.tables.shifts[row["IMPORT"]]:
            self._forbids[row["IMPORT"]]["STAR"] = FUNCTION | CLASS

    def read(self, stacks: tuple[Node, ...], terminal: str) -> tuple[Node, ...]:
        """Return the stacks after a terminal; none if it is not allowed."""
        if len(stacks) == 1 and terminal not in _DOUBLE:
            after = self.feed(stacks[0], terminal)
            return () if after is None else (after,)
        found: dict[Node, None] = {}
        for stack in stacks:
            for reading in _DOUBLE.get(terminal, (terminal,)):
                after = self.feed(stack, reading)
                if after is not None:
                    found[after] = None
                    if reading == "WITH":
                        items = self.feed(after, "ITEMS")
                        assert items is not None
                        found[items] = None
        return tuple(found)

    def feed(self, node: Node, terminal: str, column: Column | None = None) -> Node | None:
        """Return a stack after a terminal, or None if the terminal is not allowed.

        Args:
            node: The stack.
            terminal: The terminal.
            column: Column of the new block if the terminal is an INDENT.
        """
        if column is None and terminal in node.moves:
            return node.moves[terminal]
        tables = self.tables
        here: Node | None = node
        while here is not None:
            target = tables.shifts[here.state].get(terminal)
            if target is not None:
                allowed = column is not None or self._allows(here, terminal)
                here = self.push(here, target, column) if allowed else None
                break
            reduction = tables.reductions[here.state].get(terminal)
            if reduction is None:
                here = None
                break
            here = self.reduce(here, *reduction)
            if terminal == END and here.state == tables.accepting:
                break
        if column is None:
            node.moves[terminal] = here
        return here

    def _allows(self, here: Node, terminal: str) -> bool:
        asked = self._asks[here.state].get(terminal, 0)
        if asked and not here.context & asked:
            return False
        if here.context & self._forbids[here.state].get(terminal, 0):
            return False
        if terminal in _OPENING and here.brackets >= MOST_BRACKETS:
            return False
        return here.depth < DEEPEST or terminal not in _DEEPENING

    def reduce(self, node: Node, name: str, length: int) -> Node:
        """Return the stack after a rule of a length is replaced by its symbol."""
        here = node
        for _ in range(length):
            assert here.below is not None
            here = here.below
        return self.push(here, self.tables.shifts[here.state][name])

    def push(self, node: Node, state: int, column: Column | None = None) -> Node:
        """Return the stack with a further state on top."""
        key = state if column is None else (state, column)
        known = node.above.get(key)
        if known is None:
            known = node.above[key] = Node(state, node, self.tables.symbols[state], column)
            self.count += 1
        return known

    def forget(self, held: tuple[Node, ...]) -> None:
        """Drop all stacks except those that are still held."""
        for stack in (self.root, *held):
            here: Node | None = stack
            while here is not None:
                here.above.clear()
                here.moves.clear()
                here = here.below
        self.count = 0


# Soft keywords, which are names too; ``with`` begins two constructs.
_DOUBLE = {terminal: ("NAME", terminal) for terminal in SOFT.values()} | {"WITH": ("WITH",)}
