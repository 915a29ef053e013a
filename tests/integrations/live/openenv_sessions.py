"""Serves an environment on a free port and plays eight sessions side by side: argument 1, tasks."""

import asyncio
import json
import socket
import sys
import threading

import uvicorn

from codegym.integrations.openenv import CodegymClient, ProgramAction, server_app
from codegym.sources import load_tasks

TASKS, FAULTY = sys.argv[1:]
SESSIONS = 8


def served(app):
    """Serve an application from a thread; return its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def played(url, task, together):
    async with CodegymClient(url) as env:
        await env.reset(task_id=task.task_id)
        first = await env.step(ProgramAction(program="    return None\n"))
        # Every session is open before any goes on.
        await together.wait()
        last = await env.step(ProgramAction(program=task.canonical_solution))
        state = await env.state()
    return first.reward, first.done, last.reward, last.done, state.step_count


async def refused(url, **given):
    async with CodegymClient(url) as env:
        try:
            await env.reset(**given)
            await env.step(ProgramAction(program="    return x + 1\n"))
        except Exception as error:
            return type(error).__name__, str(error)[:200]


async def main():
    url, source = served(server_app(TASKS, sessions=SESSIONS)), load_tasks(TASKS)
    for _ in range(200):
        try:
            async with CodegymClient(url) as env:
                await env.reset(seed=0)
            break
        except ConnectionError:
            await asyncio.sleep(0.1)
    together = asyncio.Barrier(SESSIONS)
    tasks = [source[number] for number in range(SESSIONS)]
    plays = await asyncio.gather(*(played(url, task, together) for task in tasks))
    faulty = served(server_app(FAULTY))
    await asyncio.sleep(1)
    errors = [await refused(url, task_id="nope"), await refused(faulty, task_id="faulty")]
    print(json.dumps({"plays": plays, "errors": errors}))


asyncio.run(main())
