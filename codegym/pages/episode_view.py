"""Episode view: an episode as pages and renderers see it: its tokens and what each earned."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from codegym.grading.verdict import CaseResult, Verdict
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeView:
    """An episode, whole or under way.

    Attributes:
        task_id: The task.
        prompt: What it shows.
        pieces: The text of each action.
        credit: Reward received after each action; empty while the episode is under way.
        values: The critic's estimate before each action; empty where none is known.
        probabilities: Of each action when it was chosen; empty where none is known.
        reward: Of the program; None while the episode is under way.
        verdict: What was judged; None while the episode is under way.
        prompt_is_code: Whether the verdict counts the prompt's lines.
    """

    task_id: str
    prompt: str
    pieces: tuple[str, ...] = ()
    credit: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    reward: float | None = None
    verdict: Verdict | None = None
    prompt_is_code: bool = True

    @property
    def first_line(self) -> int:
        """Line of the program on which the first piece begins."""
        return self.prompt.count("\n") + 1 if self.prompt_is_code else 1


def pieces_of(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each token; of those that share a character the first has it."""
    text, pieces, written = tokenizer.decode(ids), [], 0
    for start, end in tokenizer.spans(ids).tolist():
        pieces.append(text[max(start, written) : end])
        written = max(written, end)
    return tuple(pieces)


def view_of(trajectory: Trajectory, task: Task, tokenizer: Tokenizer) -> EpisodeView:
    """Return the view of a logged episode, with its values and probabilities."""
    return EpisodeView(
        task_id=trajectory.task_id,
        prompt=task.prompt,
        pieces=pieces_of(tokenizer, trajectory.actions.tolist()),
        credit=tuple(trajectory.credit.tolist()),
        values=tuple(trajectory.values.tolist()),
        probabilities=tuple(np.exp(trajectory.log_probs).tolist()),
        reward=trajectory.reward,
        verdict=trajectory.verdict,
        prompt_is_code=task.prompt_is_code,
    )


def strengths(row: Sequence[float]) -> list[float]:
    """Return how strongly each token of an episode is coloured, in [-1, 1].

    The last token often earns a hundred times what the others do, because it has the reward of the
    whole program; where others have something too, it does not count for their scale. What is not
    0 is seen.
    """
    top = max((abs(value) for value in row[:-1]), default=0.0) or max(map(abs, row), default=0.0)
    return [
        0.0 if not value else (1 if value > 0 else -1) * max(0.2, min(1.0, abs(value) / top))
        for value in row
    ]


def describe_cases(verdict: Verdict) -> list[tuple[bool, str]]:
    """Return whether tests passed, and in words what became of them.

    Neighbouring tests with the same end share a row: a program that does not compile has one row.
    """
    rows: list[tuple[bool, str]] = []
    ends = [(case.passed, _end(case)) for case in verdict.cases]
    for (passed, words), group in groupby(enumerate(ends, start=1), key=lambda pair: pair[1]):
        numbers = [number for number, _ in group]
        if len(numbers) == 1:
            name = f"test {numbers[0]}:"
        elif len(numbers) == len(ends):
            name = f"all {len(ends)} tests:"
        else:
            name = f"tests {numbers[0]} to {numbers[-1]}:"
        rows.append((passed, f"{name} {words}"))
    return rows


def _end(case: CaseResult) -> str:
    words = [case.outcome.value.replace("_", " ")]
    if case.error_type:
        words.append(f"({case.error_type}: {case.error_message})")
    if case.error_line:
        words.append(f"on line {case.error_line}")
    if case.got and not case.passed:
        words.append(f"got {case.got}")
    return " ".join(words)
