"""Posts answers to the resources server of NeMo-Gym in examples/: arguments: its folder, tasks."""

import json
import socket
import sys
import threading
import time
from unittest.mock import MagicMock

import httpx
import uvicorn
from nemo_gym.server_utils import ServerClient

from codegym.integrations.task_table import reference
from codegym.sources import load_tasks

FOLDER, TASKS, FAULTY = sys.argv[1:]


def asked(label, answer):
    """Return the body of a request to /verify."""
    content = [{"annotations": [], "text": answer, "type": "output_text"}]
    message = {"id": "m", "content": content, "role": "assistant", "status": "completed"}
    return {
        "responses_create_params": {"input": [{"role": "user", "content": "Write it."}]},
        "response": {
            "id": "r",
            "created_at": 0.0,
            "model": "fake",
            "object": "response",
            "output": [message | {"type": "message"}],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
        },
        "ground_truth": label,
    }


def served(app):
    """Serve an application from a thread; return its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def main():
    sys.path.insert(0, FOLDER)
    from app import ProgramConfig, ProgramResourcesServer

    task = load_tasks(TASKS)[0]
    label = reference(TASKS, task.task_id, reward="pass_rate")
    config = ProgramConfig(host="127.0.0.1", port=8080, entrypoint="", name="codegym")
    server = ProgramResourcesServer(config=config, server_client=MagicMock(spec=ServerClient))
    url, found = served(server.setup_webserver()), []
    for each, answer in (
        (label, f"```python\n{task.program(task.canonical_solution)}\n```"),
        (label, "    return 7\n"),
        (reference(FAULTY, "faulty"), "    return x + 1\n"),
        (reference(TASKS, "nope"), "x"),
    ):
        reply = httpx.post(f"{url}/verify", json=asked(each, answer), timeout=60)
        body = reply.json()
        keys = ("reward", "mask_sample", "failure_reason", "detail")
        found.append([reply.status_code, *(body.get(key) for key in keys)])
    print(json.dumps(found))


main()
