"""A stand-in for a model behind OpenAI's chat API: it knows the answers of a task source.

The last user message is looked up among the requests of the tasks; the answer to every second task
is right, and the other answers are wrong. Run directly, it prints its address and serves.
"""

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import codegym
from codegym.tasks.chat_request import chat_request

WRONG = "I am not sure.\n```python\ndef {name}(*args):\n    return NotImplemented\n```"


def answers_of(tasks, count):
    """Return request -> answer for the first tasks of a source."""
    source, found = codegym.load_tasks(tasks), {}
    for index in range(min(count, len(source))):
        task = source[index]
        program = task.program(task.canonical_solution)
        right = f"Here it is.\n```python\n{program}\n```\nDone."
        found[chat_request(task.prompt)] = (
            WRONG.replace("{name}", task.entry_point) if index % 2 else right
        )
    return found


def _text(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


class Handler(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, str]] = {}
    protocol_version = "HTTP/1.1"

    def log_message(self, *parts):
        pass

    def _send(self, body, kind="application/json"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models = {"object": "list", "data": [{"id": "fake", "object": "model", "created": 0}]}
        self._send(json.dumps(models).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        users = [_text(each["content"]) for each in asked["messages"] if each["role"] == "user"]
        answer = self.answers.get(users[-1], "I do not know this task.") if users else ""
        head = {"id": "fake-1", "created": 0, "model": asked.get("model", "fake")}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        message = {"role": "assistant", "content": answer}
        if asked.get("stream"):
            choice = {"index": 0, "delta": message, "finish_reason": "stop"}
            chunk = head | {"object": "chat.completion.chunk", "choices": [choice], "usage": usage}
            text = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
            self._send(text.encode(), "text/event-stream")
            return
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        whole = head | {"object": "chat.completion", "choices": [choice], "usage": usage}
        self._send(json.dumps(whole).encode())


@contextmanager
def served(tasks, count=32):
    """Serve on a free port; yield the base URL."""
    handler = type("Handler", (Handler,), {"answers": answers_of(tasks, count)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with served(sys.argv[1]) as url:
        print(url, flush=True)
        threading.Event().wait()
