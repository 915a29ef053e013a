"""Messages: what an environment tells the author of a program that failed."""

from codegym.grading.verdict import Outcome, Verdict
from codegym.tasks.task import Task


def describe(verdict: Verdict, task: Task) -> str:
    """Say in a comment what is wrong with a program, without giving its tests away.

    A prompt that is the head of the program is shown again, so that the next program continues
    it as the first program did.
    """
    passed = sum(case.passed for case in verdict.cases)
    where = f" on line {verdict.error_line}" if verdict.error_line else ""
    what = verdict.outcome.value.replace("_", " ")
    if verdict.outcome is Outcome.FAILED:
        what = "wrong answer"
    reason = ": ".join(part for part in (verdict.error_type, verdict.error_message) if part)
    text = f"{what}{where}{': ' if reason else ''}{reason}"
    return (
        f"\n# The program above is not right: {' '.join(text.split())}\n"
        f"# {passed} of {len(verdict.cases)} tests passed. Write it again.\n"
        + (task.prompt if task.prompt_is_code else "")
    )
