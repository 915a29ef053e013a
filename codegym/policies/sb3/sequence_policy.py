"""SequencePolicy: any Policy as a policy of stable-baselines3, whose PPO and A2C then train it.

Three thin classes; no learning is done here. ``SequencePolicy`` acts with the policy's cache and
scores packed sequences; ``SequenceRolloutBuffer`` packs them; ``SequenceVecEnv`` wraps the native
vector environment. ``make_ppo`` and ``load_rollout`` train on programs that ``generate`` has
written, without stepping an environment.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.common.vec_env import VecEnv

from codegym.errors import ConfigError
from codegym.policies.sb3.no_env import NoEnv
from codegym.policies.sb3.sequence_buffer import SequenceRolloutBuffer, pack, unpack
from codegym.policies.sb3.sequence_vec_env import SequenceVecEnv
from codegym.policy import Policy
from codegym.trajectory import Trajectory

__all__ = [
    "SequencePolicy",
    "SequenceRolloutBuffer",
    "SequenceVecEnv",
    "load_rollout",
    "make_ppo",
    "ppo_state",
    "restore_ppo",
]


class SequencePolicy(ActorCriticPolicy):
    """A Policy behind stable-baselines3's interface.

    While a rollout is collected, each step reads one token per row; the cache finds out which rows
    continue and which are new. Every optimizer step marks the policy as updated. Actions are drawn
    at temperature 1; loaded episodes are scored at the temperature they were written at.

    Args:
        observation_space: A box of ids, one row of the policy's ``max_tokens``.
        action_space: The ids of the policy's tokenizer.
        lr_schedule: Learning rate by remaining progress.
        policy: The policy that acts, scores and learns; given as
            ``policy_kwargs={"policy": policy}``.
        value_lr_scale: Learning rate of the value head, as a multiple of the actor's.
        use_sde: Must be False: tokens are discrete.
        optimizer_class: The optimizer.
        optimizer_kwargs: Settings of the optimizer, without the learning rate.

    Raises:
        ConfigError: The spaces are not the policy's.
    """

    def __init__(
        self,
        observation_space: spaces.Space,  # type: ignore[type-arg]
        action_space: spaces.Space,  # type: ignore[type-arg]
        lr_schedule: Schedule,
        *,
        policy: Policy,
        value_lr_scale: float = 1.0,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        _check_spaces(policy, observation_space, action_space)
        if use_sde:
            raise ConfigError("use_sde needs continuous actions", value=use_sde, expected="False")
        self.source = policy
        self._value_lr_scale = value_lr_scale
        self._state: Any = None
        self._rows = 0
        if optimizer_kwargs is None and optimizer_class is torch.optim.AdamW:
            optimizer_kwargs = {"betas": (0.9, 0.99), "weight_decay": 0.0}
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs or {},
        )

    def _build(self, lr_schedule: Schedule) -> None:
        self.network = self.source.module
        head = {id(weight) for weight in self.source.value_parameters()}
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        groups = [
            {"params": [w for w in trained if id(w) not in head], "lr_scale": 1.0},
            {"params": [w for w in trained if id(w) in head], "lr_scale": self._value_lr_scale},
        ]
        make = cast("Any", self.optimizer_class)
        self.optimizer = make(groups, lr=lr_schedule(1), **self.optimizer_kwargs)
        # The algorithms set the same learning rate for all groups; ours apply within the step.
        rates: list[float] = []

        def scale(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            rates[:] = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                group["lr"] *= group["lr_scale"]

        def unscale(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            self.source.mark_updated()

        self.optimizer.register_step_pre_hook(scale)
        self.optimizer.register_step_post_hook(unscale)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "policy": self.source,
            "value_lr_scale": self._value_lr_scale,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose the next token of each row: (B,) actions, (B, 1) values, (B,) log-probs."""
        step = self.source.act(obs.cpu().numpy(), self._state, deterministic=deterministic)
        self._state, self._rows = step.state, len(obs)
        # The device of the observation: finding this module's own device takes longer.
        return (
            torch.from_numpy(step.actions).to(obs.device),
            torch.from_numpy(step.values).to(obs.device)[:, None],
            torch.from_numpy(step.log_probs).to(obs.device),
        )

    def predict_values(self, obs: PyTorchObs) -> torch.Tensor:
        """Return (B, 1) values of observations."""
        assert isinstance(obs, torch.Tensor)
        # The last observations of a rollout have one token more than the cache holds.
        state = self._state if len(obs) == self._rows else None
        step = self.source.act(obs.cpu().numpy(), state, deterministic=True)
        return torch.from_numpy(step.values).to(obs.device)[:, None]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> torch.Tensor:
        assert isinstance(observation, torch.Tensor)
        step = self.source.act(observation.cpu().numpy(), deterministic=deterministic)
        return torch.from_numpy(step.actions).to(self.device)

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the distribution over the next token of each row.

        Raises:
            ConfigError: The policy does not give away its scores.
        """
        assert isinstance(obs, torch.Tensor)
        scores = self.source.scores(obs.cpu().numpy())
        return self.action_dist.proba_distribution(action_logits=scores)

    def evaluate_actions(
        self, obs: PyTorchObs, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Score actions: values, log-probabilities and entropies, flat, with gradients.

        Args:
            obs: Packed sequences of a ``SequenceRolloutBuffer``, or plain observations.
            actions: Flat; packed sequences hold them already.
        """
        assert isinstance(obs, torch.Tensor)
        rows = obs.cpu().numpy().astype(np.int64)
        if rows.shape[1] == self.observation_space.shape[0]:  # type: ignore[index]
            rows = self._pack_steps(rows, actions)
        batch = unpack(rows, pad_id=self.source.tokenizer.pad_id)
        scored = self.source.evaluate(batch, temperature=batch.temperatures)
        mask = torch.from_numpy(batch.mask).to(self.device)
        return scored.values[mask], scored.log_probs[mask], scored.entropy[mask]

    def _pack_steps(self, rows: NDArray[np.int64], actions: torch.Tensor) -> NDArray[np.int64]:
        starts = (rows != self.source.tokenizer.pad_id).sum(axis=1)
        rows[np.arange(len(rows)), starts] = actions.cpu().numpy().reshape(-1)
        return pack(rows, starts, np.ones_like(starts))


def make_ppo(
    policy: Policy,
    *,
    env: VecEnv | None = None,
    learning_rate: float = 1.5e-4,
    value_learning_rate: float = 1e-3,
    n_steps: int = 160,
    batch_size: int = 128,
    n_epochs: int = 1,
    clip_range: float = 0.2,
    vf_coef: float = 0.5,
    ent_coef: float = 0.0,
    max_grad_norm: float = 1.0,
    gamma: float = 1.0,
    gae_lambda: float = 1.0,
    target_kl: float | None = None,
    seed: int = 0,
) -> PPO:
    """Make stable-baselines3's own PPO over a policy.

    Args:
        policy: The policy that learns.
        env: Environment of ``learn``; None to train by ``load_rollout`` and ``train`` alone.
        learning_rate: Learning rate of the actor.
        value_learning_rate: Learning rate of the value head.
        n_steps: Steps per env and rollout; unused without an env.
        batch_size: Sequences per optimizer step.
        n_epochs: Passes over a rollout.
        clip_range: How far the ratio of probabilities may move from 1.
        vf_coef: Weight of the value loss.
        ent_coef: Weight of the entropy bonus.
        max_grad_norm: The gradient is scaled down to this norm.
        gamma: Discount per token; less than 1 takes credit from the first tokens of a program.
        gae_lambda: 1 trusts the return alone.
        target_kl: Ends an update that has moved further than 1.5 times this.
        seed: Seed of the order of the sequences; the policy draws from its own generator.

    Raises:
        ConfigError: A learning rate is not positive.
    """
    _check_rates(learning_rate=learning_rate, value_learning_rate=value_learning_rate)
    ppo = PPO(
        SequencePolicy,
        env or NoEnv(policy),
        learning_rate=learning_rate,
        n_steps=n_steps,
        batch_size=n_steps * (env.num_envs if env else 1),  # any other makes PPO warn of its steps
        n_epochs=n_epochs,
        gamma=gamma,
        gae_lambda=gae_lambda,
        clip_range=clip_range,
        vf_coef=vf_coef,
        ent_coef=ent_coef,
        max_grad_norm=max_grad_norm,
        target_kl=target_kl,
        **_sequence_settings(policy, value_lr_scale=value_learning_rate / learning_rate, seed=seed),
    )
    ppo.batch_size = batch_size  # in sequences
    ppo.set_logger(Logger(folder=None, output_formats=[]))
    return ppo


def load_rollout(
    ppo: PPO,
    trajectories: Sequence[Trajectory],
    *,
    rewards: Sequence[NDArray[np.float32]] | None = None,
) -> None:
    """Put finished episodes into PPO's buffer, so that ``ppo.train()`` learns from them.

    Args:
        ppo: A PPO of ``make_ppo``.
        trajectories: Episodes of the current policy.
        rewards: For each episode, (T,) the reward received after each action; the episodes'
            ``credit`` if None.

    Raises:
        ConfigError: The buffer takes no sequences, or an episode cannot be trained on; see
            ``SequenceRolloutBuffer.load``.
    """
    buffer = ppo.rollout_buffer
    if not isinstance(buffer, SequenceRolloutBuffer):
        raise ConfigError(
            "PPO's buffer does not take sequences",
            value=type(buffer).__name__,
            expected="SequenceRolloutBuffer",
            cure="make_ppo makes such a PPO",
        )
    buffer.load(trajectories, rewards=rewards)


def ppo_state(ppo: PPO) -> dict[str, Any]:
    """Return the state that resuming PPO needs in addition to the policy's weights."""
    assert isinstance(ppo.rollout_buffer, SequenceRolloutBuffer)
    return {
        "optimizer": ppo.policy.optimizer.state_dict(),
        "rng": ppo.rollout_buffer.rng,
        "n_updates": ppo._n_updates,
        "num_timesteps": ppo.num_timesteps,
    }


def restore_ppo(ppo: PPO, state: dict[str, Any]) -> None:
    """Restore what ``ppo_state`` returned."""
    assert isinstance(ppo.rollout_buffer, SequenceRolloutBuffer)
    ppo.policy.optimizer.load_state_dict(state["optimizer"])
    ppo.rollout_buffer.rng = state["rng"]
    ppo._n_updates = state["n_updates"]
    ppo.num_timesteps = state["num_timesteps"]


def _sequence_settings(policy: Policy, *, value_lr_scale: float, seed: int) -> dict[str, Any]:
    """Return the arguments that make a PPO train a policy on sequences."""
    return {
        "rollout_buffer_class": SequenceRolloutBuffer,
        "rollout_buffer_kwargs": {"pad_id": policy.tokenizer.pad_id, "seed": seed},
        "policy_kwargs": {"policy": policy, "value_lr_scale": value_lr_scale},
        "device": policy.value_parameters()[0].device,
    }


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not rate > 0:
            raise ConfigError(f"{name} is unusable", value=rate, expected="> 0")


def _check_spaces(policy: Policy, observation: object, action: object) -> None:
    vocab = policy.tokenizer.vocab_size
    if not isinstance(action, spaces.Discrete) or action.n != vocab:
        raise ConfigError(
            "the action space is not the policy's vocabulary",
            value=action,
            expected=f"Discrete({vocab})",
            cure="make the env and the policy with the same tokenizer",
        )
    fits = isinstance(observation, spaces.Box) and observation.shape == (policy.max_tokens,)
    if not fits:
        raise ConfigError(
            "the observation space is not the policy's",
            value=observation,
            expected=f"Box of shape ({policy.max_tokens},)",
            cure="make the env and the policy with the same max_tokens",
        )
