"""``codegym bench policy``: how fast programs are written and learnt from, against baselines.

The same weights are sampled by our loop and by transformers' ``generate``; the same PPO class runs
with our sequence policy and in the way that its documentation suggests. Our loop also computes
log-probabilities and values while it samples; the baselines do not. Only ratios carry over to other
machines, and only if nothing else was running on this machine.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import click
import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from transformers import AutoModelForCausalLM

from codegym.bench.env_speed import ID
from codegym.bench.episode_speed import OneTask, ungraded
from codegym.bench.ratios import Figure, compare, ratio_table
from codegym.measuring.output import Output, with_output
from codegym.policies.decoding.row_masks import NEVER
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.policies.gpt.transformer import Transformer
from codegym.policies.hf.engines import padded_left
from codegym.policies.hf.hf_model import quiet
from codegym.policies.sb3.sequence_policy import (
    SequencePolicy,
    SequenceRolloutBuffer,
    SequenceVecEnv,
)
from codegym.registration import register_environments
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Batch, Trajectory

_BUDGET = 34
_SAMPLES = 4
_MAX_TOKENS = 128
_ENVS, _NAIVE_ENVS = 64, 8


def endless(preset: str) -> GPTPolicy:
    """Make a fresh policy that never writes the end token, so that all write the same length."""
    config = GPTConfig.preset(preset, max_tokens=_MAX_TOKENS)
    policy = GPTPolicy(LexemeTokenizer(), config, seed=0)
    policy.module.transformer.head_bias[policy.tokenizer.end_id] = NEVER
    return policy


def prompts_of(count: int) -> list[list[int]]:
    """Return random prompts of 28 to 50 tokens, as the small domain has them."""
    rng = np.random.default_rng(0)
    return [rng.integers(20, 300, rng.integers(28, 51)).tolist() for _ in range(count)]


def per_second(work: Callable[[], int], seconds: float) -> float:
    """Repeat some work for a while; return the amount done per second."""
    work()
    done, start = 0, time.perf_counter()
    while True:
        done += work()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return done / elapsed


def ours(policy: GPTPolicy, rows: int) -> int:
    """Write ``rows`` programs; return the number of tokens."""
    prompts = prompts_of(max(1, rows // _SAMPLES))
    written = policy.generate(prompts, n=min(rows, _SAMPLES), budget=_BUDGET)
    return sum(len(actions) for actions in written.actions)


def theirs(model: Any, rows: int) -> int:
    """Let transformers write as many tokens for the same prompts."""
    prompts = prompts_of(max(1, rows // _SAMPLES))
    ids, mask = padded_left(prompts)
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=_BUDGET,
        num_return_sequences=min(rows, _SAMPLES),
        do_sample=True,
        top_k=0,
        eos_token_id=None,
        suppress_tokens=None,
    )
    return int(out.shape[0] * (out.shape[1] - ids.shape[1]))


def sampling_figures(preset: str, *, seconds: float, repeats: int) -> list[Figure]:
    """Compare our loop with transformers' on one core, for several numbers of rows."""
    policy = endless(preset)
    with tempfile.TemporaryDirectory() as folder, quiet():
        policy.save(Path(folder) / "policy")
        model: Any = AutoModelForCausalLM.from_pretrained(Path(folder) / "policy")
    model.eval()
    figures = []
    for rows in (1, 16, 64, 128, 256):

        def we(rows: int = rows) -> float:
            return per_second(lambda: ours(policy, rows), seconds)

        def they(rows: int = rows) -> float:
            with torch.inference_mode():
                return per_second(lambda: theirs(model, rows), seconds)

        figures.append(
            compare(
                f"{preset}, {rows} rows, transformers' generate",
                we,
                they,
                repeats=repeats,
                unit="tokens/s",
                at_least=1.3 if rows >= 16 else None,
            )
        )
    return figures


def machine_figures(preset: str, *, seconds: float, repeats: int) -> list[Figure]:
    """Compare with the machine itself: its matrix throughput, and two cores with one."""
    policy = endless(preset)
    weights = sum(weight.numel() for weight in policy.module.transformer.parameters())

    def flops() -> float:
        return per_second(lambda: ours(policy, 256), seconds) * 2 * weights / 1e9

    def peak() -> float:
        square = torch.randn(512, 512)

        def multiply() -> int:
            square.mm(square)
            return 2 * 512**3

        return per_second(multiply, seconds) / 1e9

    def on(cores: int) -> float:
        policy.sampling_config = SamplingConfig(workers=cores)
        try:
            return per_second(lambda: ours(policy, 256), seconds)
        finally:
            policy.sampling_config = SamplingConfig()

    return [
        compare(
            f"{preset}, 256 rows, a 512 x 512 matrix product",
            flops,
            peak,
            repeats=repeats,
            unit="GFLOP/s",
        ),
        compare(
            f"{preset}, 256 rows on two cores, on one",
            lambda: on(2),
            lambda: on(1),
            repeats=repeats,
            unit="tokens/s",
            at_least=1.6,
        ),
    ]


def learning_figures(preset: str, *, seconds: float, repeats: int) -> list[Figure]:
    """Compare scoring episodes with gradients with scoring every position of the padded rows."""
    policy = endless(preset)
    prompts = prompts_of(32)
    written = policy.generate(prompts, n=2, budget=_BUDGET)
    batch = Batch.from_trajectories(
        [
            _episode(prompts[row // 2], actions, log_probs, values)
            for row, (actions, log_probs, values) in enumerate(
                zip(written.actions, written.log_probs, written.values, strict=True)
            )
        ],
        pad_id=policy.tokenizer.pad_id,
    )

    def learn() -> int:
        policy.module.zero_grad(set_to_none=True)
        for piece in batch.pieces(32):
            policy.evaluate(piece).log_probs.sum().backward()  # type: ignore[no-untyped-call]
        return batch.n_tokens

    def learn_plainly() -> int:
        policy.module.zero_grad(set_to_none=True)
        tokens = torch.from_numpy(batch.tokens)
        transformer = policy.module.transformer
        every = transformer.logits(transformer(tokens[:, :-1])).log_softmax(dim=-1)
        every.gather(2, tokens[:, 1:, None]).sum().backward()  # type: ignore[no-untyped-call]
        return batch.n_tokens

    return [
        compare(
            f"{preset}, 64 rows, evaluate and backward, every position scored",
            lambda: per_second(learn, seconds),
            lambda: per_second(learn_plainly, seconds),
            repeats=repeats,
            unit="tokens/s",
        )
    ]


def _episode(
    prompt: list[int],
    actions: NDArray[np.int64],
    log_probs: NDArray[np.float32],
    values: NDArray[np.float32],
) -> Trajectory:
    return Trajectory(
        task_id="",
        prompt=np.array(prompt, dtype=np.int64),
        actions=actions,
        log_probs=log_probs,
        values=values,
        reward=0.0,
        credit=np.zeros(len(actions), dtype=np.float32),
        finished=False,
        program="",
    )


class LastHidden(BaseFeaturesExtractor):
    """The plain way: encode the whole prefix at every step and return its last state."""

    def __init__(self, observation_space: gym.spaces.Box, *, preset: str) -> None:
        config = GPTConfig.preset(preset, max_tokens=_MAX_TOKENS)
        super().__init__(observation_space, config.d_model)
        self.transformer = Transformer(config, vocab_size=LexemeTokenizer().vocab_size, pad_id=0)
        self.transformer.initialize(torch.Generator().manual_seed(0))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return (B, d) states of (B, T) ids."""
        ids = observations.long()
        lengths = (ids != 0).sum(dim=1)
        hidden: torch.Tensor = self.transformer(ids[:, : int(lengths.max())])
        return hidden[torch.arange(len(ids)), lengths - 1]


def naive_ppo(preset: str) -> PPO:
    """Make PPO as its documentation suggests: single envs, a features extractor, plain buffer."""
    make = [lambda: gym.make(ID, **_env_options())] * _NAIVE_ENVS
    return PPO(
        "MlpPolicy",
        DummyVecEnv(make),
        n_steps=_BUDGET,
        batch_size=2 * _BUDGET,
        n_epochs=1,
        policy_kwargs={
            "features_extractor_class": LastHidden,
            "features_extractor_kwargs": {"preset": preset},
            "net_arch": [],
        },
        device="cpu",
    )


def sequence_ppo(preset: str) -> PPO:
    """Make the same PPO class over our policy, buffer and vector env."""
    envs = gym.make_vec(ID, num_envs=_ENVS, autoreset_mode="SameStep", **_env_options())
    return PPO(
        SequencePolicy,
        SequenceVecEnv(cast("Any", envs)),
        n_steps=2 * _BUDGET,
        batch_size=_ENVS,
        n_epochs=1,
        policy_kwargs={"policy": endless(preset)},
        rollout_buffer_class=SequenceRolloutBuffer,
        device="cpu",
    )


def _env_options() -> dict[str, Any]:
    return {
        "tasks": OneTask(),
        "judge": ungraded,
        "max_tokens": _MAX_TOKENS,
        "budget": _BUDGET,
        "tokenizer": "lexemes",
    }


def _collector(ppo: PPO) -> Callable[[], int]:
    _, callback = ppo._setup_learn(10**12)
    env = cast("VecEnv", ppo.env)

    def collect() -> int:
        ppo.collect_rollouts(env, callback, ppo.rollout_buffer, n_rollout_steps=ppo.n_steps)
        return ppo.n_steps * env.num_envs

    return collect


def _trainer(ppo: PPO) -> Callable[[], int]:
    def train() -> int:
        ppo.train()
        return ppo.n_steps * cast("VecEnv", ppo.env).num_envs

    return train


def ppo_figures(preset: str, *, seconds: float, repeats: int) -> list[Figure]:
    """Compare stable-baselines3's PPO over our classes with its plain set-up and with our loop."""
    sequence, naive, policy = sequence_ppo(preset), naive_ppo(preset), endless(preset)
    collect, collect_naively = _collector(sequence), _collector(naive)
    collect()
    collect_naively()
    return [
        compare(
            f"{preset}, PPO collecting, plain set-up",
            lambda: per_second(collect, seconds),
            lambda: per_second(collect_naively, seconds),
            repeats=repeats,
            unit="steps/s",
            at_least=8,
        ),
        compare(
            f"{preset}, PPO training, plain set-up",
            lambda: per_second(_trainer(sequence), seconds),
            lambda: per_second(_trainer(naive), seconds),
            repeats=repeats,
            unit="steps/s",
            at_least=15,
        ),
        compare(
            f"{preset}, PPO collecting, our own loop",
            lambda: per_second(collect, seconds),
            lambda: per_second(lambda: ours(policy, _ENVS), seconds),
            repeats=repeats,
            unit="steps/s",
            at_least=0.5,
        ),
    ]


@click.command()
@click.option("--preset", default="tiny", show_default=True, help="Size of the gpt policy.")
@click.option("--seconds", default=1.0, show_default=True, help="For one measure.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each pair of measures.")
@with_output
def command(preset: str, seconds: float, repeats: int, output: Output) -> None:
    """Measure sampling against transformers, and PPO against its plain set-up, on one core."""
    register_environments()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        figures = [
            figure
            for measure in (sampling_figures, machine_figures, learning_figures, ppo_figures)
            for figure in measure(preset, seconds=seconds, repeats=repeats)
        ]
    finally:
        torch.set_num_threads(threads)
    output.document([asdict(figure) for figure in figures])
    title = "codegym bench policy: ours against a baseline of the same run, one core"
    output.table("figures", ratio_table(figures, title))
