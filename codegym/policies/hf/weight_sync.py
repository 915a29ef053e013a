"""Weight sync: how a server that writes for a policy gets the weights it has learnt.

Adapters are saved in a folder that both sides see, and loaded there under a new name. Whole models
go to vLLM through its weight-transfer API (NCCL, from the GPU of the policy), and to SGLang through
a folder. All of it was tested against a fake server only, and NCCL against a fake vllm package.
"""

import shutil
import socket
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from codegym.errors import ConfigError
from codegym.policies.hf.http_server import HTTPServer
from codegym.policies.hf.rescoring import EngineError, EnginePolicy


class WeightSync(Protocol):
    """Brings the present weights of a policy to a server."""

    def bring(self, policy: EnginePolicy) -> str:
        """Bring the weights, if they have changed.

        Returns:
            Name under which the server knows them; "" for the model it was started with.
        """


class FixedWeights:
    """A server whose weights never change: the policy must be as it was opened."""

    def bring(self, policy: EnginePolicy) -> str:
        """Refuse a policy that has learnt.

        Raises:
            ConfigError: Its weights are newer than the server's.
        """
        if policy.version > 0:
            raise ConfigError(
                "the server has older weights than the policy",
                value=policy.version,
                expected="sync=adapters with lora, or sync=weights",
                cure="leave sync out: it is then chosen by what the policy trains",
            )
        return ""


class AdapterSync:
    """Adapters, through a folder that both sides see.

    vLLM is started with ``--enable-lora`` and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``, SGLang with
    ``--enable-lora`` and ``--max-lora-rank``.

    Args:
        server: The server.
        folder: Where the adapters are put.
        prefix: Of the paths of the two requests: ``/v1`` for vLLM, "" for SGLang.
    """

    def __init__(self, server: HTTPServer, folder: Path, *, prefix: str) -> None:
        self._server, self._folder, self._prefix = server, folder, prefix
        self._name, self._version = "", -1

    def bring(self, policy: EnginePolicy) -> str:
        """Save the adapters, load them on the server, and remove the former ones.

        Raises:
            ConfigError: The policy has no adapters.
            EngineError: The server refuses.
        """
        if not policy.adapted:
            raise ConfigError("there are no adapters to bring", cure="lora=8, or sync=weights")
        if policy.version == self._version:
            return self._name
        name = f"codegym-{policy.version}"
        folder = self._folder.resolve() / name
        policy.save(folder)
        body = {"lora_name": name, "lora_path": str(folder)}
        _require(self._server.ask(f"{self._prefix}/load_lora_adapter", body))
        if self._name:
            body = {"lora_name": self._name}
            _require(self._server.ask(f"{self._prefix}/unload_lora_adapter", body))
            shutil.rmtree(self._folder / self._name, ignore_errors=True)
        self._name, self._version = name, policy.version
        return name


class FolderSync:
    """Whole models, through a folder that an SGLang server loads (``/update_weights_from_disk``).

    Args:
        server: The server.
        folder: Where the model is put; both sides see it.
    """

    def __init__(self, server: HTTPServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._version = 0

    def bring(self, policy: EnginePolicy) -> str:
        """Save the model and let the server load it, if it has learnt since.

        Raises:
            EngineError: The server refuses.
        """
        if policy.version == self._version:
            return ""
        folder = self._folder.resolve() / "weights"
        policy.save(folder)
        version = str(policy.version)
        body = {"model_path": str(folder), "weight_version": version, "flush_cache": True}
        _require(self._server.ask("/update_weights_from_disk", body))
        self._version = policy.version
        return ""


class TransferSync:
    """Whole models, through vLLM's weight-transfer API over NCCL.

    The server is started with ``--weight-transfer-config '{"backend": "nccl"}'`` and
    ``VLLM_SERVER_DEV_MODE=1``; this process needs the package ``vllm`` and the policy on a GPU.
    vLLM's own trainer engine opens the group and sends; the methods below are the control plane it
    asks for (``VLLMWeightSyncClient``). Source: vllm 0.33, ``distributed/weight_transfer``.

    Args:
        server: The server.
        port: Port on this machine where the group meets; 0 chooses a free one.
    """

    def __init__(self, server: HTTPServer, *, port: int = 0) -> None:
        self._server, self._port = server, port
        self._engine: Any = None
        self._version = 0

    def bring(self, policy: EnginePolicy) -> str:
        """Send every weight, if the policy has learnt since; requests wait meanwhile.

        Raises:
            ConfigError: vllm is not installed, or the policy is not on a GPU.
            EngineError: The server refuses.
        """
        if policy.version == self._version:
            return ""
        # The server's caches of keys and values are of the former weights; a pause drops them.
        self._server.ask("/pause?mode=wait", {})
        try:
            with policy.folded() as model:
                if self._engine is None:
                    self._engine = self._open(policy, model)
                self._engine.send_weights()
        finally:
            self._server.ask("/resume", {})
        self._version = policy.version
        return ""

    def _open(self, policy: EnginePolicy, model: Any) -> Any:
        try:
            from vllm.distributed.weight_transfer import (
                ModuleSource,
                WeightTransferTrainerFactory,
            )
            from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo
        except ModuleNotFoundError as error:
            raise ConfigError(
                "whole weights go to a vLLM server by the package vllm, which is not installed",
                cure="pip install vllm; or train adapters (lora=8), which go through a folder",
            ) from error
        if policy.device.type != "cuda":
            raise ConfigError(
                "NCCL sends weights from a GPU",
                value=str(policy.device),
                cure="train adapters (lora=8), which go through a folder",
            )
        workers = int(self._server.ask("/get_world_size")["world_size"])
        info = NCCLTrainerInitInfo(
            master_address=_own_address(self._server.url),
            master_port=self._port or _free_port(),
            world_size=workers + 1,
            rank=0,
        )
        return WeightTransferTrainerFactory.trainer_init(
            info, client=self, source=ModuleSource(model)
        )

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Let the server join the group."""
        self._server.ask("/init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        """Let the server expect weights."""
        self._server.ask("/start_weight_update", {})

    def update_weights(self, update_info: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the server receive weights of these names and shapes."""
        self._server.ask("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Let the server use the weights."""
        body = {} if weight_version is None else {"weight_version": weight_version}
        self._server.ask("/finish_weight_update", body)


def _require(answer: Any) -> None:
    """Raise what a server answered that reports its failures in the body."""
    if isinstance(answer, dict) and answer.get("success") is False:
        detail = answer.get("message") or answer.get("error_message")
        raise EngineError(f"the server did not take the weights: {detail}")


def _own_address(url: str) -> str:
    """Return the address of this machine as the server sees it."""
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # No packet is sent: the system only chooses the interface.
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 80))
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
