"""Attack finding: the result of one attack on one grader."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

from codegym import version


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one attack.

    Attributes:
        attack: Its name.
        grader: ``namespace``, ``landlock``, or the name of another grader.
        form: Test form in which it was run.
        outcome: Outcome of the attack's own verdict, or the exception that the grader raised.
        passed: Whether the grader passed the attack, where a pass is the attack's goal.
        broke: Whether the grader raised, died or hung instead of judging, or kept the driver busy.
        poisoned: Whether the probe found something, or a cache filed luck.
        spoiled: Whether the honest program failed or the wrong program passed afterwards.
        wall_s: Seconds for the attack alone.
    """

    attack: str
    grader: str
    form: str
    outcome: str = ""
    passed: bool = False
    broke: bool = False
    poisoned: bool = False
    spoiled: bool = False
    wall_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the grader withstood the attack entirely."""
        return not (self.passed or self.broke or self.poisoned or self.spoiled)

    @property
    def summary(self) -> str:
        """The parts that went wrong, or "held"."""
        parts = ("passed", "broke", "poisoned", "spoiled")
        return ", ".join(part for part in parts if getattr(self, part)) or "held"


def host_words() -> dict[str, str]:
    """Return the words about this installation that programs may contain."""
    root = Path(version.__file__).resolve().parents[1]
    return {"CHECKOUT": str(root), "PACKAGES": sysconfig.get_paths()["purelib"]}
