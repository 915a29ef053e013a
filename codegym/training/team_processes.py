"""Team processes: starts the further processes of a run, and brings them together.

The leader, process 0, is the process that the user started. The others are fresh interpreters, so
that nothing of the leader's threads is copied into them; they get the run's settings, follow the
leader through the run, and write nothing into its folder.
"""

import ctypes
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from codegym.errors import CodegymError, TeamError
from codegym.learning.team import Team
from codegym.training.interrupts import SIGNALS
from codegym.training.launched import launch_size, launch_team

# A member waits for the leader's evaluations. One that is lost is noticed at once, not by this.
_PATIENCE = timedelta(days=14)
# Members end with the leader, within this.
_END_S = 60.0
# Which network interface gloo listens on; no other machine takes part.
_INTERFACE = "GLOO_SOCKET_IFNAME"
# A connection breaks a little before its process can be waited for.
_NOTICE_S = 5.0
_PR_SET_PDEATHSIG = 1


@contextmanager
def leading(size: int, job: Mapping[str, Any], *, folder: Path) -> Iterator[Team]:
    """Start the other processes of a team and lead them; end them afterwards.

    Processes that a launcher has started are met instead, and end by themselves.

    Args:
        size: Number of processes, this one included; 1 starts none.
        job: What the members' ``follow`` gets, as JSON values.
        folder: The run's folder, which an error names.

    Raises:
        TeamError: A process ended before the run did.
        CodegymError: What a process raised.
    """
    if launch_size() > 1:
        with launch_team() as team:
            yield team
        return
    if size == 1:
        yield Team()
        return
    with tempfile.TemporaryDirectory(prefix="codegym-team-") as name:
        place = Path(name)
        members = [_start(rank, size, place, job) for rank in range(1, size)]
        try:
            _wait_for(members, place, folder)
            with meeting(0, size, place) as team:
                yield team
            for member in members:
                member.wait(timeout=_END_S)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            if isinstance(error, CodegymError):
                raise
            loss = _loss(members, place, folder, broken=True)
            if loss is None:
                raise
            raise loss from error
        finally:
            for member in members:
                member.kill()
                member.wait()


def _start(rank: int, size: int, place: Path, job: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
    """Start a member; it finds its job in a file of the private folder."""
    text = json.dumps({"rank": rank, "size": size, **job})
    (place / f"job-{rank}").write_text(text, encoding="utf-8")
    with (place / f"stderr-{rank}").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "codegym.training.member", str(place), str(rank)],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        )


def _wait_for(members: "Sequence[subprocess.Popen[bytes]]", place: Path, folder: Path) -> None:
    """Wait until each member has made its policy ready to meet.

    Raises:
        TeamError, CodegymError: A member ended instead.
    """
    while not all((place / f"ready-{rank + 1}").exists() for rank in range(len(members))):
        lost = _loss(members, place, folder)
        if lost is not None:
            raise lost
        time.sleep(0.02)


def _loss(
    members: "Sequence[subprocess.Popen[bytes]]", place: Path, folder: Path, *, broken: bool = False
) -> CodegymError | None:
    """Return why a member ended early: its error, or how its process ended; None if none did.

    Args:
        members: The processes.
        place: The team's private folder.
        folder: The run's folder.
        broken: A connection broke, so that a member is about to end if it has not yet.
    """
    for rank, member in enumerate(members, start=1):
        with suppress(subprocess.TimeoutExpired):
            member.wait(timeout=_NOTICE_S if broken else 0)
        if member.poll() in (None, 0):
            continue
        report = place / f"error-{rank}"
        if report.exists():
            error = pickle.loads(report.read_bytes())
            assert isinstance(error, CodegymError)
            return error
        last = (place / f"stderr-{rank}").read_text(errors="replace").strip().splitlines()[-1:]
        return TeamError(
            f"process {rank} of the run ended before the run did",
            value=f"exit code {member.returncode}{''.join(': ' + line for line in last)}",
            cure=f"codegym train --resume {folder} goes on from what was saved last",
        )
    return None


@contextmanager
def meeting(rank: int, size: int, place: Path) -> Iterator[Team]:
    """Meet the other processes in torch's default process group, and leave it afterwards."""
    chosen, hook = os.environ.get(_INTERFACE), sys.excepthook
    os.environ[_INTERFACE] = chosen or "lo"
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{place / 'meeting'}",
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
        )
    finally:
        if chosen is None:
            del os.environ[_INTERFACE]
        # torch puts another in its place each time, which writes the rank before every line.
        sys.excepthook = hook
    try:
        yield Team(rank, size)
    finally:
        dist.destroy_process_group()


def follow(place: Path, rank: int, work: Callable[[Team, Mapping[str, Any]], None]) -> int:
    """Take part in a run until it ends; return the exit code of this process.

    Args:
        place: The team's private folder.
        rank: Number of this process.
        work: Called with the team and the job.
    """
    # Nothing of a member outlives the leader, and the leader alone answers signals.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    job = json.loads((place / f"job-{rank}").read_text(encoding="utf-8"))
    (place / f"ready-{rank}").touch()
    try:
        with meeting(rank, job["size"], place) as team:
            work(team, job)
    except CodegymError as error:
        (place / f"error-{rank}").write_bytes(pickle.dumps(error))
        return 1
    return 0
