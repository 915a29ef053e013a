"""OpenEnv: environment and client at their signatures; a stand-in takes the place of openenv."""

import asyncio
import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest

from codegym.errors import EpisodeOverError, InvalidActionError, MissingExtraError, TaskError
from codegym.errors import SandboxError as NoVerdict
from tests.integrations.stand_ins import TASKS, broken, by_text, judge_of, right, tasks_of

NAME = "codegym.integrations.openenv"


class Fields:
    """Stands in for a pydantic model."""

    def __init__(self, **given):
        for kind in reversed(type(self).__mro__):
            for name in getattr(kind, "__annotations__", {}):
                setattr(self, name, getattr(kind, name, None))
        vars(self).update(given)


class Observation(Fields):
    done: bool = False
    reward: float | None = None


class Environment:
    def __init__(self):
        pass


class EnvClient:
    """Stands in for the client; the answers of a server are put into ``answers``."""

    async def _send_and_receive(self, message):
        raise RuntimeError(f"Server error: {self.said} (code: EXECUTION_ERROR)")


def modules():
    """Return the modules of openenv and pydantic that the integration imports."""
    made = {
        "openenv": {},
        "openenv.core": {"EnvClient": EnvClient},
        "openenv.core.client_types": {"StepResult": SimpleNamespace},
        "openenv.core.env_server": {},
        "openenv.core.env_server.http_server": {"create_app": lambda *given, **named: named},
        "openenv.core.env_server.interfaces": {"Environment": Environment},
        "openenv.core.env_server.types": {
            "Action": Fields,
            "Observation": Observation,
            "State": Fields,
            "EnvironmentMetadata": Fields,
        },
        "pydantic": {"Field": lambda default=None, **named: default},
    }
    for name, values in made.items():
        module = ModuleType(name)
        vars(module).update(values)
        yield name, module


@pytest.fixture
def openenv(monkeypatch):
    for name, module in modules():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME, None)


def environment(openenv, stand_in=by_text):
    from codegym.integrations.answer_grader import AnswerGrader

    grader = AnswerGrader(TASKS, turns=2, oversized="raise", judge=judge_of(stand_in))
    return openenv.CodegymEnvironment(grader)


def stepped(openenv, env, program):
    return asyncio.run(env.step_async(openenv.ProgramAction(program=program)))


def test_an_episode_is_a_task_and_its_programs(openenv):
    (task,) = tasks_of(1)
    env = environment(openenv)
    seen = env.reset(seed=3, task_id=task.task_id)
    assert (seen.prompt, seen.done, seen.reward) == (task.prompt, False, None)
    seen = stepped(openenv, env, "    return 1\n")
    assert (seen.reward, seen.done, seen.pass_rate, seen.turn) == (0.0, False, 0.5, 2)
    assert "1 of 2 tests passed" in seen.message
    seen = env.step(openenv.ProgramAction(program=right(task)))
    assert (seen.reward, seen.done, seen.outcome) == (1.0, True, "passed")
    assert env.state.step_count == 2
    with pytest.raises(openenv.RemoteFault, match="EpisodeOverError: no episode"):
        stepped(openenv, env, "x")


def test_a_seed_draws_a_task(openenv):
    env = environment(openenv)
    assert env.reset(seed=5).task_id == env.reset(seed=5).task_id != env.reset(seed=6).task_id
    for given in ({"seed": -1}, {"seed": "a"}, {"task_id": "nope"}):
        with pytest.raises(openenv.RemoteFault, match=r"^(ConfigError|TaskError): .*expected"):
            env.reset(**given)


def test_no_verdict_is_an_error_and_the_episode_goes_on(openenv):
    (task,) = tasks_of(1)
    env = environment(openenv, broken)
    env.reset(task_id=task.task_id)
    for _ in range(2):
        with pytest.raises(openenv.RemoteFault, match="SandboxError: the sandbox broke"):
            stepped(openenv, env, right(task))
    assert env.state.step_count == 0
    with pytest.raises(openenv.RemoteFault, match="InvalidActionError: an answer is too long"):
        stepped(openenv, env, "x" * 70_000)


def test_a_client_raises_the_error_that_the_server_met(openenv):
    client = openenv.CodegymClient()
    for said, kind in (
        ("SandboxError: the sandbox broke", NoVerdict),
        ("TaskError: no such task; got 'a'", TaskError),
        ("EpisodeOverError: x", EpisodeOverError),
        ("InvalidActionError: x\ny", InvalidActionError),
    ):
        client.said = said
        with pytest.raises(kind, match=said.partition(": ")[2]):
            asyncio.run(client._send_and_receive({}))
    for said in ("TypeError: x", "Path: x", "no name"):
        client.said = said
        with pytest.raises(RuntimeError, match=said):
            asyncio.run(client._send_and_receive({}))


def test_a_server_takes_eight_sessions(openenv):
    assert openenv.server_app(TASKS)["max_concurrent_envs"] == 8
    assert openenv.CodegymEnvironment.SUPPORTS_CONCURRENT_SESSIONS


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openenv.core", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(MissingExtraError, match="pip install openenv-core brings it"):
        importlib.import_module(NAME)
