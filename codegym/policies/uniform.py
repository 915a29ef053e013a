"""``uniform``: every token is equally likely. A baseline for other policies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from codegym import registry
from codegym.errors import CheckpointError, ConfigError
from codegym.policies import checkpoint
from codegym.policies.decoding import decode_loop
from codegym.policies.decoding.act_step import choose_step
from codegym.policies.decoding.action_scores import row_lengths, score
from codegym.policies.decoding.decode_loop import SamplingConfig
from codegym.policies.decoding.row_masks import NEVER
from codegym.policies.decoding.token_sampling import TokenSampler, prepare_sampling
from codegym.policies.value_head import ValueHead
from codegym.policy import Constraint, Evaluation, Generation, Policy, Step
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch

_MAX_TOKENS = 256


class UniformModule(nn.Module):
    """A value head, which critics fit; the actor has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.value_head = ValueHead(1)


class UniformPolicy(Policy):
    """Draws every token but the pad id with the same probability.

    Args:
        tokenizer: The tokenizer; sets the size of the vocabulary.
        max_tokens: Longest prompt plus program.
        seed: Seed of the policy's generator.

    Attributes:
        rng: Source of randomness where a call brings none.
    """

    name = "uniform"
    learns = False

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int = _MAX_TOKENS, seed: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.version = 0
        self.rng = torch.Generator().manual_seed(seed)
        self._module = UniformModule()

    @classmethod
    def create(cls, variant: str, *, tokenizer: Tokenizer, seed: int) -> Self:
        """Make a policy; there are no variants.

        Raises:
            ConfigError: A variant was asked for.
        """
        if variant:
            raise ConfigError("there is one uniform policy", value=variant, expected="uniform")
        return cls(tokenizer, seed=seed)

    @classmethod
    def specimen(cls, *, seed: int) -> Policy:
        """Return a small policy for the conformance suite."""
        return cls(registry.get("tokenizers", "lexemes")(), max_tokens=64, seed=seed)

    def prepare(self) -> None:
        """Compile the kernel that draws tokens, or read it from its cache."""
        prepare_sampling(self._module.value_head.bias.device)

    @property
    def module(self) -> UniformModule:
        """The torch module that holds the value head."""
        return self._module

    def value_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the value head, the only weights."""
        return list(self._module.value_head.parameters())

    def mark_updated(self) -> None:
        """Raise ``version``."""
        self.version += 1

    def _scores(self, rows: int) -> torch.Tensor:
        scores = torch.zeros(rows, self.tokenizer.vocab_size)
        scores[:, self.tokenizer.pad_id] = -torch.inf
        return scores

    def _values(self, hidden: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self._module.value_head(hidden)
        return values

    @torch.inference_mode()
    def act(
        self,
        obs: NDArray[np.integer[Any]],
        state: Any = None,
        *,
        temperature: float = 1.0,
        deterministic: bool = False,
        mask: NDArray[np.bool_] | None = None,
        rng: torch.Generator | None = None,
    ) -> Step:
        """Draw the next token of each row; see ``Policy.act``. Nothing is cached.

        Raises:
            ConfigError: A row is empty, longer than ``max_tokens``, or allows no token.
        """
        row_lengths(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        return choose_step(
            self._scores(len(obs)),
            self._values(torch.zeros(len(obs), 1)),
            None,
            temperature=temperature,
            deterministic=deterministic,
            mask=mask,
            rng=rng or self.rng,
        )

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        n: int = 1,
        budget: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        deterministic: bool = False,
        rng: torch.Generator | None = None,
        constraint: Constraint | None = None,
    ) -> Generation:
        """Write ``n`` programs for each prompt, at most ``budget`` tokens each, end included.

        With ``top_p`` below 1 the log-probabilities are of the distribution that was drawn from,
        renormalised over the tokens kept. ``evaluate`` scores whole distributions and cannot
        reproduce them.

        Raises:
            PromptTooLongError: A prompt leaves no room for a program.
            ConfigError: A setting is unusable, or a prompt is empty.
        """
        return decode_loop.generate(
            lambda: _UniformDecoder(self),
            prompts,
            n=n,
            budget=budget,
            sampler=TokenSampler(temperature=temperature, top_p=top_p, deterministic=deterministic),
            config=SamplingConfig(workers=1),
            tokenizer=self.tokenizer,
            max_tokens=self.max_tokens,
            rng=rng or self.rng,
            device=torch.device("cpu"),
            constraint=constraint,
        )

    def skip(self, rng: torch.Generator, *, programs: int, budget: int) -> None:
        """Move a generator past ``generate``; see ``Policy.skip``."""
        decode_loop.skip(rng, programs=programs, budget=budget, device=torch.device("cpu"))

    def evaluate(
        self, batch: Batch, *, temperature: float | NDArray[np.float32] = 1.0
    ) -> Evaluation:
        """Score whole episodes; see ``Policy.evaluate``. Hidden states are zeros, (B, T, 1)."""
        count = batch.n_tokens
        hidden = torch.zeros(count, 1)
        # Finite, so that the entropy's 0 * -inf does not arise at the pad id.
        scores = self._scores(count).clamp(min=NEVER)
        values = self._values(hidden)
        return score(scores, hidden, values, batch, temperature=temperature)

    def save(self, folder: Path) -> None:
        """Write ``config.json``, ``value_head.safetensors`` and ``codegym.json``.

        Raises:
            CheckpointError: The folder cannot be written, or holds something else.
        """
        with checkpoint.replacing(folder) as aside:
            row = {"model_type": "codegym_uniform", "max_tokens": self.max_tokens}
            checkpoint.write_json(aside / "config.json", row)
            self._module.value_head.save(aside)
            checkpoint.write_manifest(aside, self)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: The folder is truncated, foreign or of another version.
        """
        folder = checkpoint.resolve(folder)
        manifest = checkpoint.read_manifest(folder, policy=cls.name)
        max_tokens = checkpoint.read_json(folder / "config.json").get("max_tokens")
        if not isinstance(max_tokens, int):
            raise CheckpointError(
                f"{folder / 'config.json'} does not describe a uniform policy", value=max_tokens
            )
        policy = cls(checkpoint.load_tokenizer(folder, manifest), max_tokens=max_tokens, seed=0)
        policy.module.value_head.read(folder)
        policy.version = manifest.weight_version
        return policy


class _UniformDecoder:
    """Answers every prompt and every token with the same scores."""

    def __init__(self, policy: UniformPolicy) -> None:
        self._policy = policy

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.step(rows)

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = self._policy.module.value_head(torch.zeros(len(ids), 1))
        return self._policy._scores(len(ids)), values

    def keep(self, rows: torch.Tensor) -> None:
        """Drop nothing: no row is remembered."""
