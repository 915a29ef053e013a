"""Server engines: vLLM and SGLang write the tokens, with token ids in both directions.

Both were tested against a fake server only.
"""

from collections.abc import Sequence
from typing import Any

import torch

from codegym.policies.decoding.decode_loop import check_prompts
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.hf.http_server import HTTPServer
from codegym.policies.hf.rescoring import EngineError, EnginePolicy, rescore
from codegym.policies.hf.weight_sync import WeightSync
from codegym.policy import Generation


class VLLMEngine:
    """A vLLM server, through its OpenAI-compatible completions.

    Args:
        server: Its address.
        sync: How it gets new weights.
        model: Name of the model on the server; "" asks the server.
    """

    def __init__(self, server: HTTPServer, sync: WeightSync, *, model: str = "") -> None:
        self._server, self._sync, self._model = server, sync, model

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
        name = self._sync.bring(policy)
        if not name and not self._model:
            self._model = _first_model(self._server.ask("/v1/models"))
        request = {
            "model": name or self._model,
            "prompt": [list(map(int, prompt)) for prompt in prompts],
            "n": n,
            "max_tokens": budget,
            "seed": int(torch.randint(2**31, (1,), generator=rng, device=rng.device)),
            "stop_token_ids": [policy.tokenizer.end_id],
            "return_token_ids": True,
            "skip_special_tokens": False,
            **_sampling(sampler, top_k=0),
        }
        answer = self._server.ask("/v1/completions", request)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or len(choices) != n * len(prompts):
            raise EngineError("the server returned another number of programs", value=choices)
        try:
            ordered = sorted(choices, key=lambda choice: int(choice["index"]))
            written = [
                _tokens(choice["token_ids"], choice["finish_reason"], policy, budget)
                for choice in ordered
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError(
                "the server returned no token ids",
                value=choices[0],
                cure="vLLM 0.10.2 or newer answers return_token_ids",
            ) from error
        return rescore(policy, prompts, written, n=n, budget=budget, sampler=sampler)


class SGLangEngine:
    """An SGLang server, through its own ``/generate``.

    Args:
        server: Its address.
        sync: How it gets new weights.
    """

    def __init__(self, server: HTTPServer, sync: WeightSync) -> None:
        self._server, self._sync = server, sync

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
        """Write programs on the server, which reads a prompt of several rows once.

        Raises:
            EngineError: The server cannot be reached, refuses, or answers something else.
        """
        check_prompts(prompts, n=n, budget=budget, max_tokens=policy.max_tokens)
        name = self._sync.bring(policy)
        rows = [list(map(int, prompt)) for prompt in prompts for _ in range(n)]
        seeds = torch.randint(2**31, (len(rows),), generator=rng, device=rng.device).tolist()
        shared = {
            "max_new_tokens": budget,
            "stop_token_ids": [policy.tokenizer.end_id],
            "skip_special_tokens": False,
            **_sampling(sampler, top_k=-1),
        }
        request: dict[str, Any] = {
            "input_ids": rows,
            "sampling_params": [shared | {"sampling_seed": seed} for seed in seeds],
        }
        if name:
            request["lora_path"] = [name] * len(rows)
        answers = self._server.ask("/generate", request)
        if not isinstance(answers, list) or len(answers) != len(rows):
            raise EngineError("the server returned another number of programs", value=answers)
        try:
            written = [
                _tokens(
                    answer["output_ids"],
                    answer["meta_info"]["finish_reason"]["type"],
                    policy,
                    budget,
                )
                for answer in answers
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError("the server returned no token ids", value=answers[0]) from error
        return rescore(policy, prompts, written, n=n, budget=budget, sampler=sampler)


def _sampling(sampler: TokenSampler, *, top_k: int) -> dict[str, float]:
    """Return the settings of the distribution, all of them.

    What a request leaves out, servers take from the model's ``generation_config.json``, where many
    models cut the distribution.
    """
    greedy = sampler.deterministic
    return {
        "temperature": 0.0 if greedy else sampler.temperature,
        "top_p": 1.0 if greedy else sampler.top_p,
        "top_k": top_k,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }


def _tokens(ids: Any, reason: str, policy: EnginePolicy, budget: int) -> list[int]:
    tokens = [int(token) for token in ids]
    end_id = policy.tokenizer.end_id
    # Servers differ in whether the token that stopped them is among the answer's.
    if reason == "stop" and tokens[-1:] != [end_id] and len(tokens) < budget:
        tokens.append(end_id)
    return tokens


def _first_model(answer: Any) -> str:
    try:
        return str(answer["data"][0]["id"])
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError("the server names no model", value=answer) from error
