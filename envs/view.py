"""View: an episode as the renderers see it: what was written, piece by piece, and earned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codegym.grading.verdict import Verdict
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


def describe_cases(verdict: Verdict) -> list[tuple[bool, str]]:
    """Return for each test case whether it passed, and in words what became of it."""
    rows = []
    for number, case in enumerate(verdict.cases, start=1):
        words = [f"test {number}:", case.outcome.value.replace("_", " ")]
        if case.error_type:
            words.append(f"({case.error_type}: {case.error_message})")
        if case.error_line:
            words.append(f"on line {case.error_line}")
        if case.got and not case.passed:
            words.append(f"got {case.got}")
        rows.append((case.passed, " ".join(words)))
    return rows
