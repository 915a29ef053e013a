"""The taskset: codegym's tasks, whose reward is the verdict of their tests."""

from collections.abc import Iterator

import verifiers.v1 as vf

from codegym.integrations.answer_grader import Summary, demand_reward
from codegym.integrations.task_table import MOST_TASKS, chosen_tasks, grader_of
from codegym.sources import load_tasks
from codegym.tasks.chat_request import chat_request


class ProgramData(vf.TaskData):
    """A task's prompt, and where its tests are found: in the source ``tasks``, under ``id``."""

    tasks: str = ""
    reward: str = "binary"


class ProgramTask(vf.Task[ProgramData]):
    """Rewards an answer by the tests of its task."""

    @property
    def key(self) -> str:
        """The task's id, which is unique in its source."""
        return self.data.id or self.hash

    @vf.reward(weight=1.0)
    async def verdict(self, trace: vf.Trace) -> float:
        """Return the reward of the last answer.

        Raises:
            SandboxError: There is no verdict; verifiers records a TaskError on the trace.
        """
        grader = grader_of(self.data.tasks, self.data.reward)
        ending = await grader.grade(trace.last_reply or "", self.data.id)
        reward = demand_reward(ending)
        summary = Summary.of(ending)
        trace.info["outcome"], trace.info["pass_rate"] = summary.outcome, summary.pass_rate
        return reward


class ProgramConfig(vf.TasksetConfig):
    """Which tasks, and how they are rewarded."""

    tasks: str = "composites?domain=small&depth=1-2&split=train"
    """Task URI of codegym."""
    reward: str = "binary"
    """Reward expression of codegym."""
    count: int | None = None
    """Number of tasks; all if None, or the first 100,000."""
    seed: int | None = None
    """Draws the tasks at random; the first ones if None."""


class ProgramTaskset(vf.Taskset[ProgramTask, ProgramConfig]):
    """Tasks of a codegym source."""

    def load(self) -> Iterator[ProgramTask]:
        """Yield the tasks."""
        config = self.config
        source = load_tasks(config.tasks)
        count = config.count or min(len(source), MOST_TASKS)
        for _, task in chosen_tasks(source, count, config.seed):
            data = ProgramData(
                id=task.task_id,
                prompt=chat_request(task.prompt),
                tasks=source.uri,
                reward=config.reward,
            )
            yield ProgramTask(data, config.task)
