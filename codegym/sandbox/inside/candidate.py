"""Candidate process: reads one program, runs it and writes replies.

Once the program's first line runs, the output of this process is untrusted; the frames before
(``READY`` and a syntax error) are trusted. In the mode ``call``, ``LOADED`` comes before the
replies. A reply is a JSON object with one key:

    r  the result, as a wire tree             u  the name of a type that cannot cross
    e  an exception: [type, nearest built-in type, message, line of the program]
    syntax  [type, message, line, offset]     load  an exception while the program was loaded
"""

import atexit
import gc
import os
import socket
import sys
from types import ModuleType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside import candidate_objects, frames, idioms, sites
from codegym.sandbox.inside.protocol import (
    ASSERTION,
    CALL,
    FILENAME,
    LOADED,
    MESSAGE_CHARS,
    READY,
    STDIO,
)

MAX_JOB_BYTES = 1 << 30
FILE = "main.py"
RETURN_OUTSIDE = "'return' outside function"
REHEARSALS = 40


# The text of the program of this fork, for the functions that read it.
_text: list[str] = []
# ``idioms`` replaces these functions.
_open, _close, _dup2 = os.open, os.close, os.dup2


def prepare() -> None:
    """Replace what programs expect and a sandbox lacks, in this process and its forks."""
    idioms.Idioms(_text)


def serve(mode: int, fds: list[int]) -> None:
    """Run the program that waits on ``fds[0]``; never returns.

    Args:
        mode: CALL, STDIO or ASSERTION.
        fds: The driver's socket, standard output, and by mode standard input or the examiner's
            socket.
    """
    driver, output, *rest = fds
    # The zygote's /dev/null is not reused: flags of an open file would outlive this program.
    null = _open("/dev/null", os.O_RDWR)
    _dup2(null, 0)
    _dup2(null, 2)
    _close(null)
    _dup2(output, 1)
    _close(output)
    if mode == STDIO:
        _dup2(rest[0], 0)
        _close(rest[0])
    text = frames.read_frame(driver, MAX_JOB_BYTES).decode("utf-8", "surrogatepass")
    job = wire.loads(frames.read_frame(driver, MAX_JOB_BYTES))
    frames.write_frame(driver, READY)
    site = sites.SITES[job.get("site", "")]
    code, fault = _compile(text, wrapped=site.wrapped and mode == STDIO)
    replies = rest[0] if mode == ASSERTION else driver
    if code is None:
        if mode == ASSERTION:
            frames.read_frame(replies, MAX_JOB_BYTES)
        frames.write_frame(replies, fault)
        os._exit(1)
    gc.enable()
    module = ModuleType("__main__" if mode == STDIO else "candidate")
    sys.modules[module.__name__] = module
    module.__file__ = FILE
    _text.append(text)
    if "before" in job:
        exec(compile(job["before"], "<setup>", "exec"), module.__dict__)
    sites.prepare(site, code, module.__dict__)
    if mode == STDIO:
        _serve_stdio(code, module, driver, site)
    elif mode == CALL:
        _serve_calls(code, module, driver, job)
    else:
        _close(driver)
        candidate_objects.serve(code, module, replies, describe, job.get("classes", []))
    os._exit(0)


def rehearse() -> None:
    """Run the path of a program so often that the interpreter specialises its code.

    Otherwise each fork would specialise it, at the cost of a page fault for every page written.
    """
    left, right = os.pipe()
    job = {"function": "f", "calls": [[[1], {}], [["a"], {}]]}
    call = wire.dumps(["call", 1, [1], {}])
    for _ in range(REHEARSALS):
        frames.write_frame(right, wire.dumps(job))
        read = wire.loads(frames.read_frame(left, MAX_JOB_BYTES))
        code, _ = _compile("def f(x):\n    return [x]\n")
        module = ModuleType("candidate")
        sys.modules[module.__name__] = module
        sites.prepare(sites.SITES[read.get("site", "")], code, module.__dict__)
        _serve_calls(code, module, right, read)
        for _ in ("loaded", *job["calls"]):
            frames.read_frame(left, MAX_JOB_BYTES)
        ours, theirs = socket.socketpair()
        for request in (b'["f"]', call, call):
            frames.write_frame(ours.fileno(), request)
        ours.shutdown(socket.SHUT_WR)
        candidate_objects.serve(code, module, theirs.fileno(), describe, [])
        ours.close()
        theirs.close()
    del sys.modules["candidate"]
    _close(left)
    _close(right)


def _compile(text: str, *, wrapped: bool = False) -> tuple[Any, bytes]:
    try:
        # Python ignores a byte order mark at the start of a program file.
        text = text.removeprefix("\ufeff")
        try:
            return compile(text, FILENAME, "exec", dont_inherit=True), b""
        except SyntaxError as error:
            if not wrapped or error.msg != RETURN_OUTSIDE:
                raise
            return sites.compile_wrapped(text, FILENAME), b""
    except SyntaxError as error:
        text = str(error.msg)[:MESSAGE_CHARS]
        fault = [type(error).__name__, text, error.lineno, error.offset]
    except BaseException as error:  # null bytes, lone surrogates, nesting beyond the parser
        fault = [type(error).__name__, str(error)[:MESSAGE_CHARS], None, None]
    return None, wire.dumps({"syntax": fault})


def _serve_calls(code: Any, module: ModuleType, fd: int, job: dict[str, Any]) -> None:
    namespace = module.__dict__
    try:
        exec(code, namespace)
        function = namespace[job["function"]]
    except BaseException as error:
        if isinstance(error, KeyError) and job["function"] not in namespace:
            error = NameError(f"name {job['function']!r} is not defined")
        frames.write_frame(fd, wire.dumps({"load": describe(error)}))
        return
    frames.write_frame(fd, LOADED)
    for args, kwargs in job["calls"]:
        frames.write_frame(fd, _call(function, args, kwargs))


def _call(function: Any, args: list[Any], kwargs: dict[str, Any]) -> bytes:
    try:
        result = function(
            *[wire.decode(tree) for tree in args],
            **{name: wire.decode(tree) for name, tree in kwargs.items()},
        )
        tree = wire.encode(result)
        # Equals wire.dumps for an int, with a tenth of the page faults.
        return b'{"r":%d}' % tree if type(tree) is int else wire.dumps({"r": tree})
    except wire.UnencodableError as error:
        return wire.dumps({"u": str(error)})
    except BaseException as error:
        return wire.dumps({"e": describe(error)})


def _serve_stdio(code: Any, module: ModuleType, fd: int, site: sites.Site) -> None:
    status = 0
    try:
        try:
            exec(code, module.__dict__)
            _finish(module)
        except SystemExit as request:
            status = 0 if site.exit_ends else _exit_status(request)
            _finish(module)
            if status:
                frames.write_frame(fd, wire.dumps({"e": describe(request)}))
    except BaseException as error:
        frames.write_frame(fd, wire.dumps({"e": describe(error)}))
        status = 1
        _flush()
    os._exit(status)


def _finish(module: ModuleType) -> None:
    # The steps of the interpreter's end that can change a program's output.
    threading = sys.modules.get("threading")
    if threading is not None:
        vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    module.__dict__.clear()
    gc.collect()
    _flush()


def _flush() -> None:
    for stream in {id(sys.stdout): sys.stdout, id(sys.__stdout__): sys.__stdout__}.values():
        if stream is not None and not stream.closed:
            stream.flush()


def _exit_status(request: SystemExit) -> int:
    if request.code is None:
        return 0
    return request.code & 0xFF if isinstance(request.code, int) else 1


def describe(error: BaseException) -> list[Any]:
    """Return ``[type, nearest built-in type, message, line of the program]`` of an exception."""
    try:
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == FILENAME:
                line = trace.tb_lineno
            trace = trace.tb_next
        kind = type(error)
        base = next(cls.__name__ for cls in kind.__mro__ if cls.__module__ == "builtins")
        try:
            message = str(error)[:MESSAGE_CHARS]
        except BaseException:
            message = "<unprintable>"
        return [kind.__name__, base, message, line]
    except BaseException:
        return ["Exception", "Exception", "<unreadable exception>", None]
