"""Player: what playing token ids and playing texts step by step have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from codegym.episode import Request
from codegym.policy import Policy
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


def seed_from(rng: "torch.Generator") -> int:
    """Draw a seed from a generator."""
    import torch

    return int(torch.randint(2**31, (1,), generator=rng, device=rng.device))


@dataclass(slots=True)
class Track:
    """What was chosen and received in an episode, or in one program of it."""

    actions: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, action: int, log_prob: float, value: float, *, chosen: bool = True) -> None:
        """Take note of an action, or of a token that the environment wrote."""
        self.actions.append(int(action))
        self.log_probs.append(float(log_prob))
        self.values.append(float(value))
        self.chosen.append(chosen)


class Player(ABC):
    """Plays a round of episodes in the sub-envs of a vector environment.

    Args:
        env: The environment.
        policy: Who plays.
        request: At which temperature.
        rng: Source of randomness; the policy's own if None.
        deterministic: Take the most probable token.
    """

    def __init__(
        self,
        env: "VectorEnv[Any, Any, Any]",
        policy: Policy,
        request: Request,
        rng: "torch.Generator | None",
        deterministic: bool,
    ) -> None:
        self.env, self.policy, self.rng = env, policy, rng
        self.temperature, self.deterministic = request.temperature, deterministic
        self._autoreset = env.metadata.get("autoreset_mode")
        self.pad_id, self.end_id = policy.tokenizer.pad_id, policy.tokenizer.end_id

    @abstractmethod
    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        """Play episodes in the first ``rows`` sub-envs; the tasks are the env's if None."""

    def reset(self, task_ids: Sequence[str] | None) -> tuple[Any, dict[str, Any]]:
        """Start a round of episodes, of the tasks that are named."""
        options = None
        if task_ids is not None:
            spare = [task_ids[0]] * (self.env.num_envs - len(task_ids))
            options = {"task_id": [*task_ids, *spare]}
        seed = None if self.rng is None else seed_from(self.rng)
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every sub-env; one whose episode ends starts another, whose steps do not count."""
        obs, rewards, terminated, truncated, infos = self.env.step(actions)
        over = np.asarray(terminated) | np.asarray(truncated)
        if self._autoreset is AutoresetMode.DISABLED and over.any():
            obs, _ = self.env.reset(options={"reset_mask": over})
        return obs, rewards, terminated, truncated, infos

    def last_info(self, infos: Mapping[str, Any], row: int) -> dict[str, Any]:
        """Return the info of an episode's last step."""
        info = info_of(infos, row)
        if self._autoreset is AutoresetMode.SAME_STEP and "final_info" in info:
            final = info["final_info"]
            return dict(final) if isinstance(final, Mapping) else {}
        return info


def info_of(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return one sub-env's info, from infos in the layout of Gymnasium's vector environments."""
    found: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        mask = infos.get(f"_{key}")
        if mask is not None and not mask[row]:
            continue
        if isinstance(values, Mapping):
            found[key] = info_of(values, row)
        else:
            found[key] = values[row]
    return found
