"""NeMo-Gym: a resources server whose ``/verify`` judges programs in codegym's sandbox.

No verdict: the answer has ``mask_sample: true`` and ``failure_reason``, at the top and, where
NeMo-RL looks for it today, in ``instance_config``. ``reward`` has to be a number, and is 0.0 there:
whoever reads the reward reads the mask first. Written for NeMo-Gym 0.4.
"""

from typing import Any

from fastapi import HTTPException
from nemo_gym.base_resources_server import (
    BaseResourcesServerConfig,
    BaseRunRequest,
    BaseVerifyRequest,
    BaseVerifyResponse,
    SimpleResourcesServer,
)

from codegym.errors import CodegymError, SandboxError
from codegym.integrations.answer_grader import Summary, report_missing
from codegym.integrations.task_table import referred


class ProgramConfig(BaseResourcesServerConfig):
    """Settings of the server.

    Attributes:
        tasks: Task URI to use instead of the rows'.
        reward: Reward expression to use instead of the rows'.
    """

    tasks: str = ""
    reward: str = ""


class ProgramRunRequest(BaseRunRequest):
    """A row of the data set; ``ground_truth`` names the task."""

    ground_truth: str


class ProgramVerifyRequest(ProgramRunRequest, BaseVerifyRequest):
    """A row and the model's response."""


class ProgramVerifyResponse(BaseVerifyResponse):
    """The reward, and whether it may be used."""

    mask_sample: bool = False
    failure_reason: str | None = None
    instance_config: dict[str, Any] | None = None
    outcome: str | None = None
    pass_rate: float | None = None


class ProgramResourcesServer(SimpleResourcesServer):
    """Judges programs."""

    config: ProgramConfig

    async def verify(self, body: ProgramVerifyRequest) -> ProgramVerifyResponse:
        """Judge the program in a response.

        Raises:
            HTTPException: 422 where the row names no task, 503 where no program can be isolated.
        """
        row = body.model_dump()
        try:
            grader, task_id = referred(
                body.ground_truth, tasks=self.config.tasks, reward=self.config.reward
            )
            ending = await grader.grade(body.response.output_text or "", task_id)
        except CodegymError as error:
            status = 503 if isinstance(error, SandboxError) else 422
            raise HTTPException(status, f"{type(error).__name__}: {error}") from error
        if ending.error is not None:
            report_missing([ending])
            return ProgramVerifyResponse(
                **row,
                reward=0.0,
                mask_sample=True,
                failure_reason=f"{type(ending.error).__name__}: {ending.error}",
                instance_config={"mask_sample": True},
            )
        summary = Summary.of(ending)
        return ProgramVerifyResponse(
            **row, reward=ending.reward, outcome=summary.outcome, pass_rate=summary.pass_rate
        )


if __name__ == "__main__":
    ProgramResourcesServer.run_webserver()
