"""Prompting: how a pretrained model is shown a task, and which texts end its program.

A base model is shown the head of a program and continues it. A chat model is asked for the program,
and its answer is begun for it inside a code fence, so that it too writes a continuation and no
fence has to be found. A chat model may also answer freely; ``codegym.tasks.answers`` then takes the
program out of the answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.policies.hf.chat_template import render_chat
from codegym.tasks.chat_request import CONTINUE_REQUEST, WRITE_REQUEST, chat_request, is_code
from codegym.tokenizers.hf import HFTokenizer
from codegym.tokenizers.tokenizer import Tokenizer

Style = Literal["code", "chat", "answer"]
STOPS: dict[Style, tuple[str, ...]] = {
    "code": ("\nclass ", "\ndef ", "\nif ", "\nprint(", "\nassert ", "\n#", "\n@", "\n```"),
    "chat": ("\n```",),
    "answer": (),
}
_TEXT = re.compile(r"\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """How prompts are shown.

    Attributes:
        style: ``code`` for base models, ``chat`` for models with a chat template, ``answer`` for
            models that answer freely, with thoughts and fences.
        stops: Texts that end a program, once something other than white space was written.
        continue_request: Request to a chat model for a prompt that is the head of a program;
            ``{prompt}`` is replaced by the prompt.
        write_request: Request for a prompt that is plain text.
        system: System message of a chat, "" for none; some models' templates refuse it.
    """

    style: Style = "code"
    stops: tuple[str, ...] | None = None
    continue_request: str = CONTINUE_REQUEST
    write_request: str = WRITE_REQUEST
    system: str = ""

    def __post_init__(self) -> None:
        if self.style not in STOPS:
            raise ConfigError(
                "style is unusable", value=self.style, expected="code, chat or answer"
            )
        if any(not stop.strip() for stop in self.stops or ()):
            raise ConfigError("a stop is blank", value=self.stops)

    def sequences(self) -> tuple[str, ...]:
        """Return the stop sequences: the style's own unless others were given."""
        return STOPS[self.style] if self.stops is None else self.stops

    def watch(self, tokenizer: Tokenizer, rows: int) -> "StopWatch":
        """Return a watch for the stop sequences over some rows; there must be any."""
        return StopWatch(tokenizer, self.sequences(), rows)

    def first_stop(self, actions: Sequence[int], tokenizer: Tokenizer) -> int:
        """Return how many actions come before the first stop sequence, -1 if there is none."""
        if not self.sequences():
            return -1
        watch = self.watch(tokenizer, 1)
        for token in actions:
            before = int(watch.read(np.array([token]))[0])
            if before >= 0:
                return before
        return -1

    def encode(self, text: str, tokenizer: HFTokenizer) -> list[int]:
        """Return the ids a prompt is shown as.

        White space at the prompt's end is left out: models have learnt it as the beginning of the
        next token, and a prompt that ends in it makes them stop or write a fence (HumanEval pass@1
        of SmolLM2-135M falls from 5/40 to 0/40). The extra line break they write is harmless.

        Raises:
            ConfigError: A chat is asked for and the model has no template, or one that refuses it.
        """
        code = is_code(text)
        if self.style == "code":
            shown = text if code else f'"""\n{text.strip()}\n"""\n'
            return tokenizer.encode(shown.rstrip())
        request = chat_request(text, self.continue_request, self.write_request)
        messages = [{"role": "user", "content": request}]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        if self.style == "answer":
            return tokenizer.encode_markup(render_chat(messages, tokenizer))
        begun = f"```python\n{text}".rstrip() if code else "```python"
        return tokenizer.encode_markup(render_chat(messages, tokenizer) + begun)


class StopWatch:
    """Finds stop sequences in rows that grow by one token at a time.

    Args:
        tokenizer: What the ids mean.
        stops: The sequences.
        rows: Number of rows.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], rows: int) -> None:
        self._tokenizer, self._stops = tokenizer, tuple(stops)
        self._rows: list[list[int]] = [[] for _ in range(rows)]
        # A token has at least one byte: a window of this many tokens holds any new stop sequence.
        self._window = max(len(stop.encode()) for stop in stops) + 1

    def read(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Read one more token of each row; return how many come before a stop sequence, or -1."""
        found = np.full(len(tokens), -1, dtype=np.int64)
        for index, token in enumerate(tokens.tolist()):
            row = self._rows[index]
            row.append(token)
            recent = self._tokenizer.decode(row[-self._window :])
            if any(stop in recent for stop in self._stops):
                found[index] = self._before(row)
        return found

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all rows but these."""
        self._rows = [self._rows[row] for row in rows]

    def _before(self, row: list[int]) -> int:
        text = self._tokenizer.decode(row)
        written = _TEXT.search(text)
        if written is None:
            return -1
        starts = [text.find(stop, written.start()) for stop in self._stops]
        starts = [start for start in starts if start >= 0]
        if not starts:
            return -1
        # A token that begins before the stop sequence is kept whole.
        return int(np.searchsorted(self._tokenizer.spans(row)[:, 0], min(starts)))
