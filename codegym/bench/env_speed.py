"""``codegym bench env``: compares the speed of the environment with Gymnasium's environments.

Each figure has a baseline that was measured minutes or seconds apart on the same machine. Only the
ratios are comparable between machines.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice, product
from statistics import median
from string import ascii_lowercase
from typing import Any

import click
import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from codegym.bench.episode_speed import OneTask, episode_figures, ungraded
from codegym.bench.ratios import Figure, compare, ratio_table
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.measuring.output import Output, with_output
from codegym.registration import register_environments
from codegym.tokenizers.lexemes import LexemeTokenizer

ID = "CodeGym/Synthesis-v0"


def steps_per_second(env: gym.Env[Any, Any], action: Any, steps: int) -> float:
    """Step an env with a single action and return steps per second, resets included."""
    env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - start)


def vector_steps_per_second(
    env: VectorEnv[Any, Any, Any], actions: Sequence[int], steps: int
) -> float:
    """Step all sub-envs with the same actions repeatedly; return env-steps per second."""
    env.reset(seed=0)
    batches = [np.full(env.num_envs, action) for action in actions]
    env.step(batches[0])
    start = time.perf_counter()
    for step in range(1, steps + 1):
        env.step(batches[step % len(batches)])
    return steps * env.num_envs / (time.perf_counter() - start)


def single_figures(steps: int, repeats: int) -> list[Figure]:
    """Measure the single env through ``gym.make`` against CartPole-v1."""
    options: dict[str, Any] = {"tasks": OneTask(), "judge": ungraded, "max_tokens": 256}
    word = LexemeTokenizer().encode("x")[0]
    return [
        compare(
            "single env, CartPole-v1",
            lambda: steps_per_second(gym.make(ID, **options), word, steps),
            lambda: steps_per_second(gym.make("CartPole-v1"), np.int64(1), steps),
            repeats=repeats,
            at_least=1.0,
        )
    ]


def vector_figures(steps: int, repeats: int) -> list[Figure]:
    """Measure the native vector env against Gymnasium's two and CartPole-v1's vector env."""
    options: dict[str, Any] = {
        "tasks": OneTask(),
        "judge": ungraded,
        "max_tokens": 256,
        "tokenizer": LexemeTokenizer(),
    }
    word = [options["tokenizer"].encode("x")[0]]
    figures = []
    for count in (64, 1024):
        # Fewer steps than the budget has tokens, so that no program ends.
        tokens = min(steps, 190)
        native = SynthesisVectorEnv(count, **options)

        def ours(native: SynthesisVectorEnv = native, tokens: int = tokens) -> float:
            return vector_steps_per_second(native, word, tokens)

        def synchronous(count: int = count, tokens: int = tokens) -> float:
            return vector_steps_per_second(
                SyncVectorEnv([lambda: SynthesisEnv(**options)] * count), word, tokens
            )

        def asynchronous(count: int = count) -> float:
            envs = AsyncVectorEnv([lambda: SynthesisEnv(**options)] * count)
            try:
                return vector_steps_per_second(envs, word, 40)
            finally:
                envs.close()

        def cartpole(count: int = count) -> float:
            envs = gym.make_vec("CartPole-v1", num_envs=count)
            return vector_steps_per_second(envs, [1], 200)

        name = f"vector env, {count} sub-envs, tokens only"
        figures.append(
            compare(f"{name}, SyncVectorEnv", ours, synchronous, repeats=repeats, at_least=8)
        )
        if count <= 64:
            figures.append(
                compare(f"{name}, AsyncVectorEnv", ours, asynchronous, repeats=1, at_least=40)
            )
        figures.append(
            compare(f"{name}, CartPole-v1's vector env", ours, cartpole, repeats=repeats)
        )
    return figures


def length_figures(repeats: int) -> list[Figure]:
    """Measure a late against an early step, and a large against a small vocabulary."""
    words = (" " + "".join(letters) for letters in product(ascii_lowercase, repeat=4))
    large = LexemeTokenizer(islice(words, 150_000))
    small = LexemeTokenizer()

    def cost(tokenizer: LexemeTokenizer, first: int, count: int = 100) -> float:
        env = SynthesisEnv(tasks=OneTask(), judge=ungraded, tokenizer=tokenizer, max_tokens=2048)
        step, word = env.step, tokenizer.encode("x")[0]
        best = float("inf")
        for _ in range(10):
            env.reset(seed=0)
            for _ in range(first):
                step(word)
            start = time.perf_counter()
            for _ in range(count):
                step(word)
            best = min(best, (time.perf_counter() - start) / count)
        return best * 1e9

    return [
        compare(
            "a step at token 1,900 of 2,048, a step at token 10",
            lambda: cost(small, 1900),
            lambda: cost(small, 10),
            repeats=repeats,
            unit="ns",
            at_most=1.2,
        ),
        compare(
            f"a step with {large.vocab_size:,} ids, a step with {small.vocab_size:,}",
            lambda: cost(large, 10),
            lambda: cost(small, 10),
            repeats=repeats,
            unit="ns",
            at_most=1.2,
        ),
    ]


def mask_figures(repeats: int) -> list[Figure]:
    """Measure a masked step against a plain step: along a known program, and at random."""
    tokens = LexemeTokenizer()
    program = tokens.encode(str(OneTask()[0].canonical_solution))
    options: dict[str, Any] = {"tasks": OneTask(), "judge": ungraded, "tokenizer": tokens}

    def known(*, masked: bool) -> float:
        env = SynthesisEnv(**options)
        spent = []
        for _ in range(20):
            env.reset(seed=0)
            start = time.perf_counter()
            for token in program:
                if masked:
                    env.action_masks()
                env.step(token)
            spent.append((time.perf_counter() - start) / len(program))
        return median(spent) * 1e6

    def random(*, masked: bool) -> float:
        env = SynthesisEnv(**options, budget=64)
        rng = np.random.default_rng(0)
        spent, steps = 0.0, 0
        for episode in range(10):
            env.reset(seed=episode)
            ended = False
            while not ended:
                start = time.perf_counter()
                mask = env.action_masks()
                if masked:
                    spent += time.perf_counter() - start
                token = int(rng.choice(np.flatnonzero(mask)))
                start = time.perf_counter()
                _, _, ended, _, _ = env.step(token)
                spent += 0.0 if ended else time.perf_counter() - start
                steps += 1
        return spent / steps * 1e6

    figures = []
    for name, measure in (("known program's", known), ("random program's", random)):
        figures.append(
            compare(
                f"a {name} step with its mask, a step without",
                partial(measure, masked=True),
                partial(measure, masked=False),
                repeats=repeats,
                unit="us",
            )
        )
    return figures


@click.command()
@click.option(
    "--steps", default=40_000, show_default=True, help="Number of steps of the single env."
)
@click.option(
    "--repeats", default=3, show_default=True, help="Repetitions of each pair of measurements."
)
@click.option("--graded/--ungraded", default=True, help="Whether to run programs as well.")
@with_output
def command(steps: int, repeats: int, graded: bool, output: Output) -> None:
    """Measure the environment against Gymnasium's vector envs and CartPole-v1."""
    register_environments()
    figures = [
        *single_figures(steps, repeats),
        *vector_figures(190, repeats),
        *length_figures(repeats),
        *mask_figures(repeats),
        *episode_figures(repeats, graded=graded),
    ]
    output.document([asdict(figure) for figure in figures])
    title = "codegym bench env: ours against a baseline of the same run"
    output.table("figures", ratio_table(figures, title))
