"""HF tokenizers: byte-level tokenizers of the Hugging Face ecosystem, and BPE training.

GPT-2, StarCoder, Qwen, SmolLM, Llama 3 and DeepSeek split text into pieces of bytes, which is
lossless. Tokenizers that rewrite spaces (SentencePiece: Llama 2, Gemma) lose text and are refused.
Needs the ``tokenizers`` package, not transformers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codegym import registry
from codegym.errors import CheckpointError, ConfigError, MissingExtraError
from codegym.tokenizers._utf8 import decode_utf8, encode_utf8
from codegym.tokenizers.tokenizer import Tokenizer

try:
    import tokenizers
except ModuleNotFoundError as error:
    raise MissingExtraError("tokenizers", "agents") from error

FILE, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
END = "<|endoftext|>"


@registry.plugin("tokenizers", "hf")
class HFTokenizer(Tokenizer):
    """A byte-level tokenizer backed by the ``tokenizers`` package.

    The end id is the model's end-of-text token. If the model has no separate pad token, the pad id
    is the first id after its vocabulary, which is never fed to the model.

    Args:
        backend: The tokenizer; None for single bytes.
        config: Contents of ``tokenizer_config.json``; kept and written back.
        chat_template: The Jinja template of a chat model, or "".

    Attributes:
        config: Contents of ``tokenizer_config.json``.
        chat_template: The Jinja template of a chat model, or "".
        model_size: Number of ids that the model knows; ``vocab_size`` is larger by 1 if codegym
            adds the pad id.

    Raises:
        ConfigError: The tokenizer is not byte-level, or has no end token.

    Example:
        >>> HFTokenizer().decode(HFTokenizer().encode("def f(x):"))
        'def f(x):'
    """

    name = "hf"

    def __init__(
        self,
        backend: tokenizers.Tokenizer | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        chat_template: str = "",
    ) -> None:
        self.backend = backend or _bytes_alone()
        self.config = dict(config or {"eos_token": END})
        self.chat_template = chat_template
        state = json.loads(self.backend.to_str())
        if not _byte_level(state.get("decoder")):
            raise ConfigError(
                "the tokenizer is not byte-level, so it would lose parts of programs",
                value=(state.get("decoder") or {}).get("type"),
                expected="ByteLevel",
                cure="use a model of the GPT-2, Qwen, StarCoder, SmolLM or Llama 3 family",
            )
        vocabulary = self.backend.get_vocab(with_added_tokens=True)
        self.model_size = max(vocabulary.values()) + 1
        self.end_id = self._special("eos_token", vocabulary, -1)
        if self.end_id < 0:
            raise ConfigError("the tokenizer has no end token", value=self.config.get("eos_token"))
        self.pad_id = self._special("pad_token", vocabulary, self.model_size)
        if self.pad_id == self.end_id:
            self.pad_id = self.model_size
        self.vocab_size = max(self.model_size, self.pad_id + 1)
        self._pieces = _pieces(state, vocabulary, self.vocab_size)
        self._of_byte = {
            piece[0]: token for token, piece in enumerate(self._pieces) if len(piece) == 1
        }
        self._normalizes = state.get("normalizer") is not None

    def _special(self, field: str, vocabulary: Mapping[str, int], default: int) -> int:
        entry = self.config.get(field)
        text = entry.get("content") if isinstance(entry, dict) else entry
        return vocabulary.get(text, default) if isinstance(text, str) else default

    @classmethod
    def train(cls, texts: Iterable[str], *, vocab_size: int) -> Self:
        """Learn a byte-level BPE vocabulary from texts.

        Args:
            texts: Texts to learn from.
            vocab_size: Largest number of ids, including the 256 bytes and the end token.
        """
        backend = _byte_level_bpe({})
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[END],
            initial_alphabet=sorted(_BYTE_TO_CHARACTER.values()),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are encoded as plain text."""
        self.backend.encode_special_tokens = True
        try:
            ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeEncodeError):  # a lone surrogate
            return self._spell(text)
        if self._normalizes and self._bytes(ids) != encode_utf8(text):
            return self._spell(text)
        return ids

    def encode_markup(self, text: str) -> list[int]:
        """Return the ids of a rendered template, with its special tokens encoded as such."""
        self.backend.encode_special_tokens = False
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; special tokens decode to nothing.

        Raises:
            ConfigError: An id is outside the vocabulary.
        """
        return decode_utf8(self._bytes(ids))[0]

    def piece_bytes(self, token: int) -> bytes:
        """Return the bytes of an id, which may be parts of a character."""
        return self._bytes([token])

    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the place of each token in ``decode(ids)``, as (T, 2) character offsets.

        Tokens that share a character all have it in their spans, as does a pad or end token between
        them.
        """
        data = self._bytes(ids)
        text, owners = decode_utf8(data)
        owners.append(len(text))
        ends = np.cumsum([len(self._pieces[token]) for token in ids], dtype=np.int64)
        out = np.zeros((len(ids), 2), dtype=np.int64)
        start = 0
        for row, end in enumerate(ends.tolist()):
            first = owners[start]
            within = 0 < start < len(data) and owners[start - 1] == first
            last = owners[end - 1] + 1 if end > start else first + within
            out[row] = first, last
            start = end
        return out

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` as transformers reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        self.backend.save(str(folder / FILE))
        text = json.dumps(self.config, indent=1)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        if self.chat_template:
            (folder / TEMPLATE).write_text(self.chat_template, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote, or the tokenizer of any byte-level model folder.

        Raises:
            CheckpointError: The folder holds no such tokenizer.
            ConfigError: The tokenizer is not byte-level.
        """
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            backend = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the package raises bare Exception for a malformed file
            raise CheckpointError(f"no tokenizer in {folder}: {error}") from error
        template = _default_template(config.pop("chat_template", None))
        if (folder / TEMPLATE).is_file():
            template = (folder / TEMPLATE).read_text(encoding="utf-8")
        return cls(backend, config=config, chat_template=template)

    def _bytes(self, ids: Sequence[int]) -> bytes:
        if any(not 0 <= token < self.vocab_size for token in ids):
            raise ConfigError(
                "an id is outside the vocabulary",
                value=list(ids),
                expected=f"0..{self.vocab_size - 1}",
            )
        return b"".join(self._pieces[token] for token in ids)

    def _spell(self, text: str) -> list[int]:
        return [self._of_byte[byte] for byte in encode_utf8(text)]


def _default_template(entry: Any) -> str:
    """Return the template of plain chats; some models name several, for tools or documents."""
    if isinstance(entry, list):
        named = {row.get("name"): row.get("template") for row in entry if isinstance(row, Mapping)}
        entry = named.get("default")
    return entry if isinstance(entry, str) else ""


def _byte_to_character() -> dict[int, str]:
    """Return the printable character that stands for each byte (Radford et al. 2019, GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in table)
    return table | {byte: chr(256 + number) for number, byte in enumerate(others)}


_BYTE_TO_CHARACTER = _byte_to_character()
_CHARACTER_TO_BYTE = {character: byte for byte, character in _BYTE_TO_CHARACTER.items()}


def _byte_level_bpe(vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    return backend


def _bytes_alone() -> tokenizers.Tokenizer:
    characters = _BYTE_TO_CHARACTER.values()
    backend = _byte_level_bpe({character: token for token, character in enumerate(characters)})
    backend.add_special_tokens([END])
    return backend


def _byte_level(decoder: Mapping[str, Any] | None) -> bool:
    if decoder is None:
        return False
    inner = decoder.get("decoders", [])
    return decoder.get("type") == "ByteLevel" or any(_byte_level(part) for part in inner)


def _pieces(state: Mapping[str, Any], vocabulary: Mapping[str, int], size: int) -> list[bytes]:
    """Return the bytes of every id; b"" for special tokens and for ids without a token."""
    added = {row["id"]: row for row in state.get("added_tokens", [])}
    pieces = [b""] * size
    for token, token_id in vocabulary.items():
        if token_id in added:
            pieces[token_id] = b"" if added[token_id]["special"] else token.encode()
        else:
            pieces[token_id] = bytes(_CHARACTER_TO_BYTE[character] for character in token)
    return pieces
