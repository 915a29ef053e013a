"""make_engine: an engine from a text such as ``vllm://127.0.0.1:8000``."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import torch

from codegym.errors import ConfigError, UnknownNameError
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.hf.engines import Engine, TransformersEngine
from codegym.policies.hf.http_server import HTTPServer
from codegym.policies.hf.rescoring import EnginePolicy
from codegym.policies.hf.server_engines import SGLangEngine, VLLMEngine
from codegym.policies.hf.weight_sync import (
    AdapterSync,
    FixedWeights,
    FolderSync,
    TransferSync,
    WeightSync,
)
from codegym.policy import Generation

KINDS = ("transformers", "vllm", "sglang")
# Holds the key that servers ask for; it is never part of a name, which runs write into files.
KEY_VARIABLE = "CODEGYM_ENGINE_KEY"
_OPTIONS = {
    "transformers": ("rows",),
    "vllm": ("folder", "sync", "tls", "timeout", "port"),
    "sglang": ("folder", "sync", "tls", "timeout"),
}
_SYNCS = ("auto", "adapters", "weights", "none")


def make_engine(text: str) -> Engine | None:
    """Return the engine that a text names; None for "", which is this process.

    Args:
        text: ``transformers``, ``transformers?rows=64``, ``vllm://HOST:PORT``,
            ``vllm://HOST:PORT/MODEL`` or ``sglang://HOST:PORT``. Servers take options:
            ``folder=DIR``, which both sides see, for adapters and saved weights; ``sync``:
            ``adapters``, ``weights``, ``none`` or ``auto``, which chooses by what is trained;
            ``tls=1`` for https; ``timeout=SECONDS``; ``port=PORT`` where vLLM's weight transfer
            meets. The key of a server is read from ``$CODEGYM_ENGINE_KEY``.

    Raises:
        UnknownNameError: There is no such engine, or no such option.
        ConfigError: An option is unusable, or the server's address is missing.
    """
    if not text:
        return None
    parts = urlsplit(text)
    kind = parts.scheme or parts.path
    if kind not in KINDS:
        raise UnknownNameError("engine", kind, KINDS, cure="such as vllm://127.0.0.1:8000")
    options = _options(kind, parts.query)
    if kind == "transformers":
        return TransformersEngine(rows=_number(options, "rows", 64))
    return _server_engine(kind, parts.netloc, parts.path.strip("/"), options)


def _server_engine(kind: str, address: str, model: str, options: dict[str, str]) -> Engine:
    """Return the engine of a server."""
    if not address:
        raise ConfigError("the server's address is missing", expected=f"{kind}://HOST:PORT")
    scheme = "https" if _number(options, "tls", 0) else "http"
    server = HTTPServer(
        url=f"{scheme}://{address}",
        timeout_s=_number(options, "timeout", 600),
        api_key=os.environ.get(KEY_VARIABLE, ""),
    )
    return ServerEngine(kind, server, options, model=model)


class ServerEngine:
    """A server, with the way of bringing weights that fits the policy it first writes for.

    Args:
        kind: ``vllm`` or ``sglang``.
        server: Its address.
        options: Options of the text that named it.
        model: Name of the model on the server; "" asks a vLLM server.
    """

    def __init__(
        self, kind: str, server: HTTPServer, options: dict[str, str], *, model: str = ""
    ) -> None:
        self._kind, self._server, self._options, self._model = kind, server, options, model
        self._engine: Engine | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "ServerEngine":
        """Return a fresh engine: a copy of a policy shares no connection with it."""
        return ServerEngine(self._kind, self._server, self._options, model=self._model)

    def generate(
        self,
        policy: EnginePolicy,
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        sampler: TokenSampler,
        rng: torch.Generator,
    ) -> Generation:
        """Write programs on the server; see ``Engine.generate``."""
        if self._engine is None:
            sync = self._sync(policy)
            self._engine = (
                VLLMEngine(self._server, sync, model=self._model)
                if self._kind == "vllm"
                else SGLangEngine(self._server, sync)
            )
        return self._engine.generate(policy, prompts, n=n, budget=budget, sampler=sampler, rng=rng)

    def _sync(self, policy: EnginePolicy) -> WeightSync:
        chosen = self._options.get("sync", "auto")
        if chosen == "auto":
            chosen = "adapters" if policy.adapted else "weights"
        if chosen == "none":
            return FixedWeights()
        if chosen == "weights" and policy.adapted:
            raise ConfigError(
                "adapters are brought as adapters", value="sync=weights", cure="sync=adapters"
            )
        if chosen == "adapters":
            prefix = "/v1" if self._kind == "vllm" else ""
            return AdapterSync(self._server, self._folder(), prefix=prefix)
        if self._kind == "vllm":
            return TransferSync(self._server, port=_number(self._options, "port", 0))
        return FolderSync(self._server, self._folder())

    def _folder(self) -> Path:
        if "folder" in self._options:
            return Path(self._options["folder"])
        folder = tempfile.mkdtemp(prefix="codegym-weights-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def _options(kind: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options:
        if key not in _OPTIONS[kind]:
            raise UnknownNameError(f"option of {kind}", key, _OPTIONS[kind])
    if options.get("sync", "auto") not in _SYNCS:
        raise UnknownNameError("sync", options["sync"], _SYNCS)
    return options


def _number(options: dict[str, str], key: str, default: int) -> int:
    text = options.get(key, str(default))
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{key} is unusable", value=text, expected="a whole number")
    return int(text)
