"""TokenPlayer: steps environments whose observations and actions are token ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.rollout.player import Player, Track, info_of
from codegym.trajectory import Trajectory


class TokenPlayer(Player):
    """Plays environments whose observations and actions are token ids."""

    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        """Play episodes in the first ``rows`` sub-envs; the tasks are the env's if None."""
        env, vocab = self.env, self.policy.tokenizer.vocab_size
        space, box = env.single_action_space, env.single_observation_space
        if not isinstance(space, spaces.Discrete) or int(space.n) != vocab or space.start:
            raise ConfigError(
                "the action space is not the policy's vocabulary",
                value=str(space),
                expected=f"Discrete({vocab})",
                cure="make the env with the policy's tokenizer",
            )
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise ConfigError("observations are no rows of ids", value=str(box), expected="a Box")
        obs, infos = self.reset(task_ids)
        obs = np.asarray(obs)
        starts = (obs != self.pad_id).sum(axis=1)
        prompts = [obs[row, : starts[row]].astype(np.int64) for row in range(rows)]
        names = [str(info_of(infos, row).get("task_id", row)) for row in range(rows)]
        tracks = [Track() for _ in range(rows)]
        last: dict[int, tuple[dict[str, Any], bool]] = {}
        state: Any = None
        while len(last) < rows:
            step = self.policy.act(
                obs,
                state,
                temperature=self.temperature,
                deterministic=self.deterministic,
                rng=self.rng,
            )
            state = step.state
            obs, rewards, terminated, truncated, infos = self.step(step.actions)
            obs = np.asarray(obs)
            for row in range(rows):
                if row in last:
                    continue
                tracks[row].add(step.actions[row], step.log_probs[row], step.values[row])
                tracks[row].rewards.append(float(rewards[row]))
                if terminated[row] or truncated[row]:
                    last[row] = self.last_info(infos, row), bool(terminated[row])
        return [
            self._trajectory(names[row], prompts[row], tracks[row], *last[row])
            for row in range(rows)
            if "infrastructure_error" not in last[row][0]
        ]

    def _trajectory(
        self,
        task_id: str,
        prompt: NDArray[np.int64],
        track: "Track",
        info: dict[str, Any],
        terminated: bool,
    ) -> Trajectory:
        # What the episode earned at each action: its env's own credit, or its rewards as they came.
        credit = info.get("token_rewards", track.rewards)
        return Trajectory(
            task_id=task_id,
            prompt=prompt,
            actions=np.array(track.actions, dtype=np.int64),
            log_probs=np.array(track.log_probs, dtype=np.float32),
            values=np.array(track.values, dtype=np.float32),
            reward=float(sum(track.rewards)),
            credit=np.array(credit, dtype=np.float32),
            finished=terminated and not info.get("cut", False),
            program=info.get("program", self.policy.tokenizer.decode(track.actions)),
            verdict=info.get("verdict"),
            feedback=info.get("feedback"),
            policy_version=self.policy.version,
            temperature=self.temperature,
            greedy=self.deterministic,
        )
