"""codegym: code synthesis as a reinforcement-learning environment.

``import codegym`` registers the environments' ids with Gymnasium, and imports neither torch nor
transformers. What is listed here is the public interface; most of it is imported at first use.
What writes programs and learns needs ``pip install 'codegym[agents]'``.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from codegym.errors import CodegymError, MissingExtraError
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.registration import register_environments
from codegym.sandbox.limits import Limits
from codegym.tasks.task import AssertionCase, CallCase, StdioCase, Task, TestSuite
from codegym.version import __version__ as __version__

# Editors and type checkers read these imports; `_LAZY` holds the same for the interpreter.
if TYPE_CHECKING:
    from codegym.episode import Request
    from codegym.grading.async_judge import AsyncJudge
    from codegym.grading.judge import Judge, judge, judge_many
    from codegym.learning.agent import Agent
    from codegym.measuring.evaluation import EvaluationReport
    from codegym.policies.factory import make_policy
    from codegym.policy import Policy
    from codegym.rewards import Reward, make_reward
    from codegym.rollout.collect import collect
    from codegym.rollout.environments import make_env
    from codegym.rollout.program_writer import Decoding
    from codegym.sandbox import Sandbox, make_sandbox
    from codegym.service.client import GraderClient
    from codegym.sources import TaskSource, load_tasks
    from codegym.training.by_name import evaluate, make_agent
    from codegym.training.config import TrainConfig
    from codegym.training.interrupts import StoppedTrainingWarning
    from codegym.training.session import (
        TrainingReport,
        resume,
        train,
    )
    from codegym.trajectory import Batch, Trajectory

register_environments()

# torch's OpenMP reads this when it is loaded. Its threads spin while they wait for one another,
# which takes several times the processor time wherever another process wants the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Name -> the module that defines it.
_LAZY = {
    "Agent": "codegym.learning.agent",
    "AsyncJudge": "codegym.grading.async_judge",
    "Batch": "codegym.trajectory",
    "Decoding": "codegym.rollout.program_writer",
    "EvaluationReport": "codegym.measuring.evaluation",
    "GraderClient": "codegym.service.client",
    "Judge": "codegym.grading.judge",
    "Policy": "codegym.policy",
    "Request": "codegym.episode",
    "Reward": "codegym.rewards",
    "Sandbox": "codegym.sandbox",
    "StoppedTrainingWarning": "codegym.training.interrupts",
    "TaskSource": "codegym.sources",
    "TrainConfig": "codegym.training.config",
    "TrainingReport": "codegym.training.session",
    "Trajectory": "codegym.trajectory",
    "collect": "codegym.rollout.collect",
    "evaluate": "codegym.training.by_name",
    "judge": "codegym.grading.judge",
    "judge_many": "codegym.grading.judge",
    "load_tasks": "codegym.sources",
    "make_agent": "codegym.training.by_name",
    "make_env": "codegym.rollout.environments",
    "make_policy": "codegym.policies.factory",
    "make_reward": "codegym.rewards",
    "make_sandbox": "codegym.sandbox",
    "resume": "codegym.training.session",
    "train": "codegym.training.session",
}

__all__ = [
    "Agent",
    "AssertionCase",
    "AsyncJudge",
    "Batch",
    "CallCase",
    "CaseResult",
    "CodegymError",
    "Decoding",
    "EvaluationReport",
    "GraderClient",
    "Judge",
    "Limits",
    "Outcome",
    "Policy",
    "Request",
    "Reward",
    "Sandbox",
    "StdioCase",
    "StoppedTrainingWarning",
    "Task",
    "TaskSource",
    "TestSuite",
    "TrainConfig",
    "TrainingReport",
    "Trajectory",
    "Verdict",
    "collect",
    "evaluate",
    "judge",
    "judge_many",
    "load_tasks",
    "make_agent",
    "make_env",
    "make_policy",
    "make_reward",
    "make_sandbox",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name at first use.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: It needs a package that is not installed.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_LAZY[name])
    except ModuleNotFoundError as error:
        missing = MissingExtraError.of(error)
        if missing is None:
            raise
        raise missing from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
