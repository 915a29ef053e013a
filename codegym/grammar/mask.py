"""PythonMask: masks of the tokens that keep a text a completable prefix of valid Python.

A state combines the states of the lexer and the parser after a text. For each state, a single
computation finds the number of tokens of a shortest complete program after every token; a mask
compares this row of numbers with the budget. Nothing here samples tokens or runs programs.
"""

from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grammar.closing import (
    Closing,
    deeper_columns,
    indentation,
    is_deeper,
    rest_of_indentation,
)
from codegym.grammar.lexer import (
    LINE,
    completions,
    finish,
    read,
    rest_of_character,
    second_halves,
)
from codegym.grammar.lexer_state import Event, LexerState
from codegym.grammar.parse_tables import END, load_tables
from codegym.grammar.parser import MOST_BLOCKS, Column, Node, Parser
from codegym.grammar.vocabulary import read_vocabulary
from codegym.grammar.word_tokens import KEYWORDS, SOFT, SPECIAL
from codegym.tokenizers.tokenizer import Tokenizer

NEVER = np.iinfo(np.int16).max
# Limits that bound memory: number of states, bytes of their rows, and parser stacks of about a
# kilobyte each.
_STATES_KEPT, _ROWS_KEPT_BYTES = 20_000, 1 << 28
_NODES_KEPT = 100_000
_WORDS = {"NAME", "NUMBER", "IMAGINARY", *SOFT.values(), *SPECIAL.values()}
_WORDS |= {word.upper() for word in KEYWORDS}
_LAYOUT = {"NEWLINE", "INDENT", "DEDENT", END}


class MaskState(NamedTuple):
    """State of the mask after a text that is a prefix of a program.

    Attributes:
        lex: State of the lexer.
        stacks: Parser stacks, a stack for each possible reading of the text.
    """

    lex: LexerState
    stacks: tuple[Node, ...]


class PythonMask:
    r"""Masks for a tokenizer.

    The set of allowed tokens is exact for the grammar of ``codegym.grammar.productions``: a token
    is allowed if and only if some whole program of the grammar starts with the resulting text and
    fits the budget. If tokens may hold several lexemes (subwords), the cost of a completion is
    counted lexeme by lexeme, an upper bound.

    Cost: a dictionary look-up and a comparison of V numbers for a known state; about a millisecond
    for a new state with some 500 ids. See docs/environments.md.

    Args:
        tokenizer: A tokenizer with an id for each printable ASCII character: lexemes, bytes, or
            byte-level subwords.

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
        self._vocabulary = read_vocabulary(tokenizer)
        self.size = self._vocabulary.size
        self._parser = Parser(load_tables())
        self._cost = self._vocabulary.cost
        self._prices = Closing(self._parser, self._cost, self._vocabulary.name_prices())
        self._known: dict[MaskState, NDArray[np.int16]] = {}
        self._started: dict[str, MaskState] = {}
        self._first_words: dict[Node, float] = {}

    def start(self, text: str = "") -> MaskState:
        """Return the state after an existing text, such as a prompt that is code.

        Raises:
            ConfigError: The text is not a prefix of a program of the grammar.
        """
        known = self._started.get(text)
        if known is not None:
            return known
        state = MaskState(LINE, (self._parser.root,))
        for position, character in enumerate(text):
            after: MaskState | None = state
            for byte in character.encode("utf-8", "surrogatepass"):
                after = None if after is None else self._read(after, chr(byte))
            if after is None:
                raise ConfigError(
                    f"line {text.count(chr(10), 0, position) + 1} of a prompt is outside the "
                    "Python that masks know",
                    value=text[max(0, position - 20) : position + 1],
                    cure="write the tasks' prompts in plainer Python, or turn action masks off",
                )
            state = after
        if len(self._started) >= _STATES_KEPT:
            self._started.clear()
        self._started[text] = state
        return state

    def advance(self, state: MaskState, token: int) -> MaskState | None:
        """Return the state after a further token; None if the text is no longer a prefix."""
        piece = self._vocabulary.pieces[token]
        if not piece:
            return None
        here: MaskState | None = state
        for unit in piece:
            if here is None:
                return None
            here = self._read(here, unit)
        return here

    def needs(self, state: MaskState) -> NDArray[np.int16]:
        """Return, for each token, the number of tokens of a shortest whole program after it.

        Returns:
            (V,) int16: counts include the end token; 0 for the end token itself if the program may
            end here, ``NEVER`` for a token that is not allowed. Shared: do not write to it.
        """
        known = self._known.get(state)
        if known is None:
            if len(self._known) >= min(_STATES_KEPT, _ROWS_KEPT_BYTES // (2 * self.size)):
                self._known.clear()
            known = self._known[state] = self._find_needs(state)
        return known

    def allowed(self, state: MaskState, remaining: int) -> NDArray[np.bool_]:
        """Return which tokens may come next under a budget of tokens that includes this token.

        If no program fits the budget, the tokens on a shortest completion are allowed.

        Returns:
            (V,) bool, never all False.
        """
        needs = self.needs(state)
        mask: NDArray[np.bool_] = needs < remaining
        return mask if mask.any() else needs == needs.min()

    def packed(self, state: MaskState, remaining: int) -> NDArray[np.uint8]:
        """Return ``allowed`` as bits.

        Returns:
            (ceil(V / 8),) uint8; ``np.unpackbits(row, count=V)`` undoes the packing.
        """
        return np.packbits(self.allowed(state, remaining))

    def ends(self, state: MaskState) -> bool:
        """Return whether the text is a whole program."""
        return self._is_whole(state)

    def _find_needs(self, state: MaskState) -> NDArray[np.int16]:
        needs = np.full(self.size, NEVER, dtype=np.int16)
        depth = min(state.stacks[0].brackets, self._vocabulary.deepest)
        for events, lex, ids in self._vocabulary.readings(state.lex, depth):
            after = self._apply(state, events, lex)
            left = inf if after is None else self._closing(after)
            if left < NEVER - 1:
                needs[ids] = left + 1
        if self._is_whole(state):
            needs[self._vocabulary.end_id] = 0
        needs.flags.writeable = False
        return needs

    def _forget(self, state: MaskState) -> None:
        """Clear all caches but for a single state; cleared entries are computed again on use."""
        self._known.clear()
        self._started.clear()
        self._first_words.clear()
        self._parser.forget(state.stacks)

    def _read(self, state: MaskState, unit: str) -> MaskState | None:
        if self._parser.count > _NODES_KEPT:
            self._forget(state)
        step = read(state.lex, unit, state.stacks[0].brackets > 0)
        return None if step is None else self._apply(state, *step)

    def _apply(
        self, state: MaskState, events: tuple[Event, ...], lex: LexerState
    ) -> MaskState | None:
        stacks = state.stacks
        for event in events:
            if isinstance(event, tuple):
                stacks = tuple(
                    after
                    for after in (self._indent(stack, event) for stack in stacks)
                    if after is not None
                )
            else:
                stacks = self._parser.read(stacks, event)
            if not stacks:
                return None
        return MaskState(lex, stacks)

    def _indent(self, stack: Node, column: Column) -> Node | None:
        feed = self._parser.feed
        if feed(stack, "INDENT") is not None:
            fits = is_deeper(column, stack.column) and stack.blocks < MOST_BLOCKS
            return feed(stack, "INDENT", column) if fits else None
        here: Node | None = stack
        while here is not None and is_deeper(here.column, column):
            here = feed(here, "DEDENT")
        return here if here is not None and here.column == column else None

    def _is_whole(self, state: MaskState) -> bool:
        done = None if state.lex.kind == "joined" else finish(state.lex)
        if done is None:
            return False
        stacks = state.stacks
        if state.lex.kind not in ("line", "remark"):
            for event in (*done, "NEWLINE"):
                stacks = self._parser.read(stacks, str(event))
        return any(self._ends(stack) for stack in stacks)

    def _ends(self, stack: Node) -> bool:
        here: Node | None = stack
        for _ in range(stack.blocks):
            here = None if here is None else self._parser.feed(here, "DEDENT")
        return here is not None and self._parser.feed(here, END) is not None

    def _closing(self, state: MaskState) -> float:
        """Return the number of tokens that complete a state's text; inf if none do."""
        lex, stacks = state
        if lex.half >= 0:
            lows = second_halves(lex, stacks[0].brackets > 0)
            read_whole = (self._read(state, low) for low in lows)
            return min(
                (1 + self._closing(whole) for whole in read_whole if whole),
                default=inf,
            )
        if lex.data:
            rest = rest_of_character(lex, lex.data)
            assert rest is not None
            after: MaskState | None = state
            for unit in rest:
                after = None if after is None else self._read(after, unit)
            return inf if after is None else self._cost(rest) + self._closing(after)
        if lex.kind == "line":
            written = (len(lex.mode), lex.size)
            return min(self._closing_line(stack, written) for stack in stacks)
        if lex.kind == "remark" or (lex.kind == "comment" and not stacks[0].brackets):
            lines = stacks if lex.kind == "remark" else self._parser.read(stacks, "NEWLINE")
            return min((self._closing_line(stack, None) for stack in lines), default=inf)
        price = self._prices.price
        if lex.kind == "between":
            return min(price(stack, False) for stack in stacks)
        if lex.kind == "comment":
            return self._cost("\n") + min(price(stack, False) for stack in stacks)
        if lex.kind in ("joined", "backslash"):
            # Something must follow the newline that a backslash hides, at least another newline.
            # After a carriage return the first newline belongs to it; it is counted all the same,
            # as an upper bound.
            left = min(price(stack, False) for stack in stacks) or self._cost("\n")
            return self._cost("\n") * (lex.kind == "backslash" or lex.returned) + left
        prices = (self._completion_price(stacks, *ending) for ending in completions(lex))
        return min(prices, default=inf)

    def _completion_price(
        self, stacks: tuple[Node, ...], rest: str, terminals: tuple[str, ...]
    ) -> float:
        for terminal in terminals:
            stacks = self._parser.read(stacks, terminal)
        word = terminals[-1:] != () and terminals[-1] in _WORDS
        left = min((self._prices.price(stack, word) for stack in stacks), default=inf)
        return (self._cost(rest) if rest else 0) + left

    def _closing_line(self, stack: Node, written: Column | None) -> float:
        """Return the price of closing at the start of a line whose indentation is partly written.

        ``written`` is None at the end of a comment before the line, whose newline is not written.
        """
        if self._ends(stack):
            return 0
        best = inf
        for column, left in self._first_words_at(stack):
            best = min(best, self._cost("\n" + indentation(column)) + left)
            rest = None if written is None else rest_of_indentation(written, column)
            if rest is not None:
                best = min(best, (self._cost(rest) if rest else 0) + left)
        return best

    def _first_words_at(self, stack: Node) -> list[tuple[Column, float]]:
        """Return the columns at which a line may continue, and the price of closing from each."""
        feed = self._parser.feed
        if feed(stack, "INDENT") is not None:
            return [
                (column, self._prices.price(deeper, False))
                for column in deeper_columns(stack.column)
                if (deeper := self._indent(stack, column)) is not None
            ]
        found = []
        here: Node | None = stack
        while here is not None:
            found.append((here.column, self._first_word(here)))
            here = feed(here, "DEDENT") if here.blocks else None
        return found

    def _first_word(self, stack: Node) -> float:
        """Return the price of closing from a line's first word on."""
        known = self._first_words.get(stack)
        if known is not None:
            return known
        tables, best = self._parser.tables, inf
        for terminal in {*tables.shifts[stack.state], *tables.reductions[stack.state]} - _LAYOUT:
            price, word = self._prices.terminal(terminal, False)
            if price < inf:
                after = self._parser.feed(stack, terminal)
                if after is not None:
                    best = min(best, price + self._prices.price(after, word))
        self._first_words[stack] = best
        return best


@lru_cache(maxsize=8)
def shared_mask(tokenizer: Tokenizer) -> PythonMask:
    """Return the mask of a tokenizer, made once per process, with its cached states.

    Raises:
        MissingExtraError: lark is not installed (extra ``grammar``).
        ConfigError: A printable ASCII character has no id.
    """
    return PythonMask(tokenizer)
