"""``gpt``: a tiny transformer as a Policy, the default on a laptop.

Checkpoints are GPT-NeoX folders that transformers opens.

In shapes, B is rows, T the longest number of actions, V the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import replace
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
from codegym.policies.decoding.token_sampling import TokenSampler, prepare_sampling
from codegym.policies.gpt.act_state import ActState, RowReader
from codegym.policies.gpt.compiled_rows import CompiledDecoder, CompiledRows, can_read
from codegym.policies.gpt.network import GPTModule
from codegym.policies.gpt.packing import Packed
from codegym.policies.gpt.plain_rows import PlainDecoder, PlainRows
from codegym.policies.gpt.transformer import GPTConfig
from codegym.policies.variant import parse_variant
from codegym.policy import Constraint, Evaluation, Generation, Policy, Step
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch

__all__ = ["GPTConfig", "GPTPolicy", "SamplingConfig"]

_PREFIX = "gpt_neox."


class GPTPolicy(Policy):
    """A transformer trained from fresh weights, small enough to learn on one core.

    Args:
        tokenizer: The tokenizer; sets the size of the vocabulary.
        config: Shape of the transformer; ``GPTConfig.preset("tiny")`` if None.
        seed: Seed of the first weights and of the policy's generator.
        sampling_config: How ``generate`` runs; never changes what it draws.
        device: Where the weights are.

    Attributes:
        config: Shape of the transformer.
        sampling_config: How ``generate`` runs.
        rng: Source of randomness where a call brings none.
    """

    name = "gpt"

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: GPTConfig | None = None,
        *,
        seed: int,
        sampling_config: SamplingConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.tokenizer = tokenizer
        self.config = config or GPTConfig.preset("tiny")
        self.sampling_config = sampling_config or SamplingConfig()
        self.max_tokens = self.config.max_tokens
        self.version = 0
        self.rng = torch.Generator().manual_seed(seed)
        # Modules are made with weights of torch's global generator; those of ``rng`` replace them.
        with torch.random.fork_rng(devices=[]):
            module = GPTModule(
                self.config, vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id
            )
        module.transformer.initialize(self.rng)
        module.value_head.initialize(self.rng)
        self._module = module.to(device)

    @classmethod
    def create(cls, variant: str, *, tokenizer: Tokenizer, seed: int) -> Self:
        """Make a new policy of a preset shape; ``tiny`` where none is named.

        Args:
            variant: A preset; ``small@512`` sets another context than the preset's,
                ``?value_hidden=128`` after it gives the value head a hidden layer.
            tokenizer: The tokenizer.
            seed: Seed of the first weights.

        Raises:
            UnknownNameError: No such preset.
            ConfigError: The context is no number of tokens, or an option is unusable.
        """
        shape_name, options = parse_variant(variant, "gpt", ("value_hidden",))
        name, at, context = shape_name.partition("@")
        if at and not context.isdecimal():
            raise ConfigError("unusable context", value=variant, expected="a name such as tiny@512")
        shape = replace(GPTConfig.preset(name or "tiny"), **options)
        return cls(tokenizer, replace(shape, max_tokens=int(context)) if at else shape, seed=seed)

    @classmethod
    def specimen(cls, *, seed: int) -> Policy:
        """Return a small fresh policy, for the conformance suite."""
        shape = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=64)
        return cls(registry.get("tokenizers", "lexemes")(), shape, seed=seed)

    def prepare(self) -> None:
        """Compile the kernels, or read them from their cache."""
        prepare_sampling(self.device)
        if not self._compiled():
            return
        ids = torch.tensor([self.tokenizer.end_id])
        with torch.inference_mode():
            decoder = CompiledDecoder(self._module)
            decoder.prefill([ids.tolist()], torch.zeros_like(ids), 1)
            decoder.step(ids)

    @property
    def module(self) -> GPTModule:
        """The torch module that holds every weight, the value head included."""
        return self._module

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._module.value_head.bias.device

    def value_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the value head alone."""
        return list(self._module.value_head.parameters())

    def mark_updated(self) -> None:
        """Raise ``version``, so that caches of older weights are read anew."""
        self.version += 1

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
        """Choose the next token of each row.

        Of each row only the tokens that the cache does not hold are read.

        Args:
            obs: (B, T) prompt and program so far, padded on the right with the pad id.
            state: What the last call returned, or None. It is changed in place.
            temperature: Divides the scores; the log-probabilities are those of the distribution
                that results.
            deterministic: Take the most probable token.
            mask: (B, V) True where a token is allowed.
            rng: Source of randomness; the policy's own if None.

        Raises:
            ConfigError: A row is empty, longer than ``max_tokens``, or allows no token; or the
                temperature is not positive.
        """
        rows = len(obs)
        stamp = (self, self.version, self.device)
        known = isinstance(state, ActState) and len(state) == rows and state.stamp == stamp
        if not known:
            state = ActState(
                self._row_reader(rows),
                rows=rows,
                max_tokens=self.max_tokens,
                pad_id=self.tokenizer.pad_id,
                stamp=stamp,
            )
        hidden = state.read(obs)
        return choose_step(
            self._module.transformer.logits(hidden),
            self._module.value_head(hidden),
            state,
            temperature=temperature,
            deterministic=deterministic,
            mask=mask,
            rng=rng or self.rng,
        )

    def scores(self, obs: NDArray[np.integer[Any]]) -> torch.Tensor:
        """Return (B, V) log-probabilities of the next token of each row, with gradients."""
        lengths = row_lengths(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        ids = torch.from_numpy(obs[:, : int(lengths.max())].astype(np.int64)).to(self.device)
        hidden = self._module.transformer(ids)[np.arange(len(obs)), lengths - 1]
        return torch.log_softmax(self._module.transformer.logits(hidden), dim=-1)

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
            self._decoder,
            prompts,
            n=n,
            budget=budget,
            sampler=TokenSampler(temperature=temperature, top_p=top_p, deterministic=deterministic),
            config=self.sampling_config,
            tokenizer=self.tokenizer,
            max_tokens=self.max_tokens,
            rng=rng or self.rng,
            device=self.device,
            constraint=constraint,
        )

    def _decoder(self) -> decode_loop.Decoder:
        return CompiledDecoder(self._module) if self._compiled() else PlainDecoder(self._module)

    def _row_reader(self, rows: int) -> RowReader:
        kind = CompiledRows if self._compiled() else PlainRows
        return kind(self._module, rows)

    def _compiled(self) -> bool:
        return self.sampling_config.compiled and can_read(self._module)

    def skip(self, rng: torch.Generator, *, programs: int, budget: int) -> None:
        """Move a generator past ``generate``; see ``Policy.skip``."""
        decode_loop.skip(rng, programs=programs, budget=budget, device=self.device)

    def evaluate(
        self, batch: Batch, *, temperature: float | NDArray[np.float32] = 1.0
    ) -> Evaluation:
        """Score whole episodes in one forward pass, with gradients.

        Prompts that rows share are read once, padding never, and the head is applied at the
        policy's actions alone.

        Args:
            batch: The episodes.
            temperature: Divides the scores: a number, or (B,) for each row.

        Raises:
            ConfigError: A temperature is not positive, or there is not one for each row.
        """
        hidden = self._module.transformer.read(Packed.of(batch, self.device))
        logits = self._module.transformer.logits(hidden)
        values = self._module.value_head(hidden)
        return score(logits, hidden, values, batch, temperature=temperature)

    def save(self, folder: Path) -> None:
        """Write a GPT-NeoX folder plus ``value_head.safetensors`` and ``codegym.json``.

        Raises:
            CheckpointError: The folder cannot be written, or holds something else.
        """
        weights = {
            _PREFIX + name: tensor.detach().cpu()
            for name, tensor in self._module.transformer.state_dict().items()
        }
        row = self.config.to_transformers(
            vocab_size=self.tokenizer.vocab_size,
            end_id=self.tokenizer.end_id,
            pad_id=self.tokenizer.pad_id,
        )
        generation = {
            "eos_token_id": self.tokenizer.end_id,
            "pad_token_id": self.tokenizer.pad_id,
            "suppress_tokens": [self.tokenizer.pad_id],
            "do_sample": True,
            "top_k": 0,
        }
        with checkpoint.replacing(folder) as aside:
            checkpoint.write_json(aside / "config.json", row)
            checkpoint.write_json(aside / "generation_config.json", generation)
            checkpoint.write_tensors(aside / "model.safetensors", weights)
            self._module.value_head.save(aside)
            checkpoint.write_manifest(aside, self)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; the same numbers come out to the last bit on CPU.

        Raises:
            CheckpointError: The folder is truncated, foreign or of another version.
        """
        folder = checkpoint.resolve(folder)
        manifest = checkpoint.read_manifest(folder, policy=cls.name)
        tokenizer = checkpoint.load_tokenizer(folder, manifest)
        row = checkpoint.read_json(folder / "config.json")
        try:
            config = GPTConfig.from_transformers(row)
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(
                f"{folder / 'config.json'} does not describe a gpt policy: {error}"
            ) from error
        policy = cls(tokenizer, config, seed=0)
        checkpoint.read_tensors(
            folder / "model.safetensors", into=policy.module.transformer, prefix=_PREFIX
        )
        policy.module.value_head.read(folder)
        policy.version = manifest.weight_version
        return policy
