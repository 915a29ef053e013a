"""check_tokenizer: tests that a tokenizer is lossless and returns the right spans.

``round_trips`` tests the same on real programs and counts them.
"""

import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from codegym.errors import CheckpointError, ConfigError, ConformanceError, TaskError
from codegym.sources import load_tasks
from codegym.tokenizers.tokenizer import Tokenizer

_TEXTS = (
    "",
    "def f(xs: list[int]) -> int:\n    return sum(x ** 2 for x in xs if x != -1)\n",
    "class A:\n\tdef b(self):\n        '''doc'''\r\n",
    "naïve = 'é' + \"日本語\" + '🐍'  # ünï\n",
    " \n\n   \t leading and trailing   \n",
    "x" * 200 + "1" * 50 + "<<=>>",
    "\x00\x07\x1b[0m\x7f",
)


def check_tokenizer(tokenizer: type[Tokenizer] | Tokenizer) -> None:
    """Run a tokenizer through its contract.

    Args:
        tokenizer: A tokenizer, or a class that can be made without arguments.

    Raises:
        ConformanceError: The contract is violated; the message says how.
        ConfigError: A class needs arguments.
    """
    checked = _make(tokenizer)
    _check_ids(checked)
    for text in _TEXTS:
        _check_text(checked, text)
    rng = np.random.default_rng(0)
    for _ in range(50):
        _check_any_ids(checked, rng.integers(checked.vocab_size, size=12).tolist())
    _check_folder(checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """Counts of texts of an origin that all survived the round trip to ids and back.

    Attributes:
        origin: Origin of the texts.
        texts: Number of texts.
        characters: Number of characters.
        tokens: Number of ids.
    """

    origin: str
    texts: int
    characters: int
    tokens: int


def round_trips(tokenizer: Tokenizer, *, count: int) -> Iterator[RoundTrip]:
    """Encode and decode this Python's standard library, and HumanEval and MBPP if installed.

    Args:
        tokenizer: The tokenizer to check.
        count: Largest number of texts of each origin, evenly spaced.

    Raises:
        ConformanceError: A text does not survive; the error names it.
    """
    yield _round_trip(tokenizer, "standard library", _library(count))
    for uri in ("humaneval", "mbpp"):
        try:
            tasks = list(load_tasks(uri))
        except TaskError:
            continue  # not on this machine
        texts = [(task.task_id, task.prompt + (task.canonical_solution or "")) for task in tasks]
        yield _round_trip(tokenizer, uri, _spaced(texts, count))


def _round_trip(tokenizer: Tokenizer, origin: str, texts: Iterable[tuple[str, str]]) -> RoundTrip:
    sizes = [(len(text), _tokens(tokenizer, name, text)) for name, text in texts]
    return RoundTrip(
        origin=origin,
        texts=len(sizes),
        characters=sum(characters for characters, _ in sizes),
        tokens=sum(tokens for _, tokens in sizes),
    )


def _tokens(tokenizer: Tokenizer, name: str, text: str) -> int:
    ids = tokenizer.encode(text)
    _claim(tokenizer.decode(ids) == text, "decode(encode(text)) == text", name)
    return len(ids)


def _library(count: int) -> Iterator[tuple[str, str]]:
    folder = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in folder.rglob("*.py") if "site-packages" not in path.parts]
    for path in _spaced(sorted(paths), count):
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue  # files in other encodings, which Python's own tests use
        yield str(path.relative_to(folder)), text


def _spaced(items: Sequence[Any], count: int) -> Sequence[Any]:
    return items[:: -(-len(items) // count) or 1]


def _make(tokenizer: type[Tokenizer] | Tokenizer) -> Tokenizer:
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    try:
        return tokenizer()
    except TypeError as error:
        raise ConfigError(
            f"{tokenizer.__name__} cannot be made without arguments",
            cure="pass an instance to check_tokenizer",
        ) from error


def _check_ids(checked: Tokenizer) -> None:
    special = (checked.pad_id, checked.end_id)
    _claim(checked.pad_id != checked.end_id, "pad_id and end_id differ", special)
    _claim(
        all(0 <= token < checked.vocab_size for token in special), "special ids are ids", special
    )
    _claim(checked.decode(special) == "", "pad and end decode to nothing", checked.decode(special))


def _check_text(checked: Tokenizer, text: str) -> None:
    ids = checked.encode(text)
    _claim(checked.decode(ids) == text, "decode(encode(text)) == text", (text, checked.decode(ids)))
    _claim(all(0 <= token < checked.vocab_size for token in ids), "ids are below vocab_size", ids)
    special = {checked.pad_id, checked.end_id} & set(ids)
    _claim(not special, "no text holds the pad or end id", (text, special))
    _claim(checked.encode(text) == ids, "a text always has the same ids", text)
    array = np.array(ids, dtype=np.int64)
    _claim(checked.decode(array.tolist()) == text, "ids survive an array", text)
    _check_spans(checked, ids, text)
    # An end token after the text has an empty span at the end of the text.
    last = checked.spans([*ids, checked.end_id])[-1].tolist()
    _claim(last == [len(text)] * 2, "spans: the end token has an empty span", (text, last))


def _check_any_ids(checked: Tokenizer, ids: Sequence[int]) -> None:
    _check_spans(checked, ids, checked.decode(ids))


def _check_spans(checked: Tokenizer, ids: Sequence[int], text: str) -> None:
    spans = checked.spans(ids)
    _claim(spans.shape == (len(ids), 2), "a span for each id", (spans.shape, len(ids)))
    rows = [(int(start), int(end)) for start, end in spans]
    _claim(all(start <= end for start, end in rows), "no span ends before it starts", rows)
    _claim(all(a[0] <= b[0] for a, b in pairwise(rows)), "spans ascend", rows)
    covered = "".join(text[start:end] for start, end in sorted({*rows}) if start < end)
    _claim(covered == text, "spans cover the text once", (text, covered))


def _check_folder(checked: Tokenizer) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "saved"
        checked.save(folder)
        again = type(checked).load(folder)
        for text in _TEXTS:
            _claim(
                again.encode(text) == checked.encode(text), "a saved tokenizer is the same", text
            )
        empty = Path(name) / "empty"
        empty.mkdir()
        try:
            type(checked).load(empty)
        except CheckpointError:
            return
        except Exception as error:
            raise ConformanceError(
                "loading from an empty folder", value=error, expected="a CheckpointError"
            ) from error
        raise ConformanceError("loading from an empty folder", expected="a CheckpointError")


def _claim(holds: bool, promise: str, value: object) -> None:
    if not holds:
        raise ConformanceError(f"broken: {promise}", value=value)
