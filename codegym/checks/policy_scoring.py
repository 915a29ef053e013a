"""Checks that ``Policy.evaluate`` scores what was drawn: at its temperature, and nothing else.

In shapes, B is the number of episodes, T the longest number of actions.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.checks.policy_samples import (
    BUDGET,
    TEXTS,
    TOLERANCE,
    batch_of,
    episode_of,
    numbers_of,
    prompts_of,
    require,
    require_close,
    seeded,
)
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory

TEMPERATURES = (0.6, 1.2)
# Of each of an episode's two programs: two of them and a message fit into 64 tokens.
_TURN_BUDGET = 4
_MESSAGE = "#\n"


def check_temperatures(policy: Policy) -> None:
    """Require that acting, generating and evaluating mean the same by a temperature.

    Raises:
        ConformanceError: They do not.
    """
    episodes: list[Trajectory] = []
    for temperature in TEMPERATURES:
        _check_generate(policy, temperature)
        played = _play(policy, temperature)
        _check_ratio(policy, played, f"act and evaluate disagree at temperature {temperature}")
        episodes += played
    _check_ratio(policy, episodes, "evaluate does not score each row at its own temperature")
    _check_division(policy)


def _check_generate(policy: Policy, temperature: float) -> None:
    prompts = prompts_of(policy)
    written = policy.generate(
        prompts, n=3, budget=BUDGET, temperature=temperature, rng=seeded(int(temperature * 10))
    )
    batch = batch_of(prompts, written, policy, temperature=temperature)
    complaint = f"generate and evaluate disagree at temperature {temperature}"
    _check_batch(policy, batch, complaint)


def _play(policy: Policy, temperature: float) -> list[Trajectory]:
    """Step through an episode of each prompt with ``act``."""
    prompts, rng = prompts_of(policy), seeded(2)
    rows = [list(prompt) for prompt in prompts]
    log_probs, values, state = [], [], None
    for _ in range(BUDGET):
        obs = np.full((len(rows), policy.max_tokens), policy.tokenizer.pad_id, dtype=np.int32)
        for number, ids in enumerate(rows):
            obs[number, : len(ids)] = ids
        step = policy.act(obs, state, temperature=temperature, rng=rng)
        state = step.state
        log_probs.append(step.log_probs)
        values.append(step.values)
        for ids, action in zip(rows, step.actions.tolist(), strict=True):
            ids.append(action)
    columns = zip(np.stack(log_probs, axis=1), np.stack(values, axis=1), strict=True)
    return [
        episode_of(prompt, np.array(row[len(prompt) :]), *parts, temperature=temperature)
        for prompt, row, parts in zip(prompts, rows, columns, strict=True)
    ]


def _check_ratio(policy: Policy, episodes: list[Trajectory], complaint: str) -> None:
    batch = Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)
    _check_batch(policy, batch, complaint)


def _check_batch(policy: Policy, batch: Batch, complaint: str) -> None:
    """Require ratios of 1 to what was drawn, and values that no temperature changes."""
    log_probs, values, _ = numbers_of(policy.evaluate(batch, temperature=batch.temperatures))
    require_close(np.exp(log_probs - batch.log_probs), 1.0, complaint)
    require_close(values, batch.values, "a temperature changes the values")


def _check_division(policy: Policy) -> None:
    """Require that the temperature divides the scores.

    Of two tokens after one prompt, log p(a) - log p(b) is the difference of their scores: it is
    divided by the temperature, whatever the distribution is normalised by.
    """
    prompt = policy.tokenizer.encode(TEXTS[0])
    tokens = [policy.tokenizer.encode("return")[0], policy.tokenizer.end_id]
    batch = Batch.from_trajectories(
        [episode_of(prompt, np.array([token])) for token in tokens],
        pad_id=policy.tokenizer.pad_id,
    )
    plain, _, _ = numbers_of(policy.evaluate(batch))
    entropies = []
    for temperature in TEMPERATURES:
        log_probs, _, entropy = numbers_of(policy.evaluate(batch, temperature=temperature))
        require_close(
            (log_probs[0, 0] - log_probs[1, 0]) * temperature,
            plain[0, 0] - plain[1, 0],
            "the temperature of evaluate does not divide the scores",
        )
        entropies.append(float(entropy[0, 0]))
    rises = entropies[1] > entropies[0] if policy.learns else True
    require(rises, "the entropy is not that of the tempered distribution", entropies, "rising")


def check_holes(policy: Policy) -> None:
    """Require that what an environment writes inside an episode is read and not scored.

    Raises:
        ConformanceError: It is scored, or left out of the context, or has a gradient.
    """
    episodes = _dialogues(policy, TEMPERATURES[0])
    pad = policy.tokenizer.pad_id
    holes = Batch.from_trajectories(episodes, pad_id=pad)
    whole = Batch.from_trajectories(
        [replace(episode, chosen=None) for episode in episodes], pad_id=pad
    )
    scored = policy.evaluate(holes, temperature=holes.temperatures)
    log_probs, values, entropy = numbers_of(scored)
    hidden = scored.hidden.detach().float().cpu().numpy()
    for name, part in (("log_probs", log_probs), ("values", values), ("entropy", entropy)):
        require(not part[~holes.mask].any(), f"{name} is not 0 where the environment wrote")
    require(not hidden[~holes.mask].any(), "hidden is not 0 where the environment wrote")
    expected = numbers_of(policy.evaluate(whole, temperature=holes.temperatures))
    for part, full in zip((log_probs, values, entropy), expected, strict=True):
        require_close(
            part[holes.mask],
            full[holes.mask],
            "an action is scored otherwise where the environment wrote in between",
        )
    ratios = np.exp(log_probs - holes.log_probs)
    require_close(ratios, 1.0, "a second program is not scored as it was generated")
    if policy.learns:
        _check_gradient(policy, holes, whole)


def _dialogues(policy: Policy, temperature: float) -> list[Trajectory]:
    """Write a program for each prompt, then a message, then another program."""
    message = policy.encode_message(_MESSAGE)
    allowed = range(policy.tokenizer.vocab_size)
    fits = all(token in allowed and token != policy.tokenizer.pad_id for token in message)
    require(bool(message) and fits, "encode_message returns no ids of the tokenizer", message)
    prompts = prompts_of(policy)
    first = policy.generate(prompts, budget=_TURN_BUDGET, temperature=temperature, rng=seeded(3))
    contexts = [
        [*prompt, *actions.tolist(), *message]
        for prompt, actions in zip(prompts, first.actions, strict=True)
    ]
    second = policy.generate(contexts, budget=_TURN_BUDGET, temperature=temperature, rng=seeded(4))
    gap = np.zeros(len(message), dtype=np.float32)

    def joined(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate((before, gap, after))

    episodes = []
    for number, prompt in enumerate(prompts):
        counts = len(first.actions[number]), len(message), len(second.actions[number])
        actions = [*first.actions[number], *message, *second.actions[number]]
        episodes.append(
            episode_of(
                prompt,
                np.array(actions, dtype=np.int64),
                joined(first.log_probs[number], second.log_probs[number]),
                joined(first.values[number], second.values[number]),
                temperature=temperature,
                chosen=np.repeat([True, False, True], counts),
            )
        )
    return episodes


def _check_gradient(policy: Policy, holes: Batch, whole: Batch) -> None:
    """Require the gradient that the same places have where everything is the policy's."""
    found = _gradients(policy, holes, np.ones_like(holes.mask))
    expected = _gradients(policy, whole, holes.mask)
    policy.module.zero_grad(set_to_none=True)
    # Sums over many tokens round otherwise; what matters is small beside the largest of them.
    allowed = TOLERANCE * max(1.0, *(float(np.abs(part).max(initial=0.0)) for part in expected))
    for part, full in zip(found, expected, strict=True):
        difference = float(np.abs(part - full).max(initial=0.0))
        require(
            difference <= allowed,
            "what the environment wrote has a gradient",
            difference,
            f"at most {allowed:.2g}",
        )


def _gradients(
    policy: Policy, batch: Batch, places: NDArray[np.bool_]
) -> list[NDArray[np.float32]]:
    """Return the gradient of the log-probabilities at some places, for each trained weight."""
    policy.module.zero_grad(set_to_none=True)
    log_probs = policy.evaluate(batch, temperature=batch.temperatures).log_probs
    kept = torch.from_numpy(places).to(log_probs.device)
    log_probs[kept].sum().backward()  # type: ignore[no-untyped-call]
    return [
        (torch.zeros_like(weight) if weight.grad is None else weight.grad).float().cpu().numpy()
        for weight in policy.module.parameters()
        if weight.requires_grad
    ]
