"""DivergenceGuard: detects early that a policy collapses, and stops the run.

It reads the metrics that agents log under the field's names and raises ``TrainingDivergedError``
with the value, the update and a cure. A collapse may be detected an update late, but a healthy run
is not stopped: every rule but the first needs several updates in a row.
"""

import math
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from codegym.errors import ConfigError, TrainingDivergedError


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """When a run counts as diverged; 0 switches a rule off.

    Attributes:
        patience: How many updates in a row must look bad.
        max_kl: Highest mean ``approx_kl`` per token, in nats, between the policy as it learns and
            the policy that wrote the programs.
        min_entropy: Lowest entropy per token, in nats, of a policy that passes fewer than
            ``least_pass_rate`` of its programs, or half of its best average: it repeats the same
            wrong programs. A policy that is sure of programs that pass is healthy.
        max_loss_rise: How far above its lowest the loss on demonstrations may stay, in nats.
        max_entropy: Highest entropy as a share of the uniform distribution's, once it has been
            below half of that: the policy has forgotten what it knew.
        window: Programs over which the pass rate is averaged.
        min_pass_share: The averaged pass rate must stay above this share of its best.
        least_pass_rate: Best averaged pass rate below which there is nothing to collapse from.
    """

    patience: int = 3
    max_kl: float = 1.0
    min_entropy: float = 0.002
    max_loss_rise: float = 2.0
    max_entropy: float = 0.7
    window: int = 1024
    min_pass_share: float = 0.25
    least_pass_rate: float = 0.05

    def __post_init__(self) -> None:
        for name in ("patience", "window"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"setting of guard {name!r} is out of range",
                    value=getattr(self, name),
                    expected=">= 1",
                )


class DivergenceGuard:
    """Watches the metrics of one phase.

    Args:
        config: When to stop.
        vocab_size: Size of the policy's vocabulary; its logarithm is the entropy of the uniform
            distribution.
    """

    def __init__(self, config: GuardConfig, *, vocab_size: int) -> None:
        self.config = config
        self._uniform = math.log(vocab_size)
        self._bad: dict[str, int] = {}
        self._lowest_entropy = self._lowest_loss = math.inf
        self._stage: Hashable = None
        self._recent: deque[tuple[float, int]] = deque()
        self._best = 0.0

    @property
    def healthy(self) -> bool:
        """Whether the last update gave no cause for doubt: a state worth keeping."""
        rate = self.pass_rate
        falling = rate is not None and rate < 0.8 * self._best
        return not falling and not any(self._bad.values())

    @property
    def pass_rate(self) -> float | None:
        """The pass rate averaged over the window; None before the window is full."""
        programs = sum(count for _, count in self._recent)
        if programs < self.config.window:
            return None
        return sum(rate * count for rate, count in self._recent) / programs

    def check(
        self,
        metrics: Mapping[str, float],
        *,
        programs: int,
        stage: Hashable = None,
        even: bool = True,
        where: str = "",
    ) -> None:
        """Check the metrics of an update.

        Args:
            metrics: Metrics of the agent and of the training loop.
            programs: Number of programs that the policy wrote for the update.
            stage: Changes where tasks become harder by plan; the pass rate then begins anew.
            even: Whether pass rates within a stage can be compared.
            where: Phase and update, for the message.

        Raises:
            TrainingDivergedError: A rule is broken.
        """
        config = self.config
        for name in ("loss", "policy_loss", "value_loss", "grad_norm", "entropy", "approx_kl"):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise self._error(f"{name} is not finite", metrics[name], where)
        kl = metrics.get("approx_kl", 0.0)
        self._count("kl", bool(config.max_kl) and kl > config.max_kl)
        if self._bad["kl"] >= config.patience:
            seen = f"approx_kl above {config.max_kl:g} nats a token"
            raise self._error(f"{seen} for {config.patience} updates", kl, where)
        if not programs and "loss" in metrics:
            self._lowest_loss = min(self._lowest_loss, metrics["loss"])
            rise = metrics["loss"] - self._lowest_loss
            self._count("loss", bool(config.max_loss_rise) and rise > config.max_loss_rise)
            if self._bad["loss"] >= config.patience:
                seen = f"the loss on demonstrations stayed far above its {self._lowest_loss:.3f}"
                raise self._error(f"{seen} for {config.patience} updates", metrics["loss"], where)
        if programs:
            self._observe(metrics.get("pass_rate", 0.0), programs, stage, even)
        if "entropy" in metrics and programs:
            self._check_entropy(metrics["entropy"], metrics.get("pass_rate", 0.0), where)
        rate = self.pass_rate
        collapsed = (
            rate is not None
            and self._best >= config.least_pass_rate
            and rate < config.min_pass_share * self._best
        )
        self._count("pass_rate", collapsed)
        if self._bad["pass_rate"] >= config.patience:
            seen = f"the pass rate fell from {self._best:.3f} and stayed down"
            raise self._error(f"{seen} for {config.patience} updates", rate, where)

    def _check_entropy(self, entropy: float, pass_rate: float, where: str) -> None:
        config = self.config
        poor = pass_rate < max(config.least_pass_rate, 0.5 * self._best)
        low = entropy < config.min_entropy and poor
        self._count("low", low)
        high = (
            bool(config.max_entropy)
            and self._lowest_entropy < 0.5 * config.max_entropy * self._uniform
            and entropy > config.max_entropy * self._uniform
        )
        self._count("high", high)
        self._lowest_entropy = min(self._lowest_entropy, entropy)
        for name, seen in (
            ("low", f"entropy below {config.min_entropy:g} nats a token at a pass rate"
                    f" of {pass_rate:.3f}"),
            ("high", f"entropy rose from {self._lowest_entropy:.3f} towards the uniform"
                     f" distribution's {self._uniform:.3f}"),
        ):  # fmt: skip
            if self._bad[name] >= config.patience:
                raise self._error(f"{seen} for {config.patience} updates", entropy, where)

    def _observe(self, pass_rate: float, programs: int, stage: Hashable, even: bool) -> None:
        if stage != self._stage or not even:
            self._recent.clear()
            self._best = 0.0
        self._stage = stage
        self._recent.append((pass_rate, programs))
        while sum(count for _, count in self._recent) - self._recent[0][1] >= self.config.window:
            self._recent.popleft()
        self._best = max(self._best, self.pass_rate or 0.0)

    def _count(self, name: str, bad: bool) -> None:
        self._bad[name] = self._bad.get(name, 0) + 1 if bad else 0

    def _error(self, seen: str, value: object, where: str) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"training diverged at {where}: {seen}" if where else f"training diverged: {seen}",
            value=value,
            cure="a smaller learning rate, larger batches, or a smaller negative_scale",
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` needs to go on as if never interrupted."""
        return {
            "bad": dict(self._bad),
            "lowest_entropy": self._lowest_entropy,
            "lowest_loss": self._lowest_loss,
            "stage": self._stage,
            "recent": list(self._recent),
            "best": self._best,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._bad = dict(state["bad"])
        self._lowest_entropy = state["lowest_entropy"]
        self._lowest_loss = state["lowest_loss"]
        self._stage = state["stage"]
        self._recent = deque((float(rate), int(count)) for rate, count in state["recent"])
        self._best = state["best"]
