"""Engines: write the tokens of an hf policy in place of this process's decode loop.

An engine returns tokens. Log-probabilities and values are computed here afterwards, in one pass of
the policy that learns from them: a server knows no value head, and its log-probabilities differ in
precision and in what its temperature applies to.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from codegym.policies.decoding.decode_loop import check_prompts
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.hf.rescoring import EnginePolicy, rescore
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


def padded_left(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prompts as transformers' ``generate`` takes them: ids and mask, both (B, P) int64.

    Padding is masked: any id of the model will do, and our pad id may not be among them.
    """
    width = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


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
        ids, mask = padded_left(prompts)
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
        rows: list[list[int]] = out[:, ids.shape[1] :].tolist()
        return [row for row in rows for _ in range(n // count)]
