"""Lexeme tokenizer, the default: an id per word, digit, operator or indented newline.

A token never crosses the text of a line, so line-level credit maps onto whole tokens. Words outside
the vocabulary are spelt in characters, and text outside printable ASCII in half bytes, so no text
is lost. The vocabulary is a list of words; ``fit`` finds such a list for a domain.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codegym import registry
from codegym.errors import CheckpointError, ConfigError
from codegym.tokenizers._utf8 import decode_utf8, encode_utf8
from codegym.tokenizers._words import DEFAULT_WORDS
from codegym.tokenizers.tokenizer import Tokenizer

FILE = "codegym_tokenizer.json"
LEXEME = re.compile(
    r"\n(?: {4}){0,6}"  # a line break and the next line's indentation
    r"| {4}"
    r"| ?[A-Za-z_]+"
    r"|[0-9]"
    r"| ?[!-/:-@\[-^`{-~]"  # a single operator character
    r"|.",
    re.DOTALL,
)
HALF_BYTES = range(2, 18)
CHARACTERS = ("\t", "\n", *map(chr, range(32, 127)))
_STEP = "    "
_FIRST_WORD = HALF_BYTES.stop + len(CHARACTERS)
_MEMO_LIMIT = 1 << 16


@registry.plugin("tokenizers", "lexemes")
class LexemeTokenizer(Tokenizer):
    r"""Python lexemes, with a fallback for everything else.

    Ids: 0 pad, 1 end, 2..17 half bytes, then the characters tab, newline and printable ASCII, then
    the words. A word is a lexeme of two characters or more: ``"\n    "``, ``"return"``,
    ``" return"`` or ``" ="``.

    Args:
        words: The words, in the order of their ids; the shipped vocabulary if None.

    Attributes:
        words: The words, in the order of their ids.

    Raises:
        ConfigError: A word is not a single lexeme, is a mere character, or occurs twice.

    Example:
        >>> tokens = LexemeTokenizer(["\n    ", "return", " x"])
        >>> ids = tokens.encode("\n    return x")
        >>> len(ids), tokens.decode(ids)
        (3, '\n    return x')
    """

    name = "lexemes"
    pad_id = 0
    end_id = 1

    def __init__(self, words: Iterable[str] | None = None) -> None:
        self.words = tuple(DEFAULT_WORDS if words is None else words)
        _check_words(self.words)
        self._pieces = [""] * HALF_BYTES.stop + [*CHARACTERS, *self.words]
        self._whole = {
            token: piece for token, piece in enumerate(self._pieces) if token not in HALF_BYTES
        }
        self.vocab_size = len(self._pieces)
        self._sizes = np.array([len(piece) for piece in self._pieces], dtype=np.int64)
        self._ids = {piece: token for token, piece in enumerate(self._pieces) if piece}
        self._memo: dict[str, tuple[int, ...]] = {}
        self._half_bytes = frozenset(HALF_BYTES)

    @classmethod
    def fit(cls, texts: Iterable[str], max_words: int = 256) -> Self:
        """Make a vocabulary of the most frequent words of some texts.

        Args:
            texts: Prompts and programs that the tokenizer will encode.
            max_words: Upper bound; ``vocab_size`` is at most this plus 115.

        Returns:
            A tokenizer whose words are ordered by frequency and then alphabetically, so that the
            same texts in any order give the same ids.
        """
        counts = Counter(lexeme for text in texts for lexeme in LEXEME.findall(text))
        found = [word for word in counts if len(word) > 1]
        found.sort(key=lambda word: (-counts[word], word))
        return cls(found[:max_words])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; neither pad nor end id is among them."""
        memo = self._memo
        ids: list[int] = []
        for lexeme in LEXEME.findall(text):
            known = memo.get(lexeme)
            ids += self._spell(lexeme) if known is None else known
        return ids

    def _spell(self, lexeme: str) -> tuple[int, ...]:
        whole = self._ids.get(lexeme)
        step = self._ids.get(_STEP)
        if whole is not None:
            spelt = [whole]
        elif lexeme.endswith(_STEP) and len(lexeme) > len(_STEP) and step is not None:
            # An indentation deeper than the vocabulary's deepest: the deepest, then the rest.
            spelt = [*self._spell(lexeme[: -len(_STEP)]), step]
        else:
            spelt = [token for character in lexeme for token in self._spell_character(character)]
        if len(self._memo) >= _MEMO_LIMIT:
            self._memo.clear()
        return self._memo.setdefault(lexeme, tuple(spelt))

    def _spell_character(self, character: str) -> list[int]:
        token = self._ids.get(character)
        if token is not None:
            return [token]
        return [
            HALF_BYTES.start + half
            for byte in encode_utf8(character)
            for half in (byte >> 4, byte & 15)
        ]

    def piece(self, token: int) -> str:
        """Return the text of a single id; "" for pad, end and half bytes."""
        return self._pieces[token]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; pad and end ids decode to nothing.

        Raises:
            ConfigError: An id is outside the vocabulary.
        """
        plain = _plain(ids)
        try:
            # Programs are decoded by the million: the common case makes a single call of each kind.
            if len(plain) > 1:
                return "".join(itemgetter(*plain)(self._whole))
        except (KeyError, TypeError):
            pass  # an id without a piece: outside the vocabulary, or a half byte
        self._check(plain)
        return self._pieces_and_spans(plain)[0]

    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the place of each token in ``decode(ids)``, as (T, 2) character offsets.

        Every half byte of a character has the span of the whole character.
        """
        plain = _plain(ids)
        self._check(plain)
        if self._half_bytes.isdisjoint(plain):
            out = np.zeros((len(plain), 2), dtype=np.int64)
            np.cumsum(self._sizes[plain], out=out[:, 1])
            out[1:, 0] = out[:-1, 1]
            return out
        return np.array(self._pieces_and_spans(plain)[1], dtype=np.int64).reshape(-1, 2)

    def _pieces_and_spans(self, ids: list[int]) -> tuple[str, list[tuple[int, int]]]:
        parts: list[str] = []
        spans: list[tuple[int, int]] = []
        length = index = 0
        while index < len(ids):
            stop = index
            while stop < len(ids) and ids[stop] in self._half_bytes:
                stop += 1
            if stop > index:
                text, owners = _read_half_bytes(ids[index:stop])
                spans += [(length + owner, length + owner + 1) for owner in owners]
                index = stop
            else:
                text = self._pieces[ids[index]]
                spans.append((length, length + len(text)))
                index += 1
            parts.append(text)
            length += len(text)
        return "".join(parts), spans

    def _check(self, ids: list[int]) -> None:
        if ids and not (min(ids) >= 0 and max(ids) < self.vocab_size):
            raise ConfigError(
                "an id is outside the vocabulary",
                value=next(token for token in ids if not 0 <= token < self.vocab_size),
                expected=f"0..{self.vocab_size - 1}",
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LexemeTokenizer):
            return NotImplemented
        return self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def save(self, folder: Path) -> None:
        """Write the words as ``codegym_tokenizer.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        row = {"name": self.name, "words": list(self.words)}
        (folder / FILE).write_text(json.dumps(row, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: The folder holds no such tokenizer.
        """
        try:
            row = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if row["name"] != cls.name:
                raise CheckpointError(
                    "a tokenizer of another kind", value=row["name"], expected=cls.name
                )
            return cls(row["words"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"no lexeme tokenizer in {folder}: {error}") from None


def _plain(ids: Any) -> list[int]:
    if type(ids) is list:
        return ids
    plain: list[int] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    return plain


def _read_half_bytes(ids: list[int]) -> tuple[str, list[int]]:
    # A half byte without its partner is read as a byte that cannot begin a character.
    halves = [half_byte - HALF_BYTES.start for half_byte in ids]
    odd = len(halves) % 2
    if odd:
        halves.append(0)
    data = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    if odd:
        data = data[:-1] + b"\xff"
    text, owners = decode_utf8(data)
    doubled = [owner for owner in owners for _ in range(2)]
    return text, doubled[: len(ids)]


def _check_words(words: Sequence[str]) -> None:
    seen: set[str] = set()
    for word in words:
        single = isinstance(word, str) and len(word) > 1 and LEXEME.fullmatch(word)
        if not single or LEXEME.findall(word) != [word] or word in seen:
            raise ConfigError(
                "a word of the vocabulary is unusable",
                value=word,
                expected="distinct single lexemes of two characters or more",
            )
        seen.add(word)
