"""Mining config: settings of a mining run."""

from dataclasses import dataclass

from codegym.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningConfig:
    """Settings of a run; the same settings on the same code give the same tasks.

    Attributes:
        seed: Seed of the drawn inputs.
        min_strength: Least share of mutants that the tests must kill, in [0, 1]. TransCoder-ST
            keeps suites above 0.9.
        licences: Licences of the code to mine; empty for all.
        window: Number of functions in progress at once.
        hypothesis: Number of inputs that Hypothesis adds for each function; needs the extra
            ``mining``.
    """

    seed: int = 0
    min_strength: float = 0.9
    licences: tuple[str, ...] = ()
    window: int = 24
    hypothesis: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_strength <= 1.0:
            raise ConfigError(
                "min_strength is not a share", value=self.min_strength, expected="0 to 1"
            )
        if self.window < 1:
            raise ConfigError(
                "no function could be in progress", value=self.window, expected="window >= 1"
            )
