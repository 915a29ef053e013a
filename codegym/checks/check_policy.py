"""check_policy: checks that a policy keeps the contract of ``codegym.policy``.

Stepping with a cache, writing whole programs and scoring them afterwards are three ways to the same
numbers. A policy that breaks this trains, and learns the wrong thing.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.checks.policy_samples import (
    BUDGET,
    TEXTS,
    TOLERANCE,
    batch_of,
    episode_of,
    fit,
    numbers_of,
    prompts_of,
    require,
    require_close,
    seeded,
    shake,
    stir,
)
from codegym.checks.policy_scoring import check_holes, check_temperatures
from codegym.errors import CheckpointError, ConformanceError, PromptTooLongError
from codegym.policy import Constraint, Policy
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch


def check_policy(policy: type[Policy] | Callable[[], Policy]) -> None:
    """Run a policy through its contract, with weights that are stirred first.

    What concerns learning is left out for a policy that declares ``learns = False``.

    Args:
        policy: A Policy class, of which ``specimen`` is checked, or a function that makes a small
            policy on the CPU; each call must give the same fresh weights.

    Raises:
        ConformanceError: A promise is broken; the message says which.
    """
    make = _maker(policy)
    checked = make()
    _check_attributes(checked)
    if checked.learns:
        _check_learning(checked)
    checked = stir(make()) if checked.learns else make()
    _check_generation(checked)
    _check_stepping(checked)
    check_temperatures(checked)
    check_holes(checked)
    _check_mask(checked)
    _check_constraint(checked)
    _check_padding(checked)
    _check_randomness(checked)
    _check_skip(checked)
    _check_update(checked)
    if checked.learns:
        _check_gradients(checked)
    _check_checkpoint(checked)


def _maker(policy: type[Policy] | Callable[[], Policy]) -> Callable[[], Policy]:
    if isinstance(policy, type):
        kind = cast("type[Policy]", policy)
        return lambda: kind.specimen(seed=7)
    return policy


def _check_attributes(policy: Policy) -> None:
    require(isinstance(policy.tokenizer, Tokenizer), "tokenizer is no Tokenizer")
    for name in ("max_tokens", "version"):
        value = getattr(policy, name)
        require(isinstance(value, int), f"{name} is no integer", value)
    every = {id(weight) for weight in policy.module.parameters()}
    head = policy.value_parameters()
    require(bool(head), "value_parameters is empty")
    require(all(id(weight) in every for weight in head), "a value parameter is not in module")
    alone = len(head) == len(every)
    require(not (alone and policy.learns), "module has no weights but the value head's")


def _check_learning(policy: Policy) -> None:
    """Fit one short program; the gradients of ``evaluate`` must lead ``generate`` to it."""
    tokenizer = policy.tokenizer
    prompt = tokenizer.encode(TEXTS[0])
    answer = [*tokenizer.encode("return x"), tokenizer.end_id]
    fit(policy, [(prompt, answer)], steps=60)
    written = policy.generate([prompt], budget=len(answer) + 5, deterministic=True)
    require(
        written.actions[0].tolist() == answer,
        "the gradients of evaluate do not lead generate to a program it is fitted to",
        tokenizer.decode(written.actions[0].tolist()),
        tokenizer.decode(answer),
    )
    require(bool(written.finished[0]), "a program that ends with the end token is not finished")


def _check_generation(policy: Policy) -> None:
    prompts, n = prompts_of(policy), 6
    written = policy.generate(prompts, n=n, budget=BUDGET, rng=seeded())
    require(
        len(written.actions) == len(written.finished) == n * len(prompts),
        "generate returns another number of programs",
        len(written.actions),
        str(n * len(prompts)),
    )
    end, pad = policy.tokenizer.end_id, policy.tokenizer.pad_id
    for actions, finished in zip(written.actions, written.finished, strict=True):
        require(1 <= len(actions) <= BUDGET, "a program breaks the budget", len(actions))
        require(pad not in actions, "the pad id was written", actions.tolist())
        require(end not in actions[:-1], "a program goes on after its end", actions.tolist())
        require(
            bool(finished) == bool(actions[-1] == end),
            "finished does not say whether the end token was written",
            actions.tolist(),
        )
    batch = batch_of(prompts, written, policy)
    log_probs, values, entropy = numbers_of(policy.evaluate(batch))
    require_close(log_probs, batch.log_probs, "generate and evaluate disagree on log-probabilities")
    require_close(values, batch.values, "generate and evaluate disagree on values")
    for part, name in ((log_probs, "log_probs"), (values, "values"), (entropy, "entropy")):
        require(part.shape == batch.mask.shape, f"{name} is not (B, T)", part.shape)
        require(not part[~batch.mask].any(), f"{name} is not 0 on padding")
    highest = float(np.log(policy.tokenizer.vocab_size))
    inside = (entropy >= 0).all() and (entropy <= highest + TOLERANCE).all()
    require(bool(inside), "an entropy is impossible", float(entropy.max()), f"0 to {highest:.3f}")
    try:
        policy.generate([[prompts[0][0]] * policy.max_tokens], budget=1)
    except PromptTooLongError:
        return
    raise ConformanceError("a prompt that leaves no room is not refused with PromptTooLongError")


def _check_stepping(policy: Policy) -> None:
    """Play rows at different positions; a row starts anew on the way."""
    prompts, rng = prompts_of(policy), seeded(1)
    pad = policy.tokenizer.pad_id
    rows = [list(prompt) for prompt in prompts]
    starts = [len(row) for row in rows]
    played: list[list[tuple[float, float]]] = [[] for _ in rows]
    episodes, state = [], None

    def close(row: int) -> None:
        log_probs, values = np.array(played[row], dtype=np.float32).T
        actions = np.array(rows[row][starts[row] :], dtype=np.int64)
        episodes.append(episode_of(rows[row][: starts[row]], actions, log_probs, values))

    for at in range(BUDGET):
        if at == 5:
            close(1)
            rows[1], starts[1], played[1] = list(prompts[3]), len(prompts[3]), []
        obs = np.full((len(rows), policy.max_tokens), pad, dtype=np.int32)
        for row, ids in enumerate(rows):
            obs[row, : len(ids)] = ids
        step = policy.act(obs, state, rng=rng)
        state = step.state
        for row, ids in enumerate(rows):
            played[row].append((float(step.log_probs[row]), float(step.values[row])))
            ids.append(int(step.actions[row]))
    for row in range(len(rows)):
        close(row)
    batch = Batch.from_trajectories(episodes, pad_id=pad)
    log_probs, values, _ = numbers_of(policy.evaluate(batch))
    require_close(log_probs, batch.log_probs, "act and evaluate disagree on log-probabilities")
    require_close(values, batch.values, "act and evaluate disagree on values")


def _check_mask(policy: Policy) -> None:
    obs = np.array([policy.tokenizer.encode(TEXTS[0])])
    vocab = policy.tokenizer.vocab_size
    allowed = [policy.tokenizer.encode(text)[0] for text in ("lambda", "while")]
    for seed in range(12):
        mask = np.zeros((1, vocab), dtype=np.bool_)
        mask[0, allowed] = True
        step = policy.act(obs, mask=mask, rng=seeded(seed), deterministic=seed == 0)
        require(int(step.actions[0]) in allowed, "act takes a token that the mask forbids")
        mask[0, allowed[0]] = False
        step = policy.act(obs, mask=mask, rng=seeded(seed))
        require_close(
            step.log_probs, 0.0, "log-probabilities are not those of the masked distribution"
        )


class _Alternating:
    """Allows even and odd ids by turns; the end after four tokens."""

    def __init__(self, policy: Policy) -> None:
        self.size = policy.tokenizer.vocab_size
        self._pad, self._end = policy.tokenizer.pad_id, policy.tokenizer.end_id

    def advance(self, state: int, token: int) -> int | None:
        return state + 1

    def allowed(self, state: int, remaining: int) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = np.arange(self.size) % 2 == state % 2
        mask[[self._pad, self._end]] = False, state >= 4
        return mask


def _check_constraint(policy: Policy) -> None:
    """Where ``generate`` takes a constraint, it keeps to it and ``evaluate`` scores under it."""
    if "constraint" not in signature(policy.generate).parameters:
        return
    prompts, mask = prompts_of(policy), _Alternating(policy)
    constraint = Constraint(mask=mask, states=[0, 1, 2, 3])
    written = policy.generate(prompts, n=3, budget=BUDGET, rng=seeded(), constraint=constraint)
    if written.masks is None or any(bits is None for bits in written.masks):
        raise ConformanceError("generate returns no masks under a constraint")
    episodes = []
    for row, (actions, bits) in enumerate(zip(written.actions, written.masks, strict=True)):
        assert bits is not None
        for at, action in enumerate(actions.tolist()):
            wanted = mask.allowed(row // 3 + at, BUDGET - at)
            require(bool(wanted[action]), "generate takes a token that its constraint forbids")
            found = np.unpackbits(bits[at], count=mask.size).astype(np.bool_)
            require(np.array_equal(found, wanted), "masks are not what the constraint allowed")
        scored = (written.log_probs[row], written.values[row])
        episodes.append(replace(episode_of(prompts[row // 3], actions, *scored), masks=bits))
    batch = Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)
    log_probs, _, _ = numbers_of(policy.evaluate(batch))
    require_close(log_probs, batch.log_probs, "generate and evaluate disagree under a constraint")


def _check_padding(policy: Policy) -> None:
    prompts = prompts_of(policy)
    together = policy.generate(prompts, budget=BUDGET, deterministic=True)
    batch = batch_of(prompts, together, policy)
    scored = numbers_of(policy.evaluate(batch))
    for row, prompt in enumerate(prompts):
        alone = policy.generate([prompt], budget=BUDGET, deterministic=True)
        require(
            np.array_equal(alone.actions[0], together.actions[row]),
            "a program depends on the rows beside it",
        )
        single = batch.select(np.array([row]))
        for found, beside in zip(numbers_of(policy.evaluate(single)), scored, strict=True):
            width = single.mask.shape[1]
            require_close(
                found[0], beside[row, :width], "an evaluation depends on the rows beside it"
            )


def _check_randomness(policy: Policy) -> None:
    prompts = prompts_of(policy)
    before = _global_generators()

    def write(seed: int) -> list[list[int]]:
        written = policy.generate(prompts, n=2, budget=BUDGET, rng=seeded(seed))
        return [actions.tolist() for actions in written.actions]

    first = write(1)
    require(write(1) == first, "the same seed writes other programs")
    require(write(2) != first, "another seed writes the same programs")
    version = policy.version
    policy.prepare()
    require(write(1) == first and policy.version == version, "prepare changes what is written")
    obs = np.array([prompts[0]])
    actions = [int(policy.act(obs, rng=seeded(seed)).actions[0]) for seed in range(16)]
    again = [int(policy.act(obs, rng=seeded(seed)).actions[0]) for seed in range(16)]
    require(actions == again, "the same seed acts otherwise")
    require(len(set(actions)) > 1, "act does not draw")
    require(_global_generators() == before, "a global random generator was used")


def _check_skip(policy: Policy) -> None:
    """Check that a generator is moved past a call as by the call, where a policy can do that."""
    if type(policy).skip is Policy.skip:
        return
    prompts = prompts_of(policy)
    written, skipped = seeded(1), seeded(1)
    policy.generate(prompts, n=2, budget=BUDGET, rng=written)
    policy.skip(skipped, programs=2 * len(prompts), budget=BUDGET)
    same = torch.equal(written.get_state(), skipped.get_state())
    require(same, "skip leaves a generator elsewhere than generate")


def _global_generators() -> tuple[list[int], str]:
    return torch.random.get_rng_state().tolist(), str(np.random.get_state())


def _check_update(policy: Policy) -> None:
    version = policy.version
    obs = np.zeros((1, policy.max_tokens), dtype=np.int64) + policy.tokenizer.pad_id
    prompt = prompts_of(policy)[1]
    obs[0, : len(prompt)] = prompt
    step = policy.act(obs, deterministic=True)
    obs[0, len(prompt)] = step.actions[0]
    shake(policy)
    require(policy.version > version, "mark_updated does not raise version", policy.version)
    stale = policy.act(obs, step.state, deterministic=True)
    fresh = policy.act(obs, deterministic=True)
    require_close(stale.values, fresh.values, "a cache of older weights is used after mark_updated")
    require_close(stale.log_probs, fresh.log_probs, "a cache of older weights is used")


def _check_gradients(policy: Policy) -> None:
    prompts = prompts_of(policy)
    written = policy.generate(prompts, budget=BUDGET, rng=seeded())
    head = {id(weight) for weight in policy.value_parameters()}
    policy.module.zero_grad(set_to_none=True)
    scored = policy.evaluate(batch_of(prompts, written, policy))
    scored.log_probs.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    touched = {id(w) for w in policy.module.parameters() if w.grad is not None and w.grad.any()}
    require(bool(touched), "log-probabilities have no gradient")
    require(not touched & head, "the actor's gradient reaches the value head")
    scored.values.sum().backward()  # type: ignore[no-untyped-call]
    reached = all(weight.grad is not None for weight in policy.value_parameters())
    require(reached, "values have no gradient in the value head")
    policy.module.zero_grad(set_to_none=True)


def _check_checkpoint(policy: Policy) -> None:
    prompts = prompts_of(policy)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "policy"
        policy.save(folder)
        loaded = type(policy).load(folder)
        require(loaded.version == policy.version, "the version is lost in a checkpoint")
        written = [p.generate(prompts, budget=BUDGET, rng=seeded()) for p in (policy, loaded)]
        for name in ("actions", "log_probs", "values"):
            pairs = zip(getattr(written[0], name), getattr(written[1], name), strict=True)
            same = all(np.array_equal(before, after) for before, after in pairs)
            require(same, f"{name} of a loaded policy are not those of the saved one")
        largest = max(
            (path for path in folder.rglob("*") if path.is_file()),
            key=lambda path: path.stat().st_size,
        )
        largest.write_bytes(largest.read_bytes()[:-64])
        try:
            type(policy).load(folder)
        except CheckpointError:
            return
        raise ConformanceError("a truncated checkpoint loads", value=largest.name)
