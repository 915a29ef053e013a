"""CodeRL's coarse reward: a value for each of the four ways a program ends."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Outcome, Verdict
from codegym.rewards.reward import Reward

_DID_NOT_COMPILE = frozenset({Outcome.SYNTAX_ERROR, Outcome.NO_PROGRAM})
_ENDED = frozenset({Outcome.PASSED, Outcome.FAILED})


def coarse_outcome(outcome: Outcome) -> Outcome:
    """Return which of CodeRL's four outcomes a program's outcome belongs to.

    PASSED, FAILED, RUNTIME_ERROR for every program that did not finish, SYNTAX_ERROR for every text
    that does not compile.
    """
    if outcome in _DID_NOT_COMPILE:
        return Outcome.SYNTAX_ERROR
    return outcome if outcome in _ENDED else Outcome.RUNTIME_ERROR


@registry.plugin("rewards", "coderl")
class Coarse(Reward):
    """+1 passed, -0.3 a wrong answer, -0.6 did not finish, -1 does not compile.

    Args:
        passed: For a program that passes every test.
        failed: For a program that finishes every test, some with a wrong answer.
        runtime_error: For a program that raises, or exhausts time, memory or output.
        syntax_error: For a text that does not compile, or is empty.

    Source: CodeRL (2207.01780), section 3.2; the same in RLTF (2307.04349), equation 4.
    """

    def __init__(
        self,
        *,
        passed: float = 1.0,
        failed: float = -0.3,
        runtime_error: float = -0.6,
        syntax_error: float = -1.0,
    ) -> None:
        self._values = {
            Outcome.PASSED: float(passed),
            Outcome.FAILED: float(failed),
            Outcome.RUNTIME_ERROR: float(runtime_error),
            Outcome.SYNTAX_ERROR: float(syntax_error),
        }
        self.low, self.high = min(self._values.values()), max(self._values.values())

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the value of the program's outcome, which is its gravest case's."""
        return self._values[coarse_outcome(verdict.outcome)]

    def __repr__(self) -> str:
        settings = {str(outcome): value for outcome, value in self._values.items()}
        return f"coderl({', '.join(f'{name}={value!r}' for name, value in settings.items())})"
