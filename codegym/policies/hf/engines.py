"""Engines: what writes the tokens of an hf policy when this process's own loop does not.

An engine returns tokens. Log-probabilities and values are computed here afterwards, in one pass of
the policy that learns from them: a server knows no value head, and its own log-probabilities
differ in precision and in what its temperature applies to.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.errors import CodegymError, ConfigError
from codegym.policies.decoding.decode_loop import check_prompts
from codegym.policies.decoding.token_sampling import Drawing
from codegym.policy import Generation
from codegym.trajectory import Batch

if TYPE_CHECKING:
    from codegym.policies.hf.hf_policy import HFPolicy

_ROWS = 32


class EngineError(CodegymError):
    """An engine could not be reached, or answered something else than tokens."""


class Engine(Protocol):
    """Writes programs for a policy."""

    def generate(
        self,
        policy: "HFPolicy",
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        drawing: Drawing,
        rng: torch.Generator,
    ) -> Generation:
        """Write ``n`` programs for each prompt; see ``Policy.generate``."""


class TransformersEngine:
    """``generate`` of transformers itself: for its own kinds of decoding, and to compare with.

    It draws from torch's global generator, which is seeded from ``rng`` and put back afterwards.

    Args:
        rows: Programs written at once.
        options: Further arguments of transformers' ``generate``.
    """

    def __init__(self, *, rows: int = 64, options: dict[str, Any] | None = None) -> None:
        self._rows, self._options = rows, dict(options or {})

    @torch.inference_mode()
    def generate(
        self,
        policy: "HFPolicy",
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        drawing: Drawing,
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
                written += self._write(policy, model, chunk, n=n, budget=budget, drawing=drawing)
        return rescore(policy, prompts, written, n=n, budget=budget, drawing=drawing)

    def _write(
        self,
        policy: "HFPolicy",
        model: Any,
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        drawing: Drawing,
    ) -> list[list[int]]:
        width = max(len(prompt) for prompt in prompts)
        # Where it pads, transformers writes an id of the model's own; ours may be none of them.
        ids = torch.zeros(len(prompts), width, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        settings: dict[str, Any] = {"do_sample": False}
        if not drawing.deterministic:
            settings = {
                "do_sample": True,
                "temperature": drawing.temperature,
                "top_p": drawing.top_p,
                "top_k": 0,
            }
        count = n
        if drawing.deterministic:
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
    """Where a vLLM server answers, and how it gets new weights.

    Attributes:
        url: Its root, such as ``http://127.0.0.1:8000``.
        model: Name of the base model there.
        adapters: Folder both sides see, where adapters are put for the server to load; "" for a
            server whose weights never change.
        timeout_s: For one answer.
        api_key: Sent as bearer token, if not "".
    """

    url: str
    model: str
    adapters: str = ""
    timeout_s: float = 600.0
    api_key: str = ""


class ServerEngine:
    """A vLLM server, through its OpenAI-compatible completions with token ids both ways.

    The server is started with ``--enable-lora`` and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``;
    whenever the policy's version has risen, its adapters are saved and loaded there under a new
    name, and the old ones are unloaded.

    Args:
        config: Where it answers.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._version = -1
        self._name = config.model

    def generate(
        self,
        policy: "HFPolicy",
        prompts: Sequence[Sequence[int]],
        *,
        n: int,
        budget: int,
        drawing: Drawing,
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
            "temperature": 0.0 if drawing.deterministic else drawing.temperature,
            "top_p": 1.0 if drawing.deterministic else drawing.top_p,
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
        return rescore(policy, prompts, written, n=n, budget=budget, drawing=drawing)

    def _tokens(self, choice: dict[str, Any], end_id: int, budget: int) -> list[int]:
        tokens = [int(token) for token in choice["token_ids"]]
        # Servers differ in whether the token that stopped them is among the answer's.
        if choice["finish_reason"] == "stop" and tokens[-1:] != [end_id] and len(tokens) < budget:
            tokens.append(end_id)
        return tokens

    def _bring_weights(self, policy: "HFPolicy") -> None:
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


@torch.no_grad()
def rescore(
    policy: "HFPolicy",
    prompts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    *,
    n: int,
    budget: int,
    drawing: Drawing,
) -> Generation:
    """Cut tokens at their end, and compute their log-probabilities and values.

    Args:
        policy: Who is taken to have written them.
        prompts: What they continue.
        written: Prompt-major tokens, whatever follows an end token included.
        n: Programs per prompt.
        budget: Most tokens of a program.
        drawing: How the engine drew them; the log-probabilities are those of its distributions.
    """
    cut = [_cut(policy, prompts[row // n], tokens, budget) for row, tokens in enumerate(written)]
    finished = np.array([bool(tokens[-1] == policy.tokenizer.end_id) for tokens in cut])
    log_probs: list[NDArray[np.float32]] = []
    values: list[NDArray[np.float32]] = []
    top_p = 1.0 if drawing.deterministic else drawing.top_p
    for start in range(0, len(cut), _ROWS):
        batch = _batch(policy, prompts, cut[start : start + _ROWS], first=start, n=n)
        scored = policy.evaluate(batch, temperature=drawing.temperature, top_p=top_p)
        for source, target in ((scored.log_probs, log_probs), (scored.values, values)):
            rows = source.float().cpu().numpy()
            target.extend(row[:length] for row, length in zip(rows, batch.lengths, strict=True))
    return Generation(actions=cut, log_probs=log_probs, values=values, finished=finished)


def _cut(
    policy: "HFPolicy", prompt: Sequence[int], tokens: Sequence[int], budget: int
) -> NDArray[np.int64]:
    end = policy.tokenizer.end_id
    kept = list(tokens)[: min(budget, policy.max_tokens - len(prompt))]
    if end in kept:
        kept = kept[: kept.index(end) + 1]
    before = policy.first_stop(kept)
    if before >= 0:
        kept = [*kept[:before], end]
    if not kept:
        raise EngineError("the engine wrote no token", expected="at least one")
    return np.array(kept, dtype=np.int64)


def _batch(
    policy: "HFPolicy",
    prompts: Sequence[Sequence[int]],
    actions: Sequence[NDArray[np.int64]],
    *,
    first: int,
    n: int,
) -> Batch:
    pad = policy.tokenizer.pad_id
    chosen = [prompts[(first + row) // n] for row in range(len(actions))]
    starts = np.array([len(prompt) for prompt in chosen], dtype=np.int64)
    lengths = np.array([len(row) for row in actions], dtype=np.int64)
    tokens = np.full((len(actions), int((starts + lengths).max())), pad, dtype=np.int64)
    padded = np.full((len(actions), int(lengths.max())), pad, dtype=np.int64)
    for row, (prompt, ids) in enumerate(zip(chosen, actions, strict=True)):
        tokens[row, : len(prompt)] = prompt
        tokens[row, len(prompt) : len(prompt) + len(ids)] = ids
        padded[row, : len(ids)] = ids
    blank = np.zeros(padded.shape, dtype=np.float32)
    return Batch(
        tokens=tokens,
        prompt_lengths=starts,
        lengths=lengths,
        actions=padded,
        mask=np.arange(padded.shape[1]) < lengths[:, None],
        log_probs=blank,
        values=blank,
        credit=blank,
        rewards=blank[:, 0],
        temperatures=np.ones(len(actions), dtype=np.float32),
    )
