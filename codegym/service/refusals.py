"""Refusals: requests that the service does not carry out, with the status of the answer."""

from typing import Any

from codegym.errors import CodegymError, ConfigError, SandboxError, TaskError

UNPROCESSABLE = 422
FULL = 429
UNAVAILABLE = 503


class Refused(ConfigError):
    """A request that is not carried out.

    Args:
        message: What is wrong, one sentence without a full stop.
        status: HTTP status of the answer.
        retry_after_s: Seconds after which the client may ask again; None for never.
        **rest: ``value``, ``expected`` and ``cure``, as for ``CodegymError``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = UNPROCESSABLE,
        retry_after_s: int | None = None,
        **rest: Any,
    ) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        super().__init__(message, **rest)


def error_row(error: CodegymError) -> dict[str, Any]:
    """Return an error as JSON values."""
    row: dict[str, Any] = {"type": type(error).__name__, "message": error.message}
    if isinstance(error, TaskError) and error.field:
        row["field"] = error.field
    return row | {"expected": error.expected, "cure": error.cure, "text": str(error)}


def fault_row(error: CodegymError) -> dict[str, Any]:
    """Return the reason why a program has no verdict, as JSON values.

    ``retry`` says whether the same program may get a verdict later: a broken sandbox is replaced,
    a faulty test stays faulty.
    """
    retry = isinstance(error, SandboxError) and not isinstance(error, TaskError)
    return error_row(error) | {"retry": retry}


def answer_of(error: CodegymError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the JSON body and the headers of the answer that an error becomes."""
    body = {"error": error_row(error), "detail": str(error)}
    headers: dict[str, str] = {}
    status = UNPROCESSABLE
    if isinstance(error, Refused):
        status = error.status
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, SandboxError) and not isinstance(error, TaskError):
        status, headers = UNAVAILABLE, {"Retry-After": "1"}
    return status, body, headers
