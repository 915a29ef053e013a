"""``codegym bench hf-sampling``: an hf policy's sampling beside transformers' ``generate``.

Both write the same number of tokens for the same prompts with the same random model, in turn, in
processor time. Ours also computes log-probabilities and values, which learning needs; transformers
does not.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from codegym.bench.random_model import build_random_model
from codegym.bench.ratios import Figure, compare, ratio_table
from codegym.measuring.output import Output, with_output
from codegym.policies.hf.engines import padded_left
from codegym.policies.hf.hf_config import HFConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policies.hf.prompting import Prompting

_PROMPT = (64, 192)


def prompts_of(count: int, words: int) -> list[list[int]]:
    """Return random prompts of 64 to 192 tokens, about as HumanEval's."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, words, rng.integers(*_PROMPT, endpoint=True)).tolist() for _ in range(count)
    ]


def tokens_per_cpu_second(work: Callable[[], int], turns: int) -> float:
    """Return how many tokens some work writes in a second of the processor."""
    done, start = 0, time.process_time()
    for _ in range(turns):
        done += work()
    return done / (time.process_time() - start)


def ours(policy: HFPolicy, prompts: list[list[int]], samples: int, budget: int) -> int:
    """Write programs; return the number of tokens."""
    written = policy.generate(prompts, n=samples, budget=budget)
    return sum(len(actions) for actions in written.actions)


@torch.inference_mode()
def theirs(model: Any, prompts: list[list[int]], samples: int, budget: int) -> int:
    """Let transformers write as many tokens for the same prompts, never the end."""
    ids, mask = padded_left(prompts)
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=budget,
        min_new_tokens=budget,
        num_return_sequences=samples,
        do_sample=True,
        top_k=0,
        pad_token_id=0,
    )
    return int(out.shape[0] * (out.shape[1] - ids.shape[1]))


def figures_of(model: Path, *, samples: int, budget: int, turns: int, repeats: int) -> list[Figure]:
    """Compare at 16 and at 64 rows."""
    from transformers import AutoModelForCausalLM

    config = HFConfig(max_tokens=2048, prompting=Prompting(stops=()))
    policy = HFPolicy.open(str(model), config, seed=0)
    # An end token would end rows early on our side alone.
    policy.tokenizer.end_id = policy.tokenizer.model_size + 1
    plain: Any = AutoModelForCausalLM.from_pretrained(model)
    plain.eval()
    found = []
    for rows in (16, 64):
        prompts = prompts_of(rows // samples, policy.tokenizer.model_size)

        def we(prompts: list[list[int]] = prompts) -> float:
            return tokens_per_cpu_second(lambda: ours(policy, prompts, samples, budget), turns)

        def they(prompts: list[list[int]] = prompts) -> float:
            return tokens_per_cpu_second(lambda: theirs(plain, prompts, samples, budget), turns)

        we(), they()
        found.append(
            compare(
                f"{rows} rows, {samples} for a prompt, transformers' generate",
                we,
                they,
                repeats=repeats,
                unit="tokens/cpu s",
                at_least=1.0,
            )
        )
    return found


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the model.  [default: a random one, Qwen2-like]",
)
@click.option("--samples", default=8, show_default=True, help="Programs for each prompt.")
@click.option("--budget", default=64, show_default=True, help="Tokens of a program.")
@click.option("--turns", default=1, show_default=True, help="Generations of one measure.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each pair of measures.")
@click.option("--threads", default=1, show_default=True, help="Torch's threads.")
@with_output
def command(
    model: Path | None,
    samples: int,
    budget: int,
    turns: int,
    repeats: int,
    threads: int,
    output: Output,
) -> None:
    """Measure sampling from a pretrained model against transformers' generate."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = model or Path(name) / "model"
            if model is None:
                build_random_model(folder)
            figures = figures_of(
                folder, samples=samples, budget=budget, turns=turns, repeats=repeats
            )
    finally:
        torch.set_num_threads(before)
    output.document([asdict(figure) for figure in figures])
    output.table("figures", ratio_table(figures, "codegym bench hf-sampling, processor time"))
