"""Policy: the interface of everything that writes programs.

Every agent works on any Policy, every Policy is trained by any agent. ``codegym check`` runs the
conformance suite over it: stepping with the cache, ``generate`` and ``evaluate`` give the same
numbers to 1e-4.

In shapes, B is the number of rows, T the longest number of actions, V the vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from codegym import registry
from codegym.errors import ConfigError
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What ``Policy.act`` returns.

    Attributes:
        actions: (B,) int64.
        log_probs: (B,) float32, of those actions under the distribution they were drawn from.
        values: (B,) float32, estimated return before the action.
        state: Opaque; hand it to the next ``act``.
    """

    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    state: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What ``Policy.generate`` returns: N programs, prompt-major (prompt i's are i*n .. i*n+n-1).

    Attributes:
        actions: N arrays (T_i,) int64, the end token included where the program was finished.
        log_probs: N arrays (T_i,) float32, at the sampling temperature.
        values: N arrays (T_i,) float32.
        finished: (N,) bool, False where the budget cut the program.
        masks: N arrays (T_i, ceil(V / 8)) uint8, in bits what was allowed at each action
            (``numpy.packbits``); None for a program, or for all, where everything was.
    """

    actions: list[NDArray[np.int64]]
    log_probs: list[NDArray[np.float32]]
    values: list[NDArray[np.float32]]
    finished: NDArray[np.bool_]
    masks: Sequence[NDArray[np.uint8] | None] | None = None


class TokenMask(Protocol):
    """What may be written next; ``codegym.grammar.PythonMask`` implements it.

    Attributes:
        size: Number V of ids.
    """

    size: int

    def advance(self, state: Any, token: int) -> Any | None:
        """Return the state after one more token, None where nothing is kept any more."""

    def allowed(self, state: Any, remaining: int) -> NDArray[np.bool_]:
        """Return (V,) what may come next when so many tokens may still be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What ``generate`` may write.

    Attributes:
        mask: Says which tokens may come next.
        states: Its state at the end of each prompt.
    """

    mask: TokenMask
    states: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What ``Policy.evaluate`` returns: tensors with gradients, 0 where the batch's mask is False.

    Attributes:
        log_probs: (B, T) of the batch's actions, at the temperature asked for, under the batch's
            masks.
        entropy: (B, T) of the distribution at each action, in nats.
        values: (B, T); their gradient does not reach the trunk where the policy detaches it.
        hidden: (B, T, d) last hidden state from which each action was drawn.
    """

    log_probs: "torch.Tensor"
    entropy: "torch.Tensor"
    values: "torch.Tensor"
    hidden: "torch.Tensor"


class Policy(ABC):
    """Writes programs token by token.

    Attributes:
        name: The name it is registered under.
        tokenizer: What its ids mean.
        max_tokens: Longest prompt plus program it can read.
        version: Rises with every change of weights; caches of another version are dropped.
        shares_prompts: Whether ``evaluate`` reads a prompt once for all rows that share it, so that
            learning keeps such rows together.
        learns: Whether its actor has weights that training changes.
        answers: Whether what it writes is an answer with a program in it, as chat models give, from
            which ``codegym.tasks.answers`` takes the program.
    """

    name: str
    learns: ClassVar[bool] = True
    shares_prompts: ClassVar[bool] = False
    tokenizer: Tokenizer
    max_tokens: int
    version: int
    answers: bool = False

    @classmethod
    def create(cls, variant: str, *, tokenizer: Tokenizer, seed: int) -> Self:
        """Make a new policy from the part of its name after the colon (``gpt:tiny``).

        Args:
            variant: What kind of it; "" for the default.
            tokenizer: What its ids shall mean; a pretrained policy brings its own instead.
            seed: Of its first weights.

        Raises:
            UnknownNameError: No such variant.
            ConfigError: This policy can only be loaded from a folder.
        """
        raise ConfigError(f"policy {cls.name!r} can only be loaded from a folder", value=variant)

    @classmethod
    def specimen(cls, *, seed: int) -> "Policy":
        """Return a small fresh policy of this kind on the CPU, for the conformance suite."""
        return cls.create("", tokenizer=registry.get("tokenizers", "lexemes")(), seed=seed)

    def encode_prompt(self, text: str) -> list[int]:
        """Return the ids a task's prompt is shown as; a pretrained policy puts its template here.

        Whatever the template, ``tokenizer.decode`` of the actions is what the policy wrote: the
        continuation of a prompt that is code, the whole program otherwise.
        """
        return self.tokenizer.encode(text)

    def encode_message(self, text: str) -> list[int]:
        """Return the ids of what an environment writes between two programs of an episode.

        A policy with a chat template may put the text into a separate turn.
        """
        return self.tokenizer.encode(text)

    def prepare(self) -> None:  # noqa: B027
        """Do what is slow only the first time; changes no weight and draws nothing.

        Optional: ``gpt`` compiles its kernels. Training calls it before the clock of a phase runs.
        """

    @property
    @abstractmethod
    def module(self) -> "torch.nn.Module":
        """The torch module that holds every weight, the value head included."""

    @abstractmethod
    def value_parameters(self) -> "list[torch.nn.Parameter]":
        """The weights of the value head alone; the rest of ``module`` is the actor."""

    @abstractmethod
    def act(
        self,
        obs: NDArray[np.integer[Any]],
        state: Any = None,
        *,
        temperature: float = 1.0,
        deterministic: bool = False,
        mask: NDArray[np.bool_] | None = None,
        rng: "torch.Generator | None" = None,
    ) -> Step:
        """Choose the next token of each row.

        Args:
            obs: (B, T) prompt and program so far, padded on the right with the pad id.
            state: What the last call returned, or None. Rows that do not continue the cached
                rows by exactly one token are read anew.
            temperature: Divides the scores; the log-probabilities are those of the distribution
                that results.
            deterministic: Take the most probable token.
            mask: (B, V) True where a token is allowed.
            rng: Source of randomness; the policy's own if None.
        """

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        n: int = 1,
        budget: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        deterministic: bool = False,
        rng: "torch.Generator | None" = None,
        constraint: Constraint | None = None,
    ) -> Generation:
        """Write ``n`` programs for each prompt, at most ``budget`` tokens each, end included.

        Under a constraint every token is drawn from the allowed tokens, renormalised; log-probs are
        of that distribution, and the masks are returned, for ``evaluate`` to score under.
        """

    def skip(self, rng: "torch.Generator", *, programs: int, budget: int) -> None:
        """Move a generator to where ``generate`` leaves it, without writing anything.

        Optional: programs are then written on several machines, to the same bits.

        Args:
            rng: The generator that ``generate`` would be given.
            programs: Number of programs that it would write, not ``deterministic``.
            budget: Its budget.

        Raises:
            ConfigError: What this policy draws cannot be foreseen.
        """
        raise ConfigError(
            "this policy's programs cannot be written on several machines",
            value=self.name,
            expected="a policy with skip",
            cure="train without --ray",
        )

    @abstractmethod
    def evaluate(
        self, batch: Batch, *, temperature: float | NDArray[np.float32] = 1.0
    ) -> Evaluation:
        """Score whole episodes in one forward pass, with gradients.

        Args:
            batch: The episodes.
            temperature: Divides the scores: one number, or (B,) for each row. With
                ``batch.temperatures`` the log-probabilities are those of the distributions the
                actions were drawn from, as a ratio to ``batch.log_probs`` needs.
        """

    def scores(self, obs: NDArray[np.integer[Any]]) -> "torch.Tensor":
        """Return (B, V) log-probabilities of the next token of each row, read from nothing.

        Optional: no agent of ours needs it; distillation and stable-baselines3's
        ``get_distribution`` do.

        Args:
            obs: (B, T), as for ``act``.

        Raises:
            ConfigError: This policy does not give away its scores.
        """
        raise ConfigError("this policy does not give away its scores", value=self.name)

    @abstractmethod
    def mark_updated(self) -> None:
        """Say that the weights have changed: raises ``version`` and drops every cache."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the policy in Hugging Face layout plus ``value_head.safetensors``."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; the same numbers come out to the last bit on CPU.

        Raises:
            CheckpointError: The folder is truncated, foreign or of another version.
        """
