"""Engines: write the tokens of an hf policy in place of this process's decode loop.

An engine returns tokens. Log-probabilities and values are computed here afterwards, in one pass of
the policy that learns from them: a server knows no value head, and its log-probabilities differ in
precision and in what its temperature applies to.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from codegym.errors import ConfigError
from codegym.policies.decoding.decode_loop import check_prompts
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.hf.rescoring import EngineError, EnginePolicy, rescore
from codegym.policy import Generation


class Engine(Protocol):
    """Writes programs for a policy."""

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
        """Write ``n`` programs for each prompt; see ``Policy.generate``."""


class TransformersEngine:
    """The ``generate`` of transformers: for its other kinds of decoding, and to compare with.

    It draws from torch's global generator, which is seeded from ``rng`` and restored afterwards.

    Args:
        rows: Programs written at once.
        options: Further arguments of transformers' ``generate``.
    """

    def __init__(self, *, rows: int = 64, options: dict[str, Any] | None = None) -> None:
        self._rows, self._options = rows, dict(options or {})

    @torch.inference_mode()
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
        """Write programs, a few prompts at a time."""
        check_prompts(prompts, n=n, budget=budget, max_tokens=policy.max_tokens)
        seed = int(torch.randint(2**62, (1,), generator=rng, device=rng.device))
        written: list[list[int]] = []
        cuda = [policy.device] if policy.device.type == "cuda" else []
        with policy.folded() as model, torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            per_chunk = max(1, self._rows // n)
            for start in range(0, len(prompts), per_chunk):
                chunk = prompts[start : start + per_chunk]
                written += self._write(policy, model, chunk, n=n, budget=budget, sampler=sampler)
        return rescore(policy, prompts, written, n=n, budget=budget, sampler=sampler)

    def _write(
        self,
        policy: EnginePolicy,
        model: Any,
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        sampler: TokenSampler,
    ) -> list[list[int]]:
        width = max(len(prompt) for prompt in prompts)
        # Left padding is masked: any id of the model will do, and our pad id may not be among them.
        ids = torch.zeros(len(prompts), width, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        settings: dict[str, Any] = {"do_sample": False}
        if not sampler.deterministic:
            settings = {
                "do_sample": True,
                "temperature": sampler.temperature,
                "top_p": sampler.top_p,
                "top_k": 0,
            }
        count = n
        if sampler.deterministic:
            count = 1
        out = model.generate(
            input_ids=ids.to(policy.device),
            attention_mask=mask.to(policy.device),
            max_new_tokens=budget,
            num_return_sequences=count,
            eos_token_id=policy.tokenizer.end_id,
            pad_token_id=policy.tokenizer.end_id,
            **settings,
            **self._options,
        )
        rows: list[list[int]] = out[:, width:].tolist()
        return [row for row in rows for _ in range(n // count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Address of a vLLM server, and how it gets new weights.

    Attributes:
        url: Root of the server, such as ``http://127.0.0.1:8000``.
        model: Name of the base model on the server.
        adapters: Folder that both sides see, where adapters are put for the server to load; "" for
            a server whose weights never change.
        timeout_s: Seconds to wait for an answer.
        api_key: Sent as bearer token, if not "".
    """

    url: str
    model: str
    adapters: str = ""
    timeout_s: float = 600.0
    api_key: str = ""


class ServerEngine:
    """A vLLM server, through its OpenAI-compatible completions, with token ids in both directions.

    The server is started with ``--enable-lora`` and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``;
    whenever the policy's version has risen, its adapters are saved and loaded there under a new
    name, and the old ones are unloaded.

    Args:
        config: Address of the server.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._version = -1
        self._name = config.model

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
        """Write programs on the server.

        Raises:
            EngineError: The server cannot be reached, refuses, or answers something else.
        """
        check_prompts(prompts, n=n, budget=budget, max_tokens=policy.max_tokens)
        self._bring_weights(policy)
        seed = int(torch.randint(2**31, (1,), generator=rng, device=rng.device))
        request = {
            "model": self._name,
            "prompt": [list(map(int, prompt)) for prompt in prompts],
            "n": n,
            "max_tokens": budget,
            "temperature": 0.0 if sampler.deterministic else sampler.temperature,
            "top_p": 1.0 if sampler.deterministic else sampler.top_p,
            "seed": seed,
            "stop_token_ids": [policy.tokenizer.end_id],
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        choices = self._post("/v1/completions", request).get("choices")
        wanted = n * len(prompts)
        if not isinstance(choices, list) or len(choices) != wanted:
            raise EngineError("the server returned another number of programs", value=choices)
        try:
            ordered = sorted(choices, key=lambda choice: int(choice["index"]))
            written = [self._tokens(choice, policy.tokenizer.end_id, budget) for choice in ordered]
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError(
                "the server returned no token ids",
                value=choices[0],
                cure="vLLM 0.10.2 or newer answers return_token_ids",
            ) from error
        return rescore(policy, prompts, written, n=n, budget=budget, sampler=sampler)

    def _tokens(self, choice: dict[str, Any], end_id: int, budget: int) -> list[int]:
        tokens = [int(token) for token in choice["token_ids"]]
        # Servers differ in whether the token that stopped them is among the answer's.
        if choice["finish_reason"] == "stop" and tokens[-1:] != [end_id] and len(tokens) < budget:
            tokens.append(end_id)
        return tokens

    def _bring_weights(self, policy: EnginePolicy) -> None:
        if policy.version == self._version:
            return
        if not self.config.adapters:
            if policy.version > 0:
                raise ConfigError(
                    "the server has older weights than the policy",
                    value=policy.version,
                    cure="give ServerConfig.adapters, a folder both see, and train with lora_rank",
                )
            self._version = policy.version
            return
        name = f"codegym-{policy.version}"
        folder = Path(self.config.adapters) / name
        policy.save(folder)
        self._post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        if self._name != self.config.model:
            self._post("/v1/unload_lora_adapter", {"lora_name": self._name})
        self._name, self._version = name, policy.version

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.config.api_key:
            headers["Authorization"] = f"Bearer {self.config.api_key}"
        request = urllib.request.Request(
            self.config.url.rstrip("/") + path, json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=self.config.timeout_s) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:200]
            error.close()
            raise EngineError(f"the server refused {path}: {error.code} {detail}") from None
        except (OSError, ValueError) as error:
            raise EngineError(
                f"the server cannot be reached: {error}", value=request.full_url
            ) from error
        if not text.startswith("{"):
            return {}
        row: dict[str, Any] = json.loads(text)
        return row
