"""ProgramWriter: turns a request into calls of a policy, and what was written into drafts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from codegym.episode import Opening, ProgramEnv, Request
from codegym.policy import Generation, Policy
from codegym.rollout.authors import Authors, WriteCall, Writings
from codegym.rollout.draft import Draft

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How programs are written, beyond what a request asks for.

    Attributes:
        top_p: Share of the probability that is kept; 1 keeps all.
        deterministic: Take the most probable token instead of drawing.
        grammar: Allow only tokens that keep a program valid Python which can be ended in time.
        rows: Programs written side by side; the grader works on the last rows meanwhile.
    """

    top_p: float = 1.0
    deterministic: bool = False
    grammar: bool = False
    rows: int = 128


class ProgramWriter:
    """Writes programs for openings as a request asks for them."""

    def __init__(
        self,
        env: ProgramEnv,
        policy: Policy,
        request: Request,
        decoding: Decoding,
        rng: "torch.Generator | None",
        authors: Authors,
    ) -> None:
        self.policy, self.rows = policy, decoding.rows
        self._tokenizer = env.tokenizer
        self._request, self._decoding, self._rng = request, decoding, rng
        self._author, self._version = authors.pin(policy), policy.version

    def begin(self, openings: Sequence[Opening]) -> "Beginning":
        """Begin to write every program that is asked for of each opening."""
        per_chunk = max(1, self.rows // self._request.samples)
        chunks = [
            openings[start : start + per_chunk] for start in range(0, len(openings), per_chunk)
        ]
        calls = []
        for chunk in chunks:
            calls.append(self._call(chunk, n=self._request.samples))
            if self._request.greedy:
                calls.append(self._call(chunk, n=1, greedy=True))
        return Beginning(self, chunks, self._author.write(calls, self._rng))

    def first_drafts(
        self, chunk: Sequence[Opening], writings: Writings, *, first: int
    ) -> list[Draft]:
        """Return the programs of a chunk, numbered from ``first``; each greedy one last."""
        samples, greedy = self._request.samples, self._decoding.deterministic
        drafts = self._drafts(chunk, next(writings), n=samples, greedy=greedy)
        for place, draft in enumerate(drafts):
            draft.number = first + place // samples
        if not self._request.greedy:
            return drafts
        once = self._drafts(chunk, next(writings), n=1, greedy=True)
        for place, draft in enumerate(once):
            draft.number = first + place
        return [
            draft
            for place, last in enumerate(once)
            for draft in (*drafts[place * samples : (place + 1) * samples], last)
        ]

    def calls_for_each(self) -> int:
        """Return the number of calls that a chunk takes."""
        return 2 if self._request.greedy else 1

    def after(self, earlier: Draft, opening: Opening) -> Draft:
        """Return the next program of an episode, before it is written."""
        nothing = earlier.actions[:0]
        return Draft(
            number=earlier.number,
            opening=opening,
            actions=nothing,
            log_probs=earlier.log_probs[:0],
            values=earlier.values[:0],
            finished=False,
            turn=earlier.turn + 1,
            earlier=earlier,
            temperature=earlier.temperature,
            greedy=earlier.greedy,
            version=earlier.version,
        )

    def go_on(self, chunks: Sequence[list[Draft]]) -> Iterator[list[Draft]]:
        """Write the present program of each draft, chunk by chunk."""
        parts = [
            [
                (greedy, chosen)
                for greedy in (False, True)
                if (chosen := [draft for draft in chunk if draft.greedy is greedy])
            ]
            for chunk in chunks
        ]
        calls = [
            self._call([draft.opening for draft in chosen], n=1, greedy=greedy)
            for part in parts
            for greedy, chosen in part
        ]
        writings = self._author.write(calls, self._rng)
        for chunk, part in zip(chunks, parts, strict=True):
            for greedy, chosen in part:
                openings = [draft.opening for draft in chosen]
                written = self._drafts(openings, next(writings), n=1, greedy=greedy)
                for draft, new in zip(chosen, written, strict=True):
                    draft.actions, draft.log_probs = new.actions, new.log_probs
                    draft.values, draft.masks = new.values, new.masks
                    draft.finished = new.finished
            yield chunk

    def _call(self, openings: Sequence[Opening], *, n: int, greedy: bool = False) -> WriteCall:
        heads = None
        if self._decoding.grammar:
            heads = [
                (opening.task.prompt if opening.task.prompt_is_code else "")
                + self._tokenizer.decode(opening.given)
                for opening in openings
            ]
        return WriteCall(
            prompts=[opening.prompt.tolist() for opening in openings],
            n=n,
            budget=max(_room(opening) for opening in openings),
            temperature=self._request.temperature,
            top_p=self._decoding.top_p,
            deterministic=greedy or self._decoding.deterministic,
            heads=heads,
        )

    def _drafts(
        self, openings: Sequence[Opening], written: Generation, *, n: int, greedy: bool
    ) -> list[Draft]:
        return [
            self._draft(openings[row // n], written, row, greedy)
            for row in range(len(written.actions))
        ]

    def _draft(self, opening: Opening, written: Generation, row: int, greedy: bool) -> Draft:
        draft = Draft(
            number=0,
            opening=opening,
            actions=written.actions[row],
            log_probs=written.log_probs[row],
            values=written.values[row],
            finished=bool(written.finished[row]),
            masks=written.masks[row] if written.masks else None,
            temperature=self._request.temperature,
            greedy=greedy,
            version=self._version,
        )
        if len(draft.actions) > _room(opening):
            draft.cut(_room(opening))
            draft.finished = False
        return draft


class Beginning:
    """The first programs of a rollout's episodes, chunk by chunk."""

    def __init__(
        self, writer: ProgramWriter, chunks: Sequence[Sequence[Opening]], writings: Writings
    ) -> None:
        self.later = writings.later
        self._writer, self._chunks, self._writings = writer, iter(chunks), writings
        self._first = 0

    def ready(self) -> bool:
        """Say whether the next chunk's programs are there."""
        return self._writings.ready(self._writer.calls_for_each())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Draft]:
        chunk = next(self._chunks)
        drafts = self._writer.first_drafts(chunk, self._writings, first=self._first)
        self._first += len(chunk)
        return drafts


def _room(opening: Opening) -> int:
    return opening.limit - len(opening.prompt)
