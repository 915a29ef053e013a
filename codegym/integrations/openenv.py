"""OpenEnv: an environment, its server and its client.

    app = server_app("humaneval", turns=3, sessions=8)      # uvicorn module:app
    async with CodegymClient("http://127.0.0.1:8000") as env: ...

No verdict is an error of the protocol, ``EXECUTION_ERROR``, and the client raises it as the
SandboxError that it was. Written for OpenEnv core 0.3.
"""

import re
from typing import Any
from uuid import uuid4

import numpy as np

from codegym import errors
from codegym.envs.dialogue import Conversation
from codegym.errors import CodegymError, ConfigError, EpisodeOverError, MissingExtraError
from codegym.grading.async_judge import AsyncJudge
from codegym.integrations.answer_grader import (
    AnswerGrader,
    Summary,
    demand_reward,
    run_blocking,
)
from codegym.sources import TaskSource

try:
    from openenv.core import EnvClient
    from openenv.core.client_types import StepResult
    from openenv.core.env_server.http_server import create_app
    from openenv.core.env_server.interfaces import Environment
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State
    from pydantic import Field
except ModuleNotFoundError as error:
    raise MissingExtraError("openenv", distribution="openenv-core") from error

NAME = "codegym"
_NAMED = re.compile(r"Server error: (\w+): (.*) \(code: \w+\)\Z", re.DOTALL)


class ProgramAction(Action):  # type: ignore[misc]
    """A program, or a chat model's answer that holds one."""

    program: str = Field(description="A program, or an answer with one")


class ProgramObservation(Observation):  # type: ignore[misc]
    """The task, or what became of a program."""

    task_id: str = Field(default="", description="Id of the task")
    prompt: str = Field(default="", description="What the task asks for")
    message: str = Field(default="", description="What is wrong with the program")
    turn: int = Field(default=1, ge=1, description="Number of the next program")
    outcome: str = Field(default="", description="Outcome of the program's tests")
    pass_rate: float | None = Field(default=None, description="Share of the tests that passed")


class RemoteFault(Exception):
    """An error whose text names its type, since OpenEnv's protocol carries the text alone."""

    def __init__(self, error: CodegymError) -> None:
        super().__init__(f"{type(error).__name__}: {error}")


class CodegymEnvironment(Environment):  # type: ignore[misc]
    """Tasks whose programs are judged; a program that fails may be written again.

    Args:
        grader: Tasks, reward and number of turns; shared by the sessions of a server.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, grader: AnswerGrader) -> None:
        super().__init__()
        self._grader = grader
        self._talk: Conversation | None = None
        self._state = State(episode_id=None, step_count=0)

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task_id: str | None = None,
        **passed: Any,
    ) -> ProgramObservation:
        """Show a task: the task that is named, or one drawn by the seed.

        Raises:
            RemoteFault: No task has that id, or the seed cannot be used.
        """
        try:
            self._talk = self._grader.converse(self._drawn(seed) if task_id is None else task_id)
        except CodegymError as error:
            raise RemoteFault(error) from error
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        task = self._talk.task
        return ProgramObservation(task_id=task.task_id, prompt=task.prompt)

    def _drawn(self, seed: object) -> str:
        """Return the id of a task that is drawn at random."""
        if seed is not None and (not isinstance(seed, int) or seed < 0):
            raise ConfigError("seed is unusable", value=seed, expected="an integer of 0 or more")
        source = self._grader.source
        return source[int(np.random.default_rng(seed).integers(len(source)))].task_id

    async def step_async(
        self, action: ProgramAction, timeout_s: float | None = None, **passed: Any
    ) -> ProgramObservation:
        """Judge a program.

        Raises:
            RemoteFault: There is no verdict, or no episode is under way.
        """
        try:
            return await self._step(action)
        except CodegymError as error:
            raise RemoteFault(error) from error

    def step(
        self, action: ProgramAction, timeout_s: float | None = None, **passed: Any
    ) -> ProgramObservation:
        """Judge a program; see ``step_async``."""
        return run_blocking(self.step_async(action, timeout_s))

    async def _step(self, action: ProgramAction) -> ProgramObservation:
        talk = self._talk
        if talk is None:
            raise EpisodeOverError("no episode is under way", cure="call reset() first")
        ending = await self._grader.answer(talk, action.program)
        demand_reward(ending)
        self._state.step_count += 1
        reply, summary = talk.answer(ending), Summary.of(ending)
        if reply.done:
            self._talk = None
        return ProgramObservation(
            task_id=talk.task.task_id,
            prompt=talk.task.prompt,
            message=ending.message,
            turn=talk.turn,
            outcome=summary.outcome,
            pass_rate=summary.pass_rate,
            reward=reply.reward,
            done=reply.done,
        )

    @property
    def state(self) -> State:
        """The episode's id and number of steps."""
        return self._state

    def get_metadata(self) -> EnvironmentMetadata:
        """Return the environment's name and description."""
        return EnvironmentMetadata(
            name=NAME, description=f"Programs for {self._grader.uri}, judged by their tests"
        )


def server_app(
    tasks: str | TaskSource,
    reward: str = "binary",
    *,
    turns: int = 3,
    sessions: int = 8,
    isolation: str = "auto",
    judge: AsyncJudge | None = None,
) -> Any:
    """Return the FastAPI application of an environment.

    Args:
        tasks: Task URI, or a source.
        reward: Reward expression.
        turns: Largest number of programs in an episode.
        sessions: Largest number of episodes side by side.
        isolation: Isolation of the sandbox.
        judge: A judge instead of the one that this process shares.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    grader = AnswerGrader(
        tasks, reward, turns=turns, oversized="raise", isolation=isolation, judge=judge
    )
    return create_app(
        lambda: CodegymEnvironment(grader),
        ProgramAction,
        ProgramObservation,
        env_name=NAME,
        max_concurrent_envs=sessions,
    )


class CodegymClient(EnvClient):  # type: ignore[misc]
    """Client of an environment of ``server_app``."""

    async def _send_and_receive(self, message: dict[str, Any]) -> Any:
        """Send a message; an error of codegym on the server is raised as the error that it was."""
        try:
            return await super()._send_and_receive(message)
        except RuntimeError as error:
            found = _NAMED.fullmatch(str(error))
            kind = getattr(errors, found[1], None) if found else None
            if found is None or not isinstance(kind, type) or not issubclass(kind, CodegymError):
                raise
            raise _restored(kind, found[2]) from error

    def _step_payload(self, action: ProgramAction) -> dict[str, Any]:
        return {"program": action.program}

    def _parse_result(self, payload: dict[str, Any]) -> Any:
        seen = payload.get("observation", {})
        observation = ProgramObservation(
            **seen | {"done": payload.get("done", False), "reward": payload.get("reward")}
        )
        return StepResult(observation=observation, reward=observation.reward, done=observation.done)

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)


def _restored(kind: type[CodegymError], text: str) -> CodegymError:
    """Return an error of a type with the text that it had on the server."""
    error = kind.__new__(kind, text)
    Exception.__init__(error, text)
    error.message, error.value, error.expected, error.cure = text, None, "", ""
    return error
