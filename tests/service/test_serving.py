"""A server on the loopback interface: it drains, drops what nobody waits for, and says so."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx

from codegym.cli import root
from codegym.errors import MissingExtraError
from codegym.grading.verdict import Verdict

PROGRAMS = [{"task_id": "tiny/0", "program": f"{n}"} for n in range(200)]


class Slow:
    """A stand-in that judges when the test says so."""

    def __init__(self):
        self.started, self.release = threading.Event(), threading.Event()

    def __call__(self, pairs):
        self.started.set()
        assert self.release.wait(30)
        return [Verdict.no_program(n_cases=1) for _ in pairs]


def posted(body, **headers):
    """Return the bytes of a request."""
    data = json.dumps(body).encode()
    head = f"POST /v1/grade HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + data


def soon(condition):
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_connection_drops_its_programs(serve, stream):
    slow = Slow()
    served = serve(stand_in=slow)
    with served.running() as (_, address):
        with socket.create_connection(address) as line:
            line.sendall(posted({"programs": PROGRAMS, "stream": stream}))
            assert slow.started.wait(20) and served.service.queue.waiting > 0
        assert soon(lambda: served.service.queue.waiting == 0)
        slow.release.set()
        assert soon(lambda: served.service.queue.under_way == 0)
    assert served.service.metrics.dropped > 0
    assert served.service.metrics.verdicts < len(PROGRAMS)


def test_an_ending_service_answers_what_is_under_way_and_takes_nothing_new(serve):
    slow = Slow()
    served = serve(stand_in=slow)
    with served.running() as (server, address):
        url = f"http://127.0.0.1:{address[1]}"
        found = []
        asking = threading.Thread(
            target=lambda: found.append(
                httpx.post(f"{url}/v1/grade", json={"programs": PROGRAMS[:3]}, timeout=30)
            )
        )
        asking.start()
        assert slow.started.wait(20)
        server.end()
        assert soon(lambda: not _connects(address))
        slow.release.set()
        asking.join(20)
    (answer,) = found
    assert answer.status_code == 200 and len(answer.json()["results"]) == 3


def _connects(address):
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


def test_a_client_that_sends_half_a_body_holds_nobody_up(serve):
    served = serve()
    with served.running() as (_, address), socket.create_connection(address) as line:
        line.sendall(posted({"programs": PROGRAMS})[:200])
        url = f"http://127.0.0.1:{address[1]}/v1/grade"
        answer = httpx.post(url, json={"programs": PROGRAMS[:1]}, timeout=20)
        assert answer.status_code == 200
    assert served.service.queue.under_way == 0


def test_bytes_that_are_no_http_are_refused(serve):
    with serve().running() as (_, address), socket.create_connection(address) as line:
        line.sendall(b"\x16\x03\x01" * 100 + b"\r\n\r\n")
        assert b"400" in line.recv(100)


def test_endless_headers_are_refused(serve):
    with serve().running() as (_, address), socket.create_connection(address) as line:
        line.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000)
        line.settimeout(20)
        try:
            assert b"400" in line.recv(100) or b"431" in line.recv(100)
        except ConnectionError:
            pass  # closed without a word, which is as good


@contextmanager
def command(*words):
    """Run ``codegym serve``; yield the process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codegym", "serve", "--port", "0", "--workers", "1", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CODEGYM_SERVE_TOKEN": ""},
    )
    try:
        line = process.stderr.readline()
        found = re.match(r"serving on (http://\S+) ", line)
        assert found, line + process.stderr.read()
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def test_a_signal_ends_the_command_in_good_order():
    with command() as (process, url):
        program = "import time\ntime.sleep(1)\ndef f(x):\n    return x + 1\n"
        body = {"code": program, "language": "python"}
        found = []
        asking = threading.Thread(
            target=lambda: found.append(httpx.post(f"{url}/run_code", json=body, timeout=30))
        )
        asking.start()
        assert soon(lambda: httpx.get(f"{url}/healthz").json()["under_way"] == 1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        asking.join(20)
    assert found[0].json()["status"] == "Success"
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; saved: 1 verdicts, sent to their clients" in err
    assert "every request was answered" in err and "codegym serve --port 0" in err
    assert "verdicts served" in out


def test_a_second_signal_ends_the_command_at_once():
    with command("--drain-s", "300") as (process, url):
        body = {"code": "import time\ntime.sleep(100)", "language": "python", "run_timeout": 110}
        asking = threading.Thread(target=_ask_in_vain, args=(f"{url}/run_code", body))
        asking.start()
        assert soon(lambda: httpx.get(f"{url}/healthz").json()["under_way"] == 1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        asking.join(20)
    assert process.returncode == 128 + signal.SIGINT, err


def _ask_in_vain(url, body):
    try:
        httpx.post(url, json=body, timeout=30)
    except httpx.HTTPError:
        return


def test_the_command_refuses_to_be_open_to_other_machines():
    words = [sys.executable, "-m", "codegym", "serve", "--host", "0.0.0.0", "--port", "0"]
    environment = {name: text for name, text in os.environ.items() if "TOKEN" not in name}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 2
    assert "without a token" in done.stderr and "--token-file" in done.stderr


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in ("codegym.cli.serve", "codegym.service.serving"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"uvicorn is not installed.*\[serve\]"):
        root.main(["serve"], standalone_mode=False)
