"""Interrupts: one rule for Ctrl-C, SIGTERM and SIGHUP.

The first signal ends the work under way in good order, the second at once. A command that was
ended by signal n says what was saved and how to go on, and exits with 128 + n: 130 after Ctrl-C,
143 after SIGTERM, 129 after SIGHUP, so that ``codegym train && codegym eval`` stops.
"""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedTrainingWarning(UserWarning):
    """A signal ended a run early; the text says what was saved and how to go on."""


class Interrupted(BaseException):
    """Work was ended by a signal.

    No ``Exception``, as KeyboardInterrupt is none: what handles errors lets it pass.

    Args:
        number: The signal.

    Attributes:
        saved: What was saved, in words; "" if nothing was.
        again: The command that goes on; "" if there is none.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.saved = ""
        self.again = ""

    @property
    def exit_code(self) -> int:
        """Exit code of a command that the signal ended."""
        return 128 + self.number

    @property
    def message(self) -> str:
        """What happened, what was saved and how to go on."""
        return stop_message(self.number, self.saved, self.again)


def stop_message(number: int, saved: str, again: str) -> str:
    """Say in a line what stopped work, what was saved and how to go on.

    Args:
        number: The signal; 0 if the work was asked to stop in another way.
        saved: What was saved, in words; "" if nothing was.
        again: The command or call that goes on; "" if there is none.
    """
    stopped = f"stopped by {signal.Signals(number).name}" if number else "stopped"
    kept = f"saved: {saved}" if saved else "nothing was saved"
    return f"{stopped}; {kept}" + (f"; continue with: {again}" if again else "")


def _handled() -> list[signal.Signals]:
    """Return the signals to handle: none outside the main thread, no SIGHUP under nohup."""
    if threading.current_thread() is not threading.main_thread():
        return []
    hung_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [number for number in SIGNALS if hung_up or number != signal.SIGHUP]


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[Callable[[], None]]:
    """Handle the signals; yield a call that restores the former handlers."""
    before = {number: signal.getsignal(number) for number in _handled()}

    def restore() -> None:
        for number, former in before.items():
            signal.signal(number, signal.SIG_DFL if former is None else former)

    for number in before:
        signal.signal(number, handler)
    try:
        yield restore
    finally:
        restore()


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Raise ``Interrupted`` at each of the signals."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handlers(interrupt):
        yield


@contextmanager
def stopping_on_signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Turn the first of the signals into a request to stop; the second does what it did before.

    Args:
        stop: Called with the number of the first signal.
    """

    def request(number: int, frame: FrameType | None) -> None:
        stop(number)
        restore()

    with _handlers(request) as restore:
        yield


def this_command(*extra: str) -> str:
    """Return the command line of this process, with words added that it lacks."""
    words = ["codegym", *sys.argv[1:]]
    return shlex.join([*words, *(word for word in extra if word not in words)])


@contextmanager
def explained(saved: str | Callable[[], str], again: str = "") -> Iterator[None]:
    """Say of a signal in this block what was saved, and how to go on.

    Args:
        saved: What was saved, in words; "" if nothing was.
        again: The command that goes on.
    """
    try:
        yield
    except Interrupted as interrupted:
        interrupted.saved = saved if isinstance(saved, str) else saved()
        interrupted.again = again if interrupted.saved else ""
        raise
