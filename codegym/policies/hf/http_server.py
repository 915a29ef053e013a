"""Requests to a server of language models, in JSON over HTTP."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from codegym.policies.hf.rescoring import EngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPServer:
    """A server's address.

    Attributes:
        url: Root of the server, such as ``http://127.0.0.1:8000``.
        timeout_s: Seconds to wait for an answer.
        api_key: Sent as bearer token, if not "".
    """

    url: str
    timeout_s: float = 600.0
    api_key: str = ""

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post a body, or get a path where there is none; return the answer.

        Args:
            path: Path after the root.
            body: Object to post.

        Returns:
            What the JSON of the answer holds; {} for an answer that is plain text.

        Raises:
            EngineError: The server cannot be reached, or refuses.
        """
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:200]
            error.close()
            raise EngineError(f"the server refused {path}: {error.code} {detail}") from None
        except (OSError, ValueError) as error:
            raise EngineError(
                f"the server cannot be reached: {error}", value=request.full_url
            ) from error
        return json.loads(text) if text.startswith(("{", "[")) else {}
