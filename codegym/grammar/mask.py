"""PythonMask: which next tokens keep a program a prefix of valid Python that can still be closed.

A state is what the lexer and the parser know of the text so far. For each state it is found out
once, for every token, how many tokens a shortest whole program would still take after it; a mask is
that row of numbers compared with the budget. Nothing is sampled and nothing is run here.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grammar.lexer import LINE, Event, Lex, finish, read, ways_out
from codegym.grammar.tables import END, Node, Stacks, load_tables
from codegym.grammar.vocabulary import DEEPEST_INDENT, Vocabulary, bracket
from codegym.tokenizers.base import Tokenizer

NEVER = np.iinfo(np.int16).max
_DEEPEST_STACK = 600
_STATES_KEPT = 20_000


class MaskState(NamedTuple):
    """What is known of a text that is a prefix of a program.

    Attributes:
        lex: What the lexer has pending.
        stack: What the parser has read.
        indents: Columns of the open blocks, outermost first.
        depth: Open brackets.
    """

    lex: Lex
    stack: Node
    indents: tuple[int, ...]
    depth: int


class PythonMask:
    r"""Masks for one tokenizer.

    The set of tokens allowed is exact for the grammar of ``codegym.grammar.subset``: a token is
    allowed if and only if some whole program of the grammar begins with the text it gives and fits
    the budget. What closing takes is estimated, on the safe side, in three places: a ``try``
    without its handlers counts the dearest indentation, a dot counts the space it needs after a
    number, and subwords count by characters. CPython parses every such program; what it refuses
    later, when it compiles, is a parameter or a keyword argument named twice.

    Cost: a dictionary look-up and one comparison of V numbers for a state seen before; about a
    millisecond for a new one.

    Args:
        tokenizer: Any that has an id for each printable ASCII character: lexemes, bytes, or a
            byte-level one of subwords.

    Attributes:
        size: Number of ids.

    Raises:
        MissingExtraError: lark is not installed (extra ``grammar``).
        ConfigError: A printable ASCII character has no id.

    Example:
        >>> from codegym.tokenizers.lexemes import LexemeTokenizer
        >>> tokens = LexemeTokenizer()
        >>> mask = PythonMask(tokens)
        >>> state = mask.start("def f(x):\n    return x")
        >>> allowed = mask.allowed(state, 10)
        >>> [bool(allowed[tokens.encode(text)[0]]) for text in (" +", ")", " in", "\n    ")]
        [True, False, True, True]
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._vocabulary = Vocabulary(tokenizer)
        self.size = self._vocabulary.size
        spaced, self._saved = self._vocabulary.prices()
        self._stacks = Stacks(load_tables(), spaced)
        self._known: dict[MaskState, NDArray[np.int16]] = {}
        self._started: dict[str, MaskState] = {}

    def start(self, text: str = "") -> MaskState:
        """Return the state after a text that is already there: the prompt where it is code.

        Raises:
            ConfigError: The text is no prefix of a program of the grammar.
        """
        known = self._started.get(text)
        if known is not None:
            return known
        state = MaskState(LINE, self._stacks.root, (0,), 0)
        for position, character in enumerate(text):
            after = self._read(state, character)
            if after is None:
                raise ConfigError(
                    f"line {text.count(chr(10), 0, position) + 1} of a prompt is not of the "
                    "Python that masks know",
                    value=text[max(0, position - 20) : position + 1],
                    cure="write tasks' prompts in plainer Python, or do without action masks",
                )
            state = after
        if len(self._started) >= _STATES_KEPT:
            self._started.clear()
        self._started[text] = state
        return state

    def advance(self, state: MaskState, token: int) -> MaskState | None:
        """Return the state after one more token, or None where the text is no prefix any more."""
        piece = self._vocabulary.pieces[token]
        if not piece:
            return None
        here: MaskState | None = state
        for character in piece:
            if here is None:
                return None
            here = self._read(here, character)
        return here

    def needs(self, state: MaskState) -> NDArray[np.int16]:
        """Return how many tokens a shortest whole program takes after each token.

        Returns:
            (V,) int16: the end token included, 0 for the end token itself where the program may
            end here, ``NEVER`` where a token cannot stand. Shared: not to be written to.
        """
        known = self._known.get(state)
        if known is None:
            if len(self._known) >= _STATES_KEPT or self._stacks.full():
                self._known.clear()
                self._stacks.forget()
            known = self._known[state] = self._find_needs(state)
        return known

    def allowed(self, state: MaskState, remaining: int) -> NDArray[np.bool_]:
        """Return which tokens may come next when so many may still be written, this one included.

        Where no program fits any more, the tokens on a shortest way out are allowed.

        Returns:
            (V,) bool, never all False.
        """
        needs = self.needs(state)
        mask: NDArray[np.bool_] = needs < remaining
        return mask if mask.any() else needs == needs.min()

    def ends(self, state: MaskState) -> bool:
        """Return whether the text is a whole program as it stands."""
        return bool(self.needs(state)[self._vocabulary.end_id] == 0)

    def _find_needs(self, state: MaskState) -> NDArray[np.int16]:
        key = (state.lex, min(state.depth, self._vocabulary.deepest))
        needs = np.full(self.size, NEVER, dtype=np.int16)
        for events, opened, lex, ids in self._vocabulary.readings(*key):
            after = self._apply(state, events, lex, opened)
            left = inf if after is None else self._closing(after)
            if left < NEVER - 1:
                needs[ids] = left + 1
        if self._is_whole(state):
            needs[self._vocabulary.end_id] = 0
        needs.flags.writeable = False
        return needs

    def _read(self, state: MaskState, character: str) -> MaskState | None:
        step = read(state.lex, character, state.depth > 0)
        if step is None:
            return None
        return self._apply(state, step[0], step[1], bracket(character, step[0]))

    def _apply(
        self, state: MaskState, events: tuple[Event, ...], lex: Lex, bracket: int
    ) -> MaskState | None:
        stack: Node | None = state.stack
        indents = state.indents
        for event in events:
            if stack is None:
                return None
            if isinstance(event, int):
                stack, indents = self._indent(stack, indents, event)
            else:
                stack = self._stacks.feed(stack, event)
        if stack is None or stack.depth > _DEEPEST_STACK:
            return None
        return MaskState(lex, stack, indents, state.depth + bracket)

    def _indent(
        self, stack: Node, indents: tuple[int, ...], column: int
    ) -> tuple[Node | None, tuple[int, ...]]:
        deeper = self._stacks.feed(stack, "INDENT")
        if deeper is not None:
            fits = indents[-1] < column <= DEEPEST_INDENT
            return (deeper if fits else None), (*indents, column)
        here: Node | None = stack
        while here is not None and column < indents[-1]:
            here, indents = self._stacks.feed(here, "DEDENT"), indents[:-1]
        return (here if column == indents[-1] else None), indents

    def _is_whole(self, state: MaskState) -> bool:
        if state.depth:
            return False
        if state.lex.kind in ("line", "remark"):
            return self._ends(state.stack, state.indents)
        done = finish(state.lex)
        stack: Node | None = state.stack
        for event in (*(done or ()), "NEWLINE"):
            if stack is None or done is None:
                return False
            stack = self._stacks.feed(stack, str(event))
        return stack is not None and self._ends(stack, state.indents)

    def _ends(self, stack: Node, indents: tuple[int, ...]) -> bool:
        here: Node | None = stack
        for _ in indents[1:]:
            here = None if here is None else self._stacks.feed(here, "DEDENT")
        return here is not None and self._stacks.feed(here, END) is not None

    def _closing(self, state: MaskState) -> float:
        """Return how many tokens make a state's text a whole program; inf where none do."""
        lex, stack, indents, depth = state
        if lex.kind == "line":
            return self._closing_line(stack, indents, lex.size)
        if lex.kind == "remark" or (lex.kind == "comment" and not depth):
            line = stack if lex.kind == "remark" else self._stacks.feed(stack, "NEWLINE")
            if line is None:
                return inf
            return 0 if self._ends(line, indents) else 1 + self._closing_line(line, indents, 0)
        if lex.kind in ("between", "comment"):
            # Nothing stands directly before: a word needs no space.
            price = self._stacks.price(stack)
            return price - self._saved.get(stack.first or "", 0) + (lex.kind == "comment")
        return min((self._way(stack, *way) for way in ways_out(lex)), default=inf)

    def _way(self, stack: Node, rest: str, terminal: str) -> float:
        after = self._stacks.feed(stack, terminal)
        if after is None:
            return inf
        return (self._vocabulary.cost(rest) if rest else 0) + self._stacks.price(after)

    def _closing_line(self, stack: Node, indents: tuple[int, ...], column: int) -> float:
        deeper = self._stacks.feed(stack, "INDENT")
        if self._ends(stack, indents):
            return 0
        needed = max(column, indents[-1] + 1)
        if column > DEEPEST_INDENT or (deeper is None and needed == column):
            return 1 + self._closing_line(stack, indents, 0)  # a line of spaces alone
        if deeper is not None:
            return self._spaces(needed - column) + self._stacks.price(deeper)
        best, here = inf, stack
        for level in reversed(indents):
            if level < column:
                break
            # A `try` wants its handlers: here, or on a line of their own after a statement here.
            words = (("except", "EXCEPT"), ("finally", "FINALLY"), ("x", "NAME"))
            left = min(self._way(here, *word) for word in words)
            best = min(best, self._spaces(level - column) + left)
            dedented = self._stacks.feed(here, "DEDENT")
            if dedented is None:
                break
            here = dedented
        return best

    def _spaces(self, count: int) -> int:
        return self._vocabulary.cost(" " * count) if count else 0
