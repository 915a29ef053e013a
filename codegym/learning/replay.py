"""ReplayBuffer: the latest programs a policy wrote, first in first out, with their weights."""

import ast
import warnings
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grading.verdict import Outcome
from codegym.trajectory import Batch, Trajectory

_FLAT = {"prompt": np.int64, "actions": np.int64, "log_probs": np.float32, "values": np.float32,
         "credit": np.float32, "weights": np.float32}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """One program kept for learning: what learning needs of a Trajectory, and an agent's weights.

    Attributes:
        prompt, actions, log_probs, values, credit, reward: As in the Trajectory.
        weights: (T,) float32, what the agent multiplies each log-probability by.
        passed: Whether it passed all its tests and ended by itself.
        outcome: The gravest outcome of its cases; None for a program that was not judged.
        policy_version: Weight version of the policy that wrote it.
        temperature: Sampling temperature.
        key: Equal for equal programs, see ``program_key``; "" where the buffer does not compare.
        masks, chosen: As in the Trajectory.
    """

    prompt: NDArray[np.int64]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    credit: NDArray[np.float32]
    weights: NDArray[np.float32]
    reward: float
    passed: bool
    outcome: Outcome | None
    policy_version: int
    temperature: float
    key: str = ""
    masks: NDArray[np.uint8] | None = None
    chosen: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls, trajectory: Trajectory, weights: NDArray[np.float32] | None = None, *, key: str = ""
    ) -> "Experience":
        """Keep what learning needs of a trajectory.

        Args:
            trajectory: A judged episode.
            weights: (T,) weights of its tokens; zeros if None.
            key: See the attribute.
        """
        verdict = trajectory.verdict
        nothing = np.zeros(len(trajectory), dtype=np.float32)
        return cls(
            prompt=trajectory.prompt,
            actions=trajectory.actions,
            log_probs=trajectory.log_probs,
            values=trajectory.values,
            credit=trajectory.credit,
            weights=nothing if weights is None else weights,
            reward=trajectory.reward,
            passed=trajectory.finished and verdict is not None and verdict.passed,
            outcome=None if verdict is None else verdict.outcome,
            policy_version=trajectory.policy_version,
            temperature=trajectory.temperature,
            key=key,
            masks=trajectory.masks,
            chosen=trajectory.chosen,
        )


def weighted_batch(entries: Sequence[Experience], *, pad_id: int) -> Batch:
    """Return programs as a batch whose column ``weights`` (B, T) holds what an agent computed.

    The weights are 0 on padding and on what the environment wrote.
    """
    batch = Batch.from_trajectories(entries, pad_id=pad_id)
    weights = np.zeros(batch.mask.shape, dtype=np.float32)
    for row, entry in enumerate(entries):
        weights[row, : len(entry.weights)] = entry.weights
    return batch.with_columns(weights=np.where(batch.mask, weights, np.float32(0.0)))


class ReplayBuffer:
    """A bounded queue of experience; the oldest leave first.

    Args:
        capacity: Largest number of programs.
        distinct: Keep a program of a task once, whatever its spacing and comments.

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

    def push(self, trajectory: Trajectory, weights: NDArray[np.float32] | None = None) -> bool:
        """Keep a program with the weights (T,) of its tokens.

        Returns:
            False if it was a duplicate and left out.
        """
        key = program_key(trajectory.task_id, trajectory.program) if self.distinct else ""
        if key and self._keys[key]:
            return False
        self.add(Experience.of(trajectory, weights, key=key))
        return True

    def add(self, entry: Experience) -> None:
        """Keep an entry; the oldest leaves where there is no room."""
        if len(self._entries) == self.capacity:
            self._keys[self._entries.popleft().key] -= 1
        self._entries.append(entry)
        self._keys[entry.key] += 1

    def sample(self, rng: np.random.Generator, count: int) -> list[Experience]:
        """Draw at most ``count`` different entries."""
        chosen = rng.choice(len(self._entries), size=min(count, len(self)), replace=False)
        return [self._entries[int(index)] for index in chosen]

    def sample_passing(self, rng: np.random.Generator, count: int) -> list[Experience]:
        """Draw at most ``count`` different entries that passed their tests; there may be none."""
        passing = [entry for entry in self._entries if entry.passed]
        return [passing[int(index)] for index in rng.permutation(len(passing))[:count]]

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
        state["temperatures"] = np.array([e.temperature for e in entries], dtype=np.float64)
        state["passed"] = np.array([e.passed for e in entries], dtype=np.bool_)
        state["versions"] = np.array([e.policy_version for e in entries], dtype=np.int64)
        state["outcomes"] = [None if e.outcome is None else str(e.outcome) for e in entries]
        state["keys"] = [e.key for e in entries]
        state["masks"] = [e.masks for e in entries]
        state["chosen"] = [e.chosen for e in entries]
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
            outcome = state["outcomes"][number]
            self.add(
                Experience(
                    **{name: column[number] for name, column in columns.items()},
                    reward=float(state["rewards"][number]),
                    temperature=float(state["temperatures"][number]),
                    passed=bool(state["passed"][number]),
                    outcome=None if outcome is None else Outcome(outcome),
                    policy_version=int(state["versions"][number]),
                    key=key,
                    masks=state["masks"][number],
                    chosen=state["chosen"][number],
                )
            )


def program_key(task_id: str, program: str) -> str:
    """Return a text equal for programs of one task whose syntax trees are equal.

    A text that does not parse is compared as text.
    """
    try:
        with warnings.catch_warnings():
            # Odd literals in generated text warn; nobody here can mend them.
            warnings.simplefilter("ignore")
            return f"{task_id}\n{ast.dump(ast.parse(program))}"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"{task_id}\n{program}"
