"""Vocabulary: the bytes of each token id, read by the lexer as a tree of pieces."""

from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grammar.lexer import HALF, read
from codegym.grammar.lexer_state import Event, LexerState
from codegym.grammar.word_tokens import BRACKETS, KEYWORDS, OPERATORS
from codegym.tokenizers.lexemes import HALF_BYTES, LexemeTokenizer
from codegym.tokenizers.tokenizer import Tokenizer

_READINGS_KEPT, _READINGS_KEPT_BYTES = 1_000, 1 << 27


class Reading(NamedTuple):
    """Tokens that complete the same terminals and lead to the same lexer state.

    Attributes:
        events: Events that the tokens complete, in order.
        lex: State of the lexer after the tokens.
        ids: The tokens.
    """

    events: tuple[Event, ...]
    lex: LexerState
    ids: NDArray[np.int64]


@dataclass(slots=True)
class _Branch:
    """A node of the tree of all pieces: its tokens, and the child for each next unit."""

    ids: list[int] = field(default_factory=list)
    children: dict[str, "_Branch"] = field(default_factory=dict)


class Vocabulary:
    """The pieces of a tokenizer's ids, in the lexer's units.

    Ids without text (pad, end, special tokens) occur in no reading, so they are never allowed.

    Args:
        pieces: Text of each id, "" for an id without text.
        end_id: The end token.

    Attributes:
        size: Number of ids.
        end_id: The end token.
        pieces: Text of each id, "" for an id without text.

    Raises:
        ConfigError: A printable ASCII character has no id.
    """

    def __init__(self, pieces: tuple[str, ...], end_id: int) -> None:
        self.size, self.end_id, self.pieces = len(pieces), end_id, pieces
        missing = {chr(code) for code in range(32, 127)} - set(self.pieces)
        if missing:
            raise ConfigError(
                "masks need an id for each printable character",
                value="".join(sorted(missing)),
                cure="use the tokenizer lexemes, bytes, or a byte-level tokenizer",
            )
        self._root = _Branch()
        self._halves = chr(HALF) in self.pieces
        for token, piece in enumerate(self.pieces):
            branch = self._root
            for unit in piece:
                branch = branch.children.setdefault(unit, _Branch())
            if piece:
                branch.ids.append(token)
        # A piece reads newlines differently only up to this bracket depth.
        self.deepest = 1 + max((_closers(piece) for piece in self.pieces), default=0)
        self._readings: dict[tuple[LexerState, int], list[Reading]] = {}
        self._costs: dict[str, int] = {}

    def cost(self, text: str) -> int:
        """Return the least number of tokens that together write a text."""
        known = self._costs.get(text)
        if known is None:
            known = self._costs[text] = self._find_cost(text)
        return known

    def _find_cost(self, text: str) -> int:
        best = [inf] * len(text) + [0.0]
        for start in reversed(range(len(text))):
            if self._halves and 0x80 <= ord(text[start]) < HALF:
                best[start] = 2 + best[start + 1]
            branch: _Branch | None = self._root
            for end in range(start, len(text)):
                branch = branch.children.get(text[end]) if branch else None
                if branch is None:
                    break
                if branch.ids:
                    best[start] = min(best[start], 1 + best[end + 1])
        return int(best[0]) if best[0] < inf else len(self.pieces)

    def name_prices(self) -> tuple[float, float]:
        """Return the price of the cheapest name directly after a non-word, and after a word."""
        spaced = any(
            piece[:1] == " " and piece[1:].isidentifier() and piece[1:] not in KEYWORDS
            for piece in self.pieces
        )
        return 1.0, 1.0 if spaced else 2.0

    def readings(self, lex: LexerState, depth: int) -> list[Reading]:
        """Group the tokens by their events and the lexer state after them.

        Args:
            lex: State of the lexer before the tokens.
            depth: Number of open brackets, at most ``deepest``.
        """
        known = self._readings.get((lex, depth))
        if known is not None:
            return known
        groups: dict[tuple[tuple[Event, ...], LexerState], list[int]] = {}
        todo: list[tuple[_Branch, tuple[Event, ...], int, LexerState]] = [(self._root, (), 0, lex)]
        while todo:
            branch, events, change, here = todo.pop()
            if branch.ids:
                groups.setdefault((events, here), []).extend(branch.ids)
            for unit, child in branch.children.items():
                step = read(here, unit, depth + change > 0)
                if step is not None:
                    after = change + bracket(unit, step[0])
                    todo.append((child, events + step[0], after, step[1]))
        if len(self._readings) >= min(_READINGS_KEPT, _READINGS_KEPT_BYTES // (8 * self.size)):
            self._readings.clear()
        made = [Reading(*key, np.array(ids)) for key, ids in groups.items()]
        self._readings[lex, depth] = made
        return made


def read_vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Return the vocabulary of a tokenizer, made once per process for the same pieces.

    Args:
        tokenizer: A tokenizer with an id for each printable ASCII character.

    Raises:
        ConfigError: A printable ASCII character has no id.
    """
    return _of_pieces(tuple(_pieces(tokenizer)), tokenizer.end_id)


@lru_cache(maxsize=8)
def _of_pieces(pieces: tuple[str, ...], end_id: int) -> Vocabulary:
    return Vocabulary(pieces, end_id)


def bracket(unit: str, events: tuple[Event, ...]) -> int:
    """Return 1 if a unit opens a bracket, -1 if it closes a bracket, else 0."""
    change = BRACKETS.get(unit, 0)
    return change if change and events and events[-1] == OPERATORS[unit] else 0


def _pieces(tokenizer: Tokenizer) -> list[str]:
    pieces = [_text(tokenizer, token) for token in range(tokenizer.vocab_size)]
    if isinstance(tokenizer, LexemeTokenizer):
        for token in HALF_BYTES:
            pieces[token] = chr(HALF + token - HALF_BYTES.start)
    return pieces


def _text(tokenizer: Tokenizer, token: int) -> str:
    if token in (tokenizer.pad_id, tokenizer.end_id):
        return ""
    return tokenizer.piece_bytes(token).decode("latin-1")


def _closers(piece: str) -> int:
    """Count the closing brackets before the last character of a piece."""
    return sum(character in ")]}" for character in piece[:-1])
