"""Draft: an episode on its way from a policy, or a reference solution, to a judged trajectory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codegym.episode import Ending, Opening, Written
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory


@dataclass(slots=True)
class Draft:
    """An episode that was written, wholly or up to its present program.

    Attributes:
        number: Which of the request's tasks it belongs to.
        opening: Opening of the present program; its prompt holds all ids before it.
        actions, log_probs, values, finished, masks: Of the present program; see Trajectory.
        turn: Number of the present program, from 1.
        earlier: The programs before, each followed by what the environment wrote.
        temperature: Sampling temperature.
        demonstration: Whether it is a reference solution.
        greedy: Whether the most probable token was taken throughout.
        version: Weight version of the policy that wrote it.
    """

    number: int
    opening: Opening
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    finished: bool
    masks: NDArray[np.uint8] | None = None
    turn: int = 1
    earlier: "Draft | None" = None
    message: tuple[int, ...] = ()
    temperature: float = 1.0
    demonstration: bool = False
    greedy: bool = False
    version: int = 0

    def written(self) -> Written:
        """Return the present program as the environment takes it."""
        return Written(self.opening, self.actions.tolist(), self.finished, self.turn)

    def ids(self) -> list[int]:
        """Return all ids of the episode so far, the environment's message included."""
        return [*self.opening.prompt.tolist(), *self.actions.tolist(), *self.message]

    def cut(self, length: int) -> None:
        """Keep only the first so many actions of the present program."""
        self.actions, self.log_probs = self.actions[:length], self.log_probs[:length]
        self.values = self.values[:length]
        self.masks = None if self.masks is None else self.masks[:length]

    def finish(self, ending: Ending) -> Trajectory:
        """Return the whole episode, judged and priced by the ending of its last program."""
        self.cut(ending.length)
        parts = self._parts()
        first = parts[0].opening
        before = sum(len(part.actions) + len(part.message) for part in parts[:-1])
        held = [part.message for part in parts]
        feedback = ending.feedback
        if feedback is not None and before and feedback.tokens != (0, 0):
            start, end = feedback.tokens
            feedback = replace(feedback, tokens=(start + before, end + before))
        return Trajectory(
            task_id=first.task.task_id,
            prompt=first.prompt.astype(np.int64),
            actions=_joined([part.actions for part in parts], held, np.int64),
            log_probs=_joined([part.log_probs for part in parts], held, np.float32),
            values=_joined([part.values for part in parts], held, np.float32),
            reward=ending.reward,
            credit=np.concatenate([np.zeros(before, dtype=np.float32), ending.credit]),
            finished=ending.finished,
            program=ending.program,
            verdict=ending.verdict,
            feedback=feedback,
            policy_version=self.version,
            temperature=self.temperature,
            given=len(first.given),
            demonstration=self.demonstration,
            greedy=self.greedy,
            masks=_joined_masks(parts),
            chosen=_chosen(parts) if len(parts) > 1 else None,
            turns=self.turn,
        )

    def _parts(self) -> list["Draft"]:
        return [*(self.earlier._parts() if self.earlier else ()), self]

    def to_state(self) -> dict[str, Any]:
        """Return the draft as plain values, without any verdict."""
        row = {name: getattr(self, name) for name in self.__slots__}
        opening = self.opening
        row["opening"] = {
            "task": opening.task.to_json(),
            "prompt": opening.prompt,
            "limit": opening.limit,
            "given": list(opening.given),
        }
        row["message"] = list(self.message)
        row["earlier"] = self.earlier.to_state() if self.earlier else None
        return row

    @classmethod
    def from_state(cls, state: Mapping[str, Any], tasks: dict[str, Task]) -> Self:
        """Restore what ``to_state`` returned.

        Args:
            state: See ``to_state``.
            tasks: Tasks restored so far: episodes of one task share it, so that equal programs are
                graded once.
        """
        kept = state["opening"]
        task = Task.from_json(kept["task"])
        task = tasks.setdefault(task.task_id, task)
        prompt = np.asarray(kept["prompt"], dtype=np.int32)
        opening = Opening(task, prompt, kept["limit"], tuple(kept["given"]))
        earlier = state["earlier"] and cls.from_state(state["earlier"], tasks)
        message = tuple(state["message"])
        return cls(**{**state, "opening": opening, "earlier": earlier, "message": message})


def _joined(
    arrays: Sequence[NDArray[Any]], messages: Sequence[Sequence[int]], kind: type[np.generic]
) -> NDArray[Any]:
    """Put the programs' columns together: ids of a message for actions, 0 for the others."""
    pieces: list[NDArray[Any]] = []
    for array, message in zip(arrays, messages, strict=True):
        between = message if kind is np.int64 else [0] * len(message)
        pieces += [array, np.array(between, dtype=kind)]
    return np.concatenate(pieces).astype(kind)


def _chosen(parts: Sequence[Draft]) -> NDArray[np.bool_]:
    flags = [[True] * len(part.actions) + [False] * len(part.message) for part in parts]
    return np.array([flag for row in flags for flag in row], dtype=np.bool_)


def _joined_masks(parts: Sequence[Draft]) -> NDArray[np.uint8] | None:
    width = next((part.masks.shape[1] for part in parts if part.masks is not None), None)
    if width is None:
        return None
    pieces = []
    for part in parts:
        free = np.full((len(part.actions), width), 255, dtype=np.uint8)
        pieces.append(free if part.masks is None else part.masks)
        pieces.append(np.full((len(part.message), width), 255, dtype=np.uint8))
    return np.concatenate(pieces)
