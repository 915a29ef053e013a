"""Chat request: how a chat model is asked for the program of a task."""

import re

CONTINUE_REQUEST = "Complete this Python code.\n```python\n{prompt}\n```"
WRITE_REQUEST = "Write a Python program.\n{prompt}"
_CODE = re.compile(r"^(?:async def|def|class|import|from|@)\b", re.MULTILINE)


def is_code(prompt: str) -> bool:
    """Return whether a prompt is the head of a program, and not plain text."""
    return bool(_CODE.search(prompt))


def chat_request(
    prompt: str, continue_request: str = CONTINUE_REQUEST, write_request: str = WRITE_REQUEST
) -> str:
    """Return what a user asks a chat model for.

    Args:
        prompt: The prompt of a task.
        continue_request: Request for a prompt that is the head of a program; ``{prompt}`` is
            replaced by the prompt.
        write_request: Request for a prompt that is plain text.
    """
    request = continue_request if is_code(prompt) else write_request
    return request.replace("{prompt}", prompt.strip())
