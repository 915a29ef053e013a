"""``hf``: any causal language model of transformers as a Policy, whole or through LoRA adapters.

The model stands in ``hf_model``, its caches in ``hf_cache``, templates and stop sequences in
``prompting``, other engines of generation in ``engines``. A folder it saves opens with
``AutoModelForCausalLM.from_pretrained``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from codegym.errors import CheckpointError, ConfigError
from codegym.policies import checkpoint
from codegym.policies.decoding import decode_loop
from codegym.policies.decoding.action_scores import gather_actions, row_lengths, score_by_parts
from codegym.policies.decoding.decode_loop import SamplingConfig
from codegym.policies.decoding.token_sampling import Drawing, prepare_drawing, uniforms
from codegym.policies.hf.engines import Engine
from codegym.policies.hf.hf_cache import HFActState, HFDecoder
from codegym.policies.hf.hf_config import HFConfig, locate, open_tokenizer
from codegym.policies.hf.hf_model import (
    HFModule,
    Merger,
    add_lora,
    checkpoint_activations,
    fingerprint,
    open_model,
    positions,
    quiet,
    read_lora,
)
from codegym.policies.hf.prompting import Prompting, StopWatch
from codegym.policies.variant import parse_variant
from codegym.policy import Constraint, Evaluation, Generation, Policy, Step
from codegym.tokenizers.hf import HFTokenizer
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch

__all__ = ["HFConfig", "HFPolicy"]

_SETTINGS = "codegym_hf.json"


class HFPolicy(Policy):
    """A pretrained causal language model.

    Args:
        model: The language model; with adapters if ``config`` asks for them.
        tokenizer: Its tokenizer.
        config: How it is trained.
        seed: Of the policy's own generator.
        base: Name the frozen model can be opened by again; needed to save adapters.
        sampling_config: How ``generate`` runs.
        engine: What generates instead of this process.

    Attributes:
        config: How it is trained.
        rng: The policy's own source of randomness.
        engine: What generates instead of this process, or None.
        sampling_config: How ``generate`` runs.
    """

    name = "hf"

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
        self.engine = engine
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
        self._merger = Merger(self._module)
        self._stamp = object()
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
        model = open_model(folder, dtype=config.dtype, device=device)
        limit = positions(folder)
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
        """Open the model a name like ``hf:smollm2`` or ``hf:/models/qwen`` stands for.

        Args:
            variant: ``smollm2``, a folder or a hub name; behind it ``?lora=8`` asks for adapters,
                ``value_hidden=128`` for a hidden layer in the value head, ``max_tokens=512`` for
                another context than 1,024 or what the model has.
            tokenizer: Not used: the model brings its own.
            seed: Of the adapters and the policy's generator.

        Raises:
            ConfigError: There is no such model, or an option is unusable.
        """
        name, options = parse_variant(variant, "hf", ("lora", "value_hidden", "max_tokens"))
        if not name:
            raise ConfigError(
                "which language model?", expected="hf:smollm2, hf:FOLDER or hf:HUB/NAME"
            )
        folder = locate(name)
        most = HFConfig().max_tokens
        config = HFConfig(
            lora_rank=options.get("lora", 0),
            value_hidden=options.get("value_hidden", 0),
            max_tokens=options.get("max_tokens") or min(most, positions(folder) or most),
        )
        return cls.open(name, config, seed=seed)

    @classmethod
    def specimen(cls, *, seed: int) -> Policy:
        """Return a tiny Llama with fresh weights and a byte tokenizer."""
        tokenizer = HFTokenizer()
        shape = LlamaConfig(
            vocab_size=tokenizer.model_size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            bos_token_id=None,
            eos_token_id=tokenizer.end_id,
            pad_token_id=None,
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = LlamaForCausalLM(shape)
        settings = HFConfig(max_tokens=64, prompting=Prompting(stops=()))
        return cls(cast("Any", model).eval(), tokenizer, settings, seed=seed)

    def prepare(self) -> None:
        """Compile what tokens are drawn with, or read it from where it is kept."""
        prepare_drawing(self.device)

    @property
    def module(self) -> HFModule:
        """The torch module that holds every weight; adapters that were folded in are taken out."""
        self._merger.unmerge()
        return self._module

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self._module.value_head.bias.device

    def value_parameters(self) -> list[nn.Parameter]:
        """Return the weights of the value head alone."""
        return list(self._module.value_head.parameters())

    def mark_updated(self) -> None:
        """Raise ``version``, so that caches of older weights are read anew."""
        self._merger.unmerge()
        self._stamp = object()
        self.version += 1

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Be the model that the adapters started from, for the KL to it.

        Raises:
            ConfigError: Every weight is trained, so nothing is left of the first model.
        """
        if not self._module.adapted:
            raise ConfigError(
                "a policy that trains every weight keeps no reference",
                value=self.base,
                expected="lora_rank > 0",
                cure="open the model a second time, or train adapters",
            )
        self._merger.unmerge()
        outside, self._stamp = self._stamp, object()
        self._merger.paused = True
        try:
            with cast("Any", self._module.model).disable_adapter():
                yield
        finally:
            self._merger.paused = False
            self._stamp = outside

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids a task's prompt is shown as, by ``config.prompting``."""
        return self.config.prompting.encode(text, self.tokenizer)

    def _score(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._module.logits(hidden), self._module.value_head(hidden)

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
        self._merger.merge()
        known = isinstance(state, HFActState)
        if not known or len(state) != len(obs) or state.stamp is not self._stamp:
            trunk = self._module.trunk
            state = HFActState(trunk, self.device, stamp=self._stamp, rows=len(obs))
        hidden = state.read(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        logits, values = self._score(hidden)
        if mask is not None:
            if not mask.any(axis=1).all():
                raise ConfigError("a row of the mask allows no token")
            logits = logits.masked_fill(torch.from_numpy(~mask).to(self.device), -torch.inf)
        random = None
        if not deterministic:
            random = uniforms((len(obs), 1), rng or self.rng, self.device)
        drawing = Drawing(temperature=temperature, deterministic=deterministic)
        tokens, log_probs, _ = drawing.choose(logits, random)
        return Step(
            actions=tokens.cpu().numpy(),
            log_probs=log_probs.cpu().numpy(),
            values=values.cpu().numpy(),
            state=state,
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
        drawing = Drawing(temperature=temperature, top_p=top_p, deterministic=deterministic)
        rng = rng or self.rng
        if self.engine is not None:
            if constraint is not None:
                raise ConfigError(
                    "an engine writes without constraints",
                    value=type(self.engine).__name__,
                    cure="a policy without an engine",
                )
            return self.engine.generate(self, prompts, n=n, budget=budget, drawing=drawing, rng=rng)
        self._merger.merge()
        return decode_loop.generate(
            lambda: HFDecoder(self._module.trunk, self._score, self.device),
            prompts,
            n=n,
            budget=budget,
            drawing=drawing,
            config=self.sampling_config,
            end_id=self.tokenizer.end_id,
            max_tokens=self.max_tokens,
            rng=rng,
            device=self.device,
            make_stopper=self._watch if self.config.prompting.sequences() else None,
            constraint=constraint,
            pad_id=self.tokenizer.pad_id,
        )

    @contextmanager
    def folded(self) -> Iterator[Any]:
        """Give the language model itself with its adapters folded in, for engines."""
        self._merger.merge()
        yield self._module.causal
        self._merger.unmerge()

    def first_stop(self, actions: Sequence[int]) -> int:
        """Return how many actions stand before the first stop sequence, -1 if there is none."""
        if not self.config.prompting.sequences():
            return -1
        watch = self._watch(1)
        for token in actions:
            before = int(watch.read(np.array([token]))[0])
            if before >= 0:
                return before
        return -1

    def _watch(self, rows: int) -> StopWatch:
        return StopWatch(self.tokenizer, self.config.prompting.sequences(), rows)

    def evaluate(
        self,
        batch: Batch,
        *,
        temperature: float | NDArray[np.float32] = 1.0,
        top_p: float = 1.0,
    ) -> Evaluation:
        """Score whole episodes in one forward pass, with gradients.

        The head is applied at the actions alone, ``score_rows`` of them at a time.

        Args:
            batch: The episodes.
            temperature: Divides the scores: a number, or (B,) for each row.
            top_p: Share of the probability that was kept when the actions were drawn: what engines
                have written is scored with it. Learning leaves it at 1.

        Raises:
            ConfigError: A temperature is not positive, or there is not one for each row.
        """
        hidden = gather_actions(self._hidden(batch.tokens[:, :-1]), batch)
        return score_by_parts(
            self._module.logits,
            hidden,
            self._module.value_head(hidden),
            batch,
            rows=self.config.score_rows,
            temperature=temperature,
            top_p=top_p,
        )

    def scores(self, obs: NDArray[np.integer[Any]]) -> torch.Tensor:
        """Return (B, V) log-probabilities of the next token of each row, with gradients."""
        lengths = row_lengths(obs, pad_id=self.tokenizer.pad_id, max_tokens=self.max_tokens)
        hidden = self._hidden(obs[:, : int(lengths.max())])[np.arange(len(obs)), lengths - 1]
        return torch.log_softmax(self._module.logits(hidden), dim=-1)

    def _hidden(self, tokens: NDArray[np.integer[Any]]) -> torch.Tensor:
        self._merger.unmerge()
        # Padding on the right is never looked at; its id may be none of the model's.
        ids = np.where(tokens == self.tokenizer.pad_id, 0, tokens).astype(np.int64)
        out = self._module.trunk(input_ids=torch.from_numpy(ids).to(self.device), use_cache=False)
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def save(self, folder: Path) -> None:
        """Write the model, or its adapters, in Hugging Face's layout, with our files beside.

        Raises:
            CheckpointError: The folder cannot be written, or holds something else.
        """
        self._merger.unmerge()
        settings = asdict(self.config) | {"base": self.base}
        if self._module.adapted:
            settings["base_hash"] = fingerprint(self._module)
        with checkpoint.replacing(folder) as aside, quiet():
            cast("Any", self._module.model).save_pretrained(aside)
            checkpoint.write_json(aside / _SETTINGS, settings)
            self._module.value_head.save(aside)
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
        row = checkpoint.read_json(folder / _SETTINGS)
        try:
            base, base_hash = row.pop("base"), row.pop("base_hash", "")
            config = HFConfig.from_json(row)
            source = locate(base) if base_hash else str(folder)
            model: nn.Module = open_model(source, dtype=config.dtype, device="cpu")
        except (KeyError, TypeError, ConfigError) as error:
            raise CheckpointError(f"{folder} does not open as an hf policy: {error}") from error
        if base_hash:
            model = read_lora(model, folder)
        assert isinstance(tokenizer, HFTokenizer)
        policy = cls(model, tokenizer, config, seed=0, base=base)
        if base_hash and fingerprint(policy._module) != base_hash:
            raise CheckpointError(
                "the adapters were trained on other weights than the base model's",
                value=base,
                cure="put the base model back that the adapters belong to",
            )
        policy._module.value_head.read(folder)
        policy.version = manifest.weight_version
        return policy
