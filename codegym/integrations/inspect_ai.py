"""inspect-ai: a task of any task source, and the scorer that judges its answers.

    inspect eval codegym/programs -T tasks=humaneval --model openai/...

No verdict is an error of the sample, which then has no score. Written for inspect-ai 0.3.285.
"""

from codegym.errors import MissingExtraError
from codegym.grading.async_judge import AsyncJudge
from codegym.integrations.answer_grader import AnswerGrader, Summary, demand_reward
from codegym.integrations.task_table import chosen_tasks
from codegym.tasks.chat_request import chat_request

try:
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState, generate
except ModuleNotFoundError as error:
    raise MissingExtraError("inspect_ai", distribution="inspect-ai") from error


@scorer(metrics=[mean(), stderr()])  # type: ignore[untyped-decorator]
def verdict(
    tasks: str, reward: str = "binary", isolation: str = "auto", judge: AsyncJudge | None = None
) -> Scorer:
    """Score an answer by the tests of its task; the sample's ``task_id`` metadata names it.

    Args:
        tasks: Task URI.
        reward: Reward expression; the score's value.
        isolation: Isolation of the sandbox.
        judge: A judge instead of the one that this process shares.
    """
    grader = AnswerGrader(tasks, reward, isolation=isolation, judge=judge)

    async def score(state: TaskState, target: Target) -> Score:
        ending = await grader.grade(state.output.completion, state.metadata["task_id"])
        value = demand_reward(ending)
        assert ending.verdict is not None
        return Score(
            value=value,
            answer=ending.program,
            explanation=ending.verdict.error_message,
            metadata={
                "outcome": Summary.of(ending).outcome,
                "pass_rate": ending.verdict.pass_rate,
            },
        )

    return score


@task  # type: ignore[untyped-decorator]
def programs(
    tasks: str = "humaneval",
    reward: str = "binary",
    count: int | None = None,
    seed: int | None = None,
    isolation: str = "auto",
) -> Task:
    """Programs for the tasks of a source.

    Args:
        tasks: Task URI.
        reward: Reward expression; the score's value.
        count: Number of tasks; all by default.
        seed: Draws the tasks at random; the first ones by default.
        isolation: Isolation of the sandbox.
    """
    samples = [
        Sample(
            id=each.task_id,
            input=chat_request(each.prompt),
            target=each.canonical_solution or "",
            metadata={"task_id": each.task_id},
        )
        for _, each in chosen_tasks(tasks, count, seed)
    ]
    return Task(
        dataset=MemoryDataset(samples, name=tasks),
        solver=generate(),
        scorer=verdict(tasks, reward, isolation),
    )
