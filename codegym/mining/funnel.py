"""Funnel: counts how many functions pass each stage, and why the others stop."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# The stages that a function must pass, in order.
STAGES = (
    "returns a value", "documented", "typed", "self-contained", "pure", "new", "runs",
    "informative", "strong", "deterministic", "distinct",
)  # fmt: skip
KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """The result of mining a function.

    Attributes:
        key: Stable name of the function.
        stage: The stage that it fails, or ``kept``.
        reason: The reason in words.
        tree: Digest of its normalised tree, "" if it stops earlier.
        behaviour: Digest of its behaviour, "" if the behaviour says too little.
        prompt: Digest of its prompt, "" if it stops earlier.
    """

    key: str
    stage: str
    reason: str = ""
    tree: str = ""
    behaviour: str = ""
    prompt: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fate as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Funnel:
    """Counts of fates."""

    found: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, fate: Fate) -> None:
        """Count a function."""
        self.found += 1
        self.stopped[fate.stage] += 1
        if fate.stage != KEPT:
            self.reasons[fate.stage, fate.reason.partition(":")[0]] += 1

    @property
    def kept(self) -> int:
        """Number of functions that became tasks."""
        return self.stopped[KEPT]

    def rows(self) -> Iterator[tuple[str, int, int, str]]:
        """Yield (stage, number passed, number stopped, the most common reasons)."""
        left = self.found
        yield "found", left, 0, ""
        for stage in STAGES:
            left -= self.stopped[stage]
            common = Counter({why: n for (at, why), n in self.reasons.items() if at == stage})
            reasons = ", ".join(f"{why} {number}" for why, number in common.most_common(3))
            yield stage, left, self.stopped[stage], reasons
