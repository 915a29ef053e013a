"""Limits: the bounds of one run of one program. The sandbox enforces them."""

from dataclasses import dataclass

from codegym.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run of one program over all its test cases.

    Attributes:
        wall_s: Elapsed seconds for the whole run.
        cpu_s: Processor seconds for the whole run; the fairer limit on a loaded machine.
        memory_bytes: Address space of the program's process.
        output_bytes: Bytes of standard output and replies together.
    """

    wall_s: float = 10.0
    cpu_s: float = 5.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"limit {name!r} is unusable", value=value, expected="> 0")
