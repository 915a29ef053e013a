"""codegym: code synthesis as a reinforcement-learning environment.

Importing this loads neither torch nor transformers, and registers the environments' ids with
Gymnasium as strings.
"""

import importlib
from typing import TYPE_CHECKING, Any

from codegym.errors import CodegymError
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.registration import register_environments
from codegym.sandbox.limits import Limits
from codegym.tasks.task import AssertionCase, CallCase, StdioCase, Task, TestSuite
from codegym.version import __version__ as __version__

if TYPE_CHECKING:
    from codegym.grading.judge import judge, judge_many
    from codegym.sandbox import Sandbox, make_sandbox
    from codegym.sources import TaskSource, load_tasks

register_environments()

# Imported at first use, so that `import codegym` stays light.
_LAZY = {
    "judge": "codegym.grading.judge",
    "judge_many": "codegym.grading.judge",
    "Sandbox": "codegym.sandbox",
    "make_sandbox": "codegym.sandbox",
    "TaskSource": "codegym.sources",
    "load_tasks": "codegym.sources",
}

__all__ = [
    "AssertionCase",
    "CallCase",
    "CaseResult",
    "CodegymError",
    "Limits",
    "Outcome",
    "Sandbox",
    "StdioCase",
    "Task",
    "TaskSource",
    "TestSuite",
    "Verdict",
    "judge",
    "judge_many",
    "load_tasks",
    "make_sandbox",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
