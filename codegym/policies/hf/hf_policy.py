"""``hf``: any causal language model of transformers as a Policy, whole or through LoRA adapters.

A folder it saves opens with ``AutoModelForCausalLM.from_pretrained``.

In shapes, B is rows, T the longest number of actions, V the vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from codegym.errors import ConfigError
from codegym.policies import checkpoint
from codegym.policies.decoding import decode_loop
from codegym.policies.decoding.act_step import choose_step
from codegym.policies.decoding.action_scores import (
    row_lengths,
    score_by_parts,
    score_linearly,
)
from codegym.policies.decoding.decode_loop import SamplingConfig
from codegym.policies.decoding.token_sampling import TokenSampler, prepare_sampling
from codegym.policies.hf.adapters import Adapters, add_lora
from codegym.policies.hf.engine_names import make_engine
from codegym.policies.hf.engines import Engine
from codegym.policies.hf.hf_cache import HFActState, HFDecoder
from codegym.policies.hf.hf_config import HFConfig, locate, open_tokenizer, read_variant
from codegym.policies.hf.hf_folder import read_model, write_model
from codegym.policies.hf.hf_model import (
    HFModule,
    checkpoint_activations,
    open_model,
    positions,
    tiny_llama,
)
from codegym.policies.hf.prompting import Prompting
from codegym.policies.hf.rescoring import score_again
from codegym.policy import Constraint, Evaluation, Generation, Policy, Step
from codegym.tokenizers.hf import HFTokenizer
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch

__all__ = ["HFConfig", "HFPolicy"]

# Actions scored at once by a head that is not linear.
_SCORE_ROWS = 256


class HFPolicy(Policy):
    """A pretrained causal language model.

    Args:
        model: The language model; with adapters if ``config`` asks for them.
        tokenizer: Its tokenizer.
        config: How the model is trained.
        seed: Seed of the policy's generator.
        base: Name by which the frozen model opens again; needed to save adapters.
        sampling_config: How ``generate`` runs.
        engine: Generates in place of this process.

    Attributes:
        config: How the model is trained.
        rng: Source of randomness where a call brings none.
        engine: Generates in place of this process; None for this process.
        sampling_config: How ``generate`` runs.
    """

    name = "hf"
    shares_prompts = True

    def __init__(
        self,
        model: nn.Module,
        tokenizer: HFTokenizer,
        config: HFConfig | None = None,
        *,
        seed: int,
        base: str = "",
        sampling_config: SamplingConfig | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.tokenizer: HFTokenizer = tokenizer
        self.config = config or HFConfig()
        self.sampling_config = sampling_config or SamplingConfig(chunk_rows=64, workers=1)
        self.engine = engine or make_engine(self.config.engine)
        self.base = base
        self.max_tokens = self.config.max_tokens
        self.answers = self.config.prompting.style == "answer"
        self.version = 0
        self.rng = torch.Generator().manual_seed(seed)
        self._module = HFModule(
            model,
            vocab_size=tokenizer.vocab_size,
            pad_id=tokenizer.pad_id,
            value_hidden=self.config.value_hidden,
        )
        self._module.value_head.initialize(self.rng)
        self._adapters = Adapters(self._module)
        if self.config.gradient_checkpointing:
            checkpoint_activations(self._module)

    @classmethod
    def open(
        cls,
        name: str,
        config: HFConfig | None = None,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        engine: Engine | None = None,
    ) -> Self:
        """Open a model by folder, hub name or ``smollm2``.

        Raises:
            ConfigError: There is no such model, or it cannot be used.
        """
        config = config or HFConfig()
        folder = locate(name)
        model = open_model(folder, dtype=config.dtype, device=device, pickles=config.pickles)
        limit = positions(folder, pickles=config.pickles)
        if limit is not None and config.max_tokens > limit:
            raise ConfigError(
                "max_tokens is more than the model has positions",
                value=config.max_tokens,
                expected=f"at most {limit}",
            )
        tokenizer = open_tokenizer(folder)
        adapted: nn.Module = model
        if config.lora_rank:
            adapted = add_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, seed=seed)
        return cls(adapted, tokenizer, config, seed=seed, base=name, engine=engine)

    @classmethod
    def create(cls, variant: str, *, tokenizer: Tokenizer, seed: int) -> Self:
        """Open the model that a name like ``hf:smollm2`` or ``hf:/models/qwen`` means.

        Args:
            variant: ``smollm2``, a folder or a hub name, then options: ``?lora=8`` asks for
                adapters of rank 8 and ``alpha=16`` for their scale, ``dtype=bfloat16`` for another
                number format, ``checkpointing=1`` for a second forward pass in place of kept
                activations, ``score_rows=256`` for so many actions scored at once,
                ``value_hidden=128`` for a hidden layer in the value head, ``max_tokens=512`` for
                another context than 1,024 or the model's, ``style=chat`` for another way of
                prompting, ``engine=transformers`` or a server's address for another process that
                writes, ``pickles=1`` for weights that are a pickle.
            tokenizer: Not used: the model has a tokenizer.
            seed: Seed of the adapters and of the policy's generator.

        Raises:
            ConfigError: There is no such model, or an option is unusable.
        """
        name, config = read_variant(variant)
        return cls.open(name, config, seed=seed)

    @classmethod
    def specimen(cls, *, seed: int) -> Policy:
        """Return a tiny Llama with fresh weights and a byte tokenizer."""
        tokenizer = HFTokenizer()
        model = tiny_llama(vocab_size=tokenizer.model_size, end_id=tokenizer.end_id, seed=seed)
        config = HFConfig(max_tokens=64, prompting=Prompting(stops=()))
        return cls(model, tokenizer, config, seed=seed)

    def prepare(self) -> None:
        """Compile the kernel that draws tokens, or read it from its cache."""
        prepare_sampling(self.device)

    @property
    def module(self) -> HFModule:
        """The torch module that holds every weight; adapters that were folded in are taken out."""
        self._adapters.unfold()
        return self._module

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._module.value_head.bias.device

    @property
    def adapted(self) -> bool:
        """Whether adapters alone are trained."""
        return self._module.adapted

    def value_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the value head alone."""
        return list(self._module.value_head.parameters())

    def mark_updated(self) -> None:
        """Raise ``version``, so that caches of older weights are read anew."""
        self._adapters.renew()
        self.version += 1

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Make the policy the model that the adapters started from, for the KL to it.

        Raises:
            ConfigError: Every weight is trained, so nothing is left of the first model.
        """
        with self._adapters.switched_off():
            yield

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids a task's prompt is shown as, by ``config.prompting``."""
        return self.config.prompting.encode(text, self.tokenizer)

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
        """Choose the next token of each row; see ``Policy.act``. Stop sequences are not looked for.

        Raises:
            ConfigError: A row is empty, longer than ``max_tokens``, or allows no token.
        """
        self._adapters.fold()
        known = isinstance(state, HFActState)
        if not known or len(state) != len(obs) or state.stamp is not self._adapters.stamp:
            trunk = self._module.trunk
            state = HFActState(trunk, self.device, stamp=self._adapters.stamp, rows=len(obs))
        hidden = state.read(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        logits, values = self._module.score(hidden)
        return choose_step(
            logits,
            values,
            state,
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
        renormalised over the tokens kept. ``evaluate``, as learning calls it, scores whole
        distributions and cannot reproduce them. In other formats than float32 the programs are
        scored again as learning scores them, so that the first ratio of probabilities is 1.

        Raises:
            PromptTooLongError: A prompt leaves no room for a program.
            ConfigError: A setting is unusable, or a prompt is empty.
        """
        sampler = TokenSampler(temperature=temperature, top_p=top_p, deterministic=deterministic)
        rng = rng or self.rng
        if self.engine is not None:
            if constraint is not None:
                raise ConfigError(
                    "an engine writes without constraints",
                    value=type(self.engine).__name__,
                    cure="a policy without an engine",
                )
            return self.engine.generate(self, prompts, n=n, budget=budget, sampler=sampler, rng=rng)
        self._adapters.fold()
        prompting = self.config.prompting
        watch = partial(prompting.watch, self.tokenizer)
        written = decode_loop.generate(
            lambda: HFDecoder(self._module.trunk, self._module.score, self.device),
            prompts,
            n=n,
            budget=budget,
            sampler=sampler,
            config=self.sampling_config,
            tokenizer=self.tokenizer,
            max_tokens=self.max_tokens,
            rng=rng,
            device=self.device,
            make_stopper=watch if prompting.sequences() else None,
            constraint=constraint,
        )
        if self.config.dtype == "float32":
            return written
        # In few bits, a product of one row and a product of many differ by far more than 1e-4.
        return score_again(self, prompts, written, n=n, sampler=sampler)

    def skip(self, rng: torch.Generator, *, programs: int, budget: int) -> None:
        """Move a generator past ``generate``; see ``Policy.skip``. Not with an engine."""
        if self.engine is not None:
            super().skip(rng, programs=programs, budget=budget)
        decode_loop.skip(rng, programs=programs, budget=budget, device=self.device)

    @contextmanager
    def folded(self) -> Iterator[Any]:
        """Give the language model itself with its adapters folded in, for engines."""
        self._adapters.fold()
        try:
            yield self._module.causal
        finally:
            self._adapters.unfold()

    def evaluate(
        self,
        batch: Batch,
        *,
        temperature: float | NDArray[np.float32] = 1.0,
        top_p: float = 1.0,
    ) -> Evaluation:
        """Score whole episodes in one forward pass, with gradients.

        Prompts that rows share are read once and padding never, where the model's attention allows
        it. The head is applied at the actions alone, ``score_rows`` of them at a time.

        Args:
            batch: The episodes.
            temperature: Divides the scores: a number, or (B,) for each row.
            top_p: Share of the probability that was kept when the actions were drawn: what engines
                have written is scored with it. Learning leaves it at 1.

        Raises:
            ConfigError: A temperature is not positive, or there is not one for each row.
        """
        module = self.module
        hidden = module.read_actions(batch)
        values = module.value_head(hidden)
        head, rows = module.linear_head(), self.config.score_rows
        if head is not None and top_p == 1.0:
            return score_linearly(head, hidden, values, batch, rows=rows, temperature=temperature)
        return score_by_parts(
            module.logits,
            hidden,
            values,
            batch,
            rows=rows or _SCORE_ROWS,
            temperature=temperature,
            top_p=top_p,
        )

    def scores(self, obs: NDArray[np.integer[Any]]) -> torch.Tensor:
        """Return (B, V) log-probabilities of the next token of each row, with gradients."""
        lengths = row_lengths(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        module = self.module
        hidden = module.read(obs[:, : int(lengths.max())])[np.arange(len(obs)), lengths - 1]
        return torch.log_softmax(module.logits(hidden), dim=-1)

    def save(self, folder: Path) -> None:
        """Write the model, or its adapters, in Hugging Face's layout, and our files.

        Raises:
            CheckpointError: The folder cannot be written, or holds something else.
        """
        module = self.module
        with checkpoint.replacing(folder) as aside:
            write_model(aside, module, self.config, base=self.base)
            module.value_head.save(aside)
            checkpoint.write_manifest(aside, self)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; the same numbers come out to the last bit on CPU.

        Raises:
            CheckpointError: The folder is truncated, foreign, of another version, or its adapters
                belong to a base model that is not to be found.
        """
        folder = checkpoint.resolve(folder)
        manifest = checkpoint.read_manifest(folder, policy=cls.name)
        tokenizer = checkpoint.load_tokenizer(folder, manifest)
        opened = read_model(folder)
        assert isinstance(tokenizer, HFTokenizer)
        policy = cls(opened.model, tokenizer, opened.config, seed=0, base=opened.base)
        opened.check_base(policy.module)
        policy.module.value_head.read(folder)
        policy.version = manifest.weight_version
        return policy
