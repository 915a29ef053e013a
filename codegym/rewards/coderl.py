"""CodeRL's coarse reward: four values, one for each way a program ends."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Outcome, Verdict
from codegym.rewards.reward import Reward

DID_NOT_COMPILE = frozenset({Outcome.SYNTAX_ERROR, Outcome.NO_PROGRAM})
DID_NOT_FINISH = frozenset(
    {Outcome.RUNTIME_ERROR, Outcome.TIMEOUT, Outcome.MEMORY, Outcome.OUTPUT_LIMIT}
)


def worst(verdict: Verdict) -> Outcome:
    """Return the gravest way in which a case ended, whichever came first.

    RLTF's and CodeRL's executors file a program under its gravest case: not compiling, then not
    finishing, then a wrong answer. RUNTIME_ERROR stands for everything that did not finish.
    """
    outcomes = {verdict.outcome, *(case.outcome for case in verdict.cases)}
    if outcomes & DID_NOT_COMPILE:
        return Outcome.SYNTAX_ERROR
    if outcomes & DID_NOT_FINISH:
        return Outcome.RUNTIME_ERROR
    return Outcome.FAILED if Outcome.FAILED in outcomes else Outcome.PASSED


@registry.plugin("rewards", "coderl")
class Coarse(Reward):
    """+1 passed, -0.3 a wrong answer, -0.6 did not finish, -1 does not compile.

    Args:
        passed: For a program that passes every test.
        failed: For one that finishes every test, some with a wrong answer.
        runtime_error: For one that raises, or exhausts time, memory or output.
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
        """Return the value of the gravest case."""
        return self._values[worst(verdict)]

    def __repr__(self) -> str:
        settings = {str(outcome): value for outcome, value in self._values.items()}
        return f"coderl({', '.join(f'{name}={value!r}' for name, value in settings.items())})"
