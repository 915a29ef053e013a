"""ReplayBuffer: the last programs a policy wrote, first in first out, with their credit."""

import ast
import warnings
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.trajectory import Trajectory

_FLAT = {"prompt": np.int64, "actions": np.int64, "log_probs": np.float32, "values": np.float32,
         "token_rewards": np.float32}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """One program kept for learning: a Trajectory without what only people read.

    Attributes:
        prompt, actions, log_probs, values: As in the Trajectory.
        token_rewards: (T,) float32, the credit an agent gave its tokens.
        reward: Of the whole program.
        passed: Whether it passed all its tests and ended by itself.
        policy_version: The weights that wrote it.
        key: What makes it the same program as another, see ``program_key``; "" if not asked for.
        masks: As in the Trajectory.
    """

    prompt: NDArray[np.int64]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    token_rewards: NDArray[np.float32]
    reward: float
    passed: bool
    policy_version: int
    key: str = ""
    masks: NDArray[np.uint8] | None = None

    @classmethod
    def of(
        cls, trajectory: Trajectory, credit: NDArray[np.float32], *, key: str = ""
    ) -> "Experience":
        """Keep of a trajectory what learning needs, with the credit (T,) its tokens earned."""
        verdict = trajectory.verdict
        return cls(
            prompt=trajectory.prompt,
            actions=trajectory.actions,
            log_probs=trajectory.log_probs,
            values=trajectory.values,
            token_rewards=credit,
            reward=trajectory.reward,
            passed=trajectory.finished and verdict is not None and verdict.passed,
            policy_version=trajectory.policy_version,
            key=key,
            masks=trajectory.masks,
        )


class ReplayBuffer:
    """A bounded queue of experience.

    Args:
        capacity: How many programs are kept; the oldest leave first.
        distinct: Keep one of several programs of a task that differ only in spacing or comments.

    Source: RLTF (2307.04349), section 3.2, for the queue; Gorinski et al. (2310.13669) for the
    filter by syntax tree.
    """

    def __init__(self, capacity: int, *, distinct: bool = False) -> None:
        if capacity < 1:
            raise ConfigError("a buffer needs room", value=capacity, expected=">= 1")
        self.capacity = capacity
        self.distinct = distinct
        self._entries: deque[Experience] = deque()
        self._keys: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Sequence[Experience]:
        """The experience, oldest first."""
        return self._entries

    def push(self, trajectory: Trajectory, credit: NDArray[np.float32]) -> bool:
        """Keep a program with the credit (T,) its tokens earned.

        Returns:
            False if it was a duplicate and left out.
        """
        key = program_key(trajectory.task_id, trajectory.program) if self.distinct else ""
        if key and self._keys[key]:
            return False
        self.add(Experience.of(trajectory, credit, key=key))
        return True

    def sample(self, rng: np.random.Generator, count: int) -> list[Experience]:
        """Draw at most ``count`` different entries."""
        chosen = rng.choice(len(self._entries), size=min(count, len(self)), replace=False)
        return [self._entries[int(index)] for index in chosen]

    def state_dict(self) -> dict[str, Any]:
        """Return the entries as a few flat arrays."""
        entries = list(self._entries)
        state: dict[str, Any] = {
            name: np.concatenate([np.zeros(0, kind), *(getattr(e, name) for e in entries)])
            for name, kind in _FLAT.items()
        }
        state["prompt_lengths"] = np.array([len(e.prompt) for e in entries], dtype=np.int64)
        state["lengths"] = np.array([len(e.actions) for e in entries], dtype=np.int64)
        state["rewards"] = np.array([e.reward for e in entries], dtype=np.float64)
        state["passed"] = np.array([e.passed for e in entries], dtype=np.bool_)
        state["versions"] = np.array([e.policy_version for e in entries], dtype=np.int64)
        state["keys"] = [e.key for e in entries]
        state["masks"] = [e.masks for e in entries]
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._entries.clear()
        self._keys.clear()
        columns = {
            name: np.split(
                np.asarray(state[name], dtype=kind),
                np.cumsum(state["prompt_lengths" if name == "prompt" else "lengths"])[:-1],
            )
            for name, kind in _FLAT.items()
        }
        for number, key in enumerate(state["keys"]):
            self.add(
                Experience(
                    **{name: column[number] for name, column in columns.items()},
                    reward=float(state["rewards"][number]),
                    passed=bool(state["passed"][number]),
                    policy_version=int(state["versions"][number]),
                    key=key,
                    masks=state["masks"][number],
                )
            )

    def add(self, entry: Experience) -> None:
        """Keep an entry; the oldest leaves where there is no room."""
        if len(self._entries) == self.capacity:
            self._keys[self._entries.popleft().key] -= 1
        self._entries.append(entry)
        self._keys[entry.key] += 1


def program_key(task_id: str, program: str) -> str:
    """Return a text equal for programs of one task whose syntax trees are equal.

    A text that does not parse stands for itself.
    """
    try:
        with warnings.catch_warnings():
            # Odd literals in generated text warn; they are not ours to mend.
            warnings.simplefilter("ignore")
            return f"{task_id}\n{ast.dump(ast.parse(program))}"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"{task_id}\n{program}"
