"""Cluster address: ``ray[://ADDRESS][?key=value&...]``, its options, and whether something answers.

Nothing here imports Ray.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

from codegym.errors import ClusterError, ConfigError
from codegym.settings import settings_of

# A machine that does not take a connection in this time is not there.
CONNECT_S = 5.0
# A server that has not answered a greeting in this time is none of Ray's.
ANSWER_S = 15.0
# The preface of HTTP/2 and an empty frame of settings; a frame's fourth byte is its type.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEAD_BYTES, _SETTINGS = 9, 4
Options = TypeVar("Options")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderOptions:
    """Options of the sandbox ``ray``.

    Attributes:
        address: ``HOST:PORT`` of the cluster's head, ``auto`` for a running cluster, ``local`` for
            a new one on this machine; "" takes a running cluster, else a new one. What follows
            ``ray://`` is the address of a Ray Client server, ``ray://HOST:10001``.
        isolation: Isolation on the nodes; ``auto`` is ``namespace`` where any node offers it, else
            ``landlock``. Nodes without it are left out.
        workers: Programs that run at the same time on each node; 0 for two for each CPU that Ray
            counts there, or two for each of ``cpus``.
        cpus: CPUs that Ray reserves for the grader of each node; 0 reserves none, so that
            other tasks may share the node.
        nodes: Most nodes that grade; 0 for all.
        patience_s: How long jobs wait for a node where none is left, before SandboxError.
        start_s: How long a node may take to start its grader.
        mixed: Accept nodes whose kernel, C library or processor differ from the driver's: answers
            with rounded numbers may then depend on the node.
    """

    address: str = ""
    isolation: str = "auto"
    workers: int = 0
    cpus: float = 0.0
    nodes: int = 0
    patience_s: float = 20.0
    start_s: float = 60.0
    mixed: bool = False

    def __post_init__(self) -> None:
        check_least(self, "the sandbox ray", workers=0, cpus=0, nodes=0, patience_s=0, start_s=1)
        if self.isolation.partition("?")[0].partition(":")[0] == "ray":
            raise ConfigError("a node's isolation cannot be ray", value=self.isolation)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Options of ``--ray`` in training: who writes the programs.

    Attributes:
        address: As of ``GraderOptions``.
        actors: Number of policy actors; 0 for one on each node.
        cpus: CPUs that Ray reserves for each of them; may be a fraction.
        gpus: GPUs that Ray reserves for each of them; may be a fraction.
        patience_s, start_s: As of ``GraderOptions``.
    """

    address: str = ""
    actors: int = 0
    cpus: float = 0.5
    gpus: float = 0.0
    patience_s: float = 20.0
    start_s: float = 120.0

    def __post_init__(self) -> None:
        check_least(self, "--ray", actors=0, cpus=0, gpus=0, patience_s=0, start_s=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOptions:
    """Options of ``--ray`` where whole runs are spread over a cluster.

    Attributes:
        address: As of ``GraderOptions``.
        cpus: CPUs that Ray reserves for each run; may be a fraction.
        gpus: GPUs that Ray reserves for each run; may be a fraction.
        tries: How often a run may lose its node before the comparison gives up.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    tries: int = 10

    def __post_init__(self) -> None:
        check_least(self, "--ray", cpus=0, gpus=0, tries=1)


def check_least(options: object, kind: str, **least: float) -> None:
    """Refuse numbers that are too small.

    Raises:
        ConfigError: One is.
    """
    for name, lowest in least.items():
        value = getattr(options, name)
        if not value >= lowest:
            raise ConfigError(
                f"option {name!r} of {kind} is out of range",
                value=value,
                expected=f"at least {lowest:g}",
            )


def read_options(spec: str, kind: type[Options], what: str) -> Options:
    """Read ``ray[:ADDRESS][?key=value&...]``, or ``ADDRESS[?...]``, as options of a kind.

    Args:
        spec: The text.
        kind: ``GraderOptions``, ``WriterOptions`` or ``TrialOptions``.
        what: What has these options, for messages.

    Raises:
        UnknownNameError: No such option; names the nearest.
        ConfigError: An option has no value, is given twice, or cannot be used.
    """
    head, _, query = spec.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigError(
            f"the options of {what} are unreadable",
            value=spec,
            expected="ray[://HOST:PORT][?key=value&...]",
        ) from None
    settings: dict[str, str] = dict(pairs)
    if len(settings) != len(pairs):
        raise ConfigError(f"an option of {what} is given twice", value=spec)
    if head.startswith("ray:") and not head.startswith("ray://"):
        head = head.removeprefix("ray:")
    if head not in ("ray", ""):
        if "address" in settings:
            raise ConfigError(f"{what} has two addresses", value=spec)
        settings["address"] = head
    options = settings_of(kind, settings, f"option of {what}")
    check_address(getattr(options, "address", ""))
    return options


def grader_spec(address: str) -> str:
    """Return the sandbox at an address, as ``make_sandbox`` takes it."""
    if address.startswith("ray://"):
        return address
    return f"ray?address={address}" if address else "ray"


def check_address(address: str) -> None:
    """Refuse what is no address.

    Raises:
        ConfigError: It is neither a name nor ``HOST:PORT``.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("", "auto", "local"):
        return
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError(
            "unusable address of a Ray cluster",
            value=address,
            expected="auto, local, HOST:PORT, or ray://HOST:PORT",
        )


def is_reachable(address: str) -> bool:
    """Return whether something takes connections at ``HOST:PORT`` or ``ray://HOST:PORT``."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def find_address(address: str) -> str:
    """Return where to connect: an address that takes connections, or ``local``.

    Args:
        address: As of ``GraderOptions``.

    Raises:
        ClusterError: Nothing answers there.
    """
    if address == "local":
        return address
    named = address not in ("", "auto")
    found = address if named else _running()
    if found and is_reachable(found):
        return found
    if address == "":
        return "local"
    raise ClusterError(
        "no Ray cluster answers",
        value=found or address,
        expected="the address of a running head node",
        cure="ray start --head on it; its firewall must let this machine in",
    )


def check_speaks_grpc(address: str) -> None:
    """Refuse what takes connections and is no Ray cluster; ``ray.init`` would wait for minutes.

    Ray's servers speak gRPC: like every HTTP/2 server they answer a client's greeting by a frame of
    settings (RFC 9113, section 3.4). Behind TLS nothing is checked.

    Raises:
        ClusterError: It answers otherwise, or not at all.
    """
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    answer = b""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as line:
            line.sendall(_GREETING)
            while len(answer) < _FRAME_HEAD_BYTES:
                piece = line.recv(_FRAME_HEAD_BYTES - len(answer))
                if not piece:
                    break
                answer += piece
    except OSError:
        answer = b""
    if len(answer) < _FRAME_HEAD_BYTES or answer[3] != _SETTINGS:
        raise ClusterError(
            "what answers at this address is no Ray cluster",
            value=address,
            expected="the head node's GCS, by default port 6379, or ray://HOST:10001",
            cure="see ray status on the head node",
        )


def _running() -> str:
    """Return the address of a running cluster, from RAY_ADDRESS or as ``ray start`` noted it."""
    found = os.environ.get("RAY_ADDRESS", "")
    if found and found not in ("auto", "local"):
        return found
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return note.read_text().strip()
    except OSError:
        return ""
