"""Vocabulary: a tokenizer as masks see it: the text of each id, read by the lexer in one walk."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grammar.lexer import Event, Lex, read
from codegym.grammar.subset import BRACKETS, KEYWORDS, OPERATORS
from codegym.tokenizers.base import Tokenizer
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer

DEEPEST_INDENT = 64
_READINGS_KEPT = 400


class Reading(NamedTuple):
    """Tokens that complete the same terminals and leave the same pending.

    Attributes:
        events: What they complete, in order.
        bracket: Brackets they open, less those they close.
        lex: What they leave pending.
        ids: The tokens.
    """

    events: tuple[Event, ...]
    bracket: int
    lex: Lex
    ids: NDArray[np.int64]


@dataclass(slots=True)
class _Branch:
    """A node of the tree of all texts: its tokens, and where each next character leads."""

    ids: list[int] = field(default_factory=list)
    children: dict[str, "_Branch"] = field(default_factory=dict)


class Vocabulary:
    """The texts of a tokenizer's ids.

    Ids without a text of their own (pad, end, special tokens, parts of a character) stand in no
    reading, and so are never allowed.

    Args:
        tokenizer: Any tokenizer that has an id for each printable ASCII character.

    Attributes:
        size: Number of ids.
        end_id: The end token.
        pieces: The text of each id, "" where it has none.

    Raises:
        ConfigError: A printable ASCII character has no id.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.size, self.end_id = tokenizer.vocab_size, tokenizer.end_id
        self._tokenizer = tokenizer
        self._exact = isinstance(tokenizer, LexemeTokenizer | ByteTokenizer)
        self.pieces = [_text(tokenizer, one) for one in range(self.size)]
        missing = {chr(code) for code in range(32, 127)} - set(self.pieces)
        if missing:
            raise ConfigError(
                "masks need an id for each printable character",
                value="".join(sorted(missing)),
                cure="use the lexemes tokenizer, bytes, or a byte-level one",
            )
        self._root = _Branch()
        for one, piece in enumerate(self.pieces):
            branch = self._root
            for character in piece:
                branch = branch.children.setdefault(character, _Branch())
            if piece:
                branch.ids.append(one)
        # Whether a newline in a piece is mere space depends on no more open brackets than these.
        self.deepest = 1 + max((_closers(piece) for piece in self.pieces), default=0)
        self._readings: dict[tuple[Lex, int], list[Reading]] = {}

    def cost(self, text: str) -> int:
        """Return how many tokens write a text; at most that many for subword tokenizers.

        A text's rest after some of these tokens never costs more than what is left of them. Of
        subwords only the characters promise that.
        """
        return len(self._tokenizer.encode(text)) if self._exact else len(text)

    def readings(self, lex: Lex, depth: int) -> list[Reading]:
        """Group the tokens by what they complete and leave pending, whatever the parser's state.

        Args:
            lex: What is pending before them.
            depth: Open brackets, at most ``deepest``.
        """
        known = self._readings.get((lex, depth))
        if known is not None:
            return known
        groups: dict[tuple[tuple[Event, ...], int, Lex], list[int]] = {}
        todo: list[tuple[_Branch, tuple[Event, ...], int, Lex]] = [(self._root, (), 0, lex)]
        while todo:
            branch, events, change, here = todo.pop()
            if branch.ids:
                groups.setdefault((events, change, here), []).extend(branch.ids)
            for character, child in branch.children.items():
                step = read(here, character, depth + change > 0)
                if step is not None:
                    after = change + bracket(character, step[0])
                    todo.append((child, events + step[0], after, step[1]))
        if len(self._readings) >= _READINGS_KEPT:
            self._readings.clear()
        made = [Reading(*key, np.array(ids)) for key, ids in groups.items()]
        self._readings[lex, depth] = made
        return made

    def prices(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return what each terminal costs in tokens wherever a shortest way out writes it.

        Returns:
            The prices with a space before it where a word or a number could stand before it, and
            what is saved where none does.
        """
        cost = self.cost
        spaced: dict[str, float] = {name: cost(sign) for sign, name in reversed(OPERATORS.items())}
        texts = {word.upper(): word for word in KEYWORDS} | {"NUMBER": "0", "STRING": "''"}
        texts["DOT"] = "."  # it would be part of a number before it
        spaced |= {terminal: cost(f" {text}") for terminal, text in texts.items()}
        named = any(
            piece[:1] == " " and piece[1:].isidentifier() and piece[1:] not in KEYWORDS
            for piece in self.pieces
        )
        spaced["NAME"] = 1 if named else 2
        saved = {
            terminal: max(0.0, spaced[terminal] - cost(text)) for terminal, text in texts.items()
        }
        saved["NAME"] = spaced["NAME"] - 1
        # A way out writes a new line only before the handlers of a `try`.
        new_line = cost("\n") + cost(" " * (DEEPEST_INDENT - 1)) + 1
        for word in ("except", "finally"):
            spaced[word.upper()], saved[word.upper()] = new_line + cost(word), 0.0
        return spaced, saved


def bracket(character: str, events: tuple[Event, ...]) -> int:
    """Return 1 where a character has opened a bracket, -1 where it has closed one, else 0."""
    change = BRACKETS.get(character, 0)
    return change if change and events and events[-1] == OPERATORS[character] else 0


def _text(tokenizer: Tokenizer, one: int) -> str:
    if one in (tokenizer.pad_id, tokenizer.end_id):
        return ""
    text = tokenizer.decode([one])
    return "" if "\ufffd" in text else text


def _closers(piece: str) -> int:
    """Count the closing brackets that stand before something else in a piece."""
    return sum(character in ")]}" for character in piece[:-1])
