"""Collect: a policy plays an environment, and the episodes become judged trajectories.

Every agent learns from what ``collect`` returns. An environment of codegym takes the fast road: it
opens a batch of episodes, the policy writes whole programs with ``generate``, and the environment
grades and prices them while the next ones are being written. Any other environment, and one in a
wrapper, is stepped with ``Policy.act``. Both roads give the same trajectories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from gymnasium.vector import VectorEnv

from codegym.episode import Ending, Opening, ProgramEnv, Request
from codegym.errors import ConfigError
from codegym.grammar import shared_mask
from codegym.policy import Constraint, Generation, Policy
from codegym.rollout.demonstrations import Demonstrations
from codegym.rollout.draft import Draft
from codegym.rollout.player import seed_from
from codegym.rollout.stepping import step_episodes
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Clock:
    """Where the seconds of a rollout went: writing programs, and waiting for their verdicts."""

    sampling_s: float = 0.0
    waiting_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How programs are written, beyond what a request asks for.

    Attributes:
        top_p: Share of the probability that is kept; 1 keeps all.
        deterministic: Take the most probable token instead of drawing.
        grammar: Allow only tokens that keep a program valid Python which can be ended in time.
        rows: Programs written side by side; the grader works on the last rows meanwhile.
    """

    top_p: float = 1.0
    deterministic: bool = False
    grammar: bool = False
    rows: int = 128


def collect(
    env: "VectorEnv[Any, Any, Any]",
    policy: Policy,
    request: Request,
    *,
    tasks: Sequence[Task] | None = None,
    rng: "torch.Generator | None" = None,
    decoding: Decoding | None = None,
    stepwise: bool = False,
    clock: Clock | None = None,
) -> list[Trajectory]:
    """Let a policy play an environment, and return the judged episodes.

    Args:
        env: A vector environment: of codegym, or any other whose observations are token ids or
            texts and whose actions are token ids or texts.
        policy: Who writes.
        request: How many episodes, at which temperature, and how many demonstrations.
        tasks: The tasks to play, instead of ``request.tasks`` random ones.
        rng: Source of randomness. If None, programs are drawn by the policy's own generator, and
            tasks from fresh entropy.
        decoding: How programs are written.
        stepwise: Step an environment of codegym too, instead of taking its fast road.
        clock: Filled with where the time went, if given.

    Returns:
        The programs of one task together, sampled before greedy, then the demonstrations.
        Episodes that could not be judged are left out where the environment truncates them.

    Raises:
        ConfigError: ``env`` is no vector environment, its spaces are not the policy's, or it cannot
            do what the request asks for.
        PromptTooLongError: A prompt leaves no room for a program in the policy's context.
        SandboxError: The sandbox broke.
    """
    if not isinstance(env, VectorEnv):
        raise ConfigError(
            "collect plays vector environments",
            value=type(env).__name__,
            expected="a gymnasium.vector.VectorEnv",
            cure='gymnasium.make_vec("codegym:CodeGym/Synthesis-v0", num_envs=8, ...)',
        )
    decoding, clock = decoding or Decoding(), clock or Clock()
    began = perf_counter()
    if stepwise or not isinstance(env, ProgramEnv):
        episodes = step_episodes(
            env, policy, request, tasks=tasks, rng=rng, deterministic=decoding.deterministic
        )
        clock.sampling_s += perf_counter() - began
        return episodes
    draw = np.random.default_rng(None if rng is None else seed_from(rng))
    if tasks is None:
        tasks = draw_tasks(env, request.tasks, draw)
    rollout = Rollout(env, policy, tasks, request, decoding=decoding, rng=rng)
    shown = Demonstrations(env, draw_tasks(env, request.demonstrations, draw))
    written = perf_counter()
    trajectories = [*rollout.wait(), *shown.wait()]
    clock.sampling_s += written - began
    clock.waiting_s += perf_counter() - written
    return trajectories


def draw_tasks(env: ProgramEnv, count: int, rng: np.random.Generator) -> list[Task]:
    """Draw tasks of an environment, each as likely as any other, with replacement."""
    source = env.source
    return [source[int(index)] for index in rng.integers(len(source), size=count)]


class Rollout:
    """Episodes that a policy has written, being graded meanwhile.

    Args:
        env: The environment.
        policy: Who writes.
        tasks: The tasks to play.
        request: How many programs of each, and at which temperature.
        decoding: How programs are written.
        rng: Source of randomness; the policy's own if None.
        given: Ids that each task's programs begin with. They are part of the trajectory's prompt,
            so that nothing is learnt about them.

    Raises:
        PromptTooLongError: A prompt leaves no room for a program in the policy's context.
        ConfigError: With ``grammar``, a prompt is not of the Python that masks know.
    """

    def __init__(
        self,
        env: ProgramEnv,
        policy: Policy,
        tasks: Sequence[Task],
        request: Request,
        *,
        decoding: Decoding | None = None,
        rng: "torch.Generator | None" = None,
        given: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self._env, self._count = env, len(tasks)
        self._drafts: list[Draft] = []
        self._tickets: list[int] = []
        self._endings: dict[int, Ending] = {}
        if tasks:
            writer = _Writer(env, policy, request, decoding or Decoding(), rng)
            self._write_all(writer, env.open(tasks, given=given))

    def _write_all(self, writer: "_Writer", openings: Sequence[Opening]) -> None:
        per_chunk = writer.tasks_at_once
        for start in range(0, len(openings), per_chunk):
            self._submit(writer.write(openings[start : start + per_chunk], first=start))
        for _ in range(1, self._env.turns):
            followed = self._follow(writer)
            if not followed:
                break
            for start in range(0, len(followed), writer.rows):
                chosen = followed[start : start + writer.rows]
                self._replace(chosen, writer.go_on([draft for _, draft in chosen]))

    def _submit(self, drafts: Sequence[Draft]) -> None:
        self._tickets += self._env.submit([draft.written() for draft in drafts])
        self._drafts += drafts

    def _follow(self, writer: "_Writer") -> list[tuple[int, Draft]]:
        """Return the episodes that go on, each with the opening of its next program."""
        followed = []
        for place, ending in enumerate(self._receive()):
            draft = self._drafts[place]
            if ending.done:
                continue
            draft.cut(ending.length)
            message = tuple(writer.policy.encode_message(ending.message))
            ids = [*draft.ids(), *message]
            opening = None
            if len(ids) < writer.policy.max_tokens:
                opening = self._env.follow(draft.opening, ids)
            if opening is not None:
                draft.message = message
                followed.append((place, writer.after(draft, opening)))
        return followed

    def _receive(self) -> list[Ending]:
        waiting = [ticket for ticket in self._tickets if ticket not in self._endings]
        self._endings.update(zip(waiting, self._env.wait(waiting), strict=True))
        return [self._endings[ticket] for ticket in self._tickets]

    def _replace(self, places: Sequence[tuple[int, Draft]], drafts: Sequence[Draft]) -> None:
        tickets = self._env.submit([draft.written() for draft in drafts])
        for (place, _), draft, ticket in zip(places, drafts, tickets, strict=True):
            self._drafts[place], self._tickets[place] = draft, ticket

    def wait_by_task(self) -> list[list[Trajectory]]:
        """Return the judged episodes of each task.

        Raises:
            SandboxError: The sandbox broke.
        """
        groups: list[list[Trajectory]] = [[] for _ in range(self._count)]
        for draft, ending in zip(self._drafts, self._receive(), strict=True):
            if ending.error is None:
                groups[draft.number].append(draft.finish(ending))
        return groups

    def wait(self) -> list[Trajectory]:
        """Return the judged episodes, those of one task together.

        Raises:
            SandboxError: The sandbox broke.
        """
        return [episode for group in self.wait_by_task() for episode in group]

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes as plain values, without their verdicts."""
        return {"count": self._count, "drafts": [draft.to_state() for draft in self._drafts]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], env: ProgramEnv, policy: Policy) -> Self:
        """Restore what ``state_dict`` returned; the programs are graded anew."""
        rollout = cls(env, policy, (), Request())
        rollout._count = state["count"]
        tasks: dict[str, Task] = {}
        rollout._submit([Draft.from_state(row, tasks) for row in state["drafts"]])
        return rollout


class _Writer:
    """Writes programs for openings as a request asks for them."""

    def __init__(
        self,
        env: ProgramEnv,
        policy: Policy,
        request: Request,
        decoding: Decoding,
        rng: "torch.Generator | None",
    ) -> None:
        self.policy, self.rows = policy, decoding.rows
        self._tokenizer = env.tokenizer
        self._request, self._decoding, self._rng = request, decoding, rng

    @property
    def tasks_at_once(self) -> int:
        """How many tasks' programs are written side by side."""
        return max(1, self.rows // self._request.samples)

    def write(self, openings: Sequence[Opening], *, first: int) -> list[Draft]:
        """Write every program that is asked for of each opening; number them from ``first``."""
        samples = self._request.samples
        greedy = self._decoding.deterministic
        drafts = self._generate(openings, n=samples, greedy=greedy)
        for place, draft in enumerate(drafts):
            draft.number = first + place // samples
        if not self._request.greedy:
            return drafts
        once = self._generate(openings, n=1, greedy=True)
        for place, draft in enumerate(once):
            draft.number = first + place
        return [
            draft
            for place, last in enumerate(once)
            for draft in (*drafts[place * samples : (place + 1) * samples], last)
        ]

    def after(self, earlier: Draft, opening: Opening) -> Draft:
        """Return the next program of an episode, before it is written."""
        nothing = earlier.actions[:0]
        return Draft(
            number=earlier.number,
            opening=opening,
            actions=nothing,
            log_probs=earlier.log_probs[:0],
            values=earlier.values[:0],
            finished=False,
            turn=earlier.turn + 1,
            earlier=earlier,
            temperature=earlier.temperature,
            greedy=earlier.greedy,
            version=earlier.version,
        )

    def go_on(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Write the present program of each draft."""
        for greedy in (False, True):
            chosen = [draft for draft in drafts if draft.greedy is greedy]
            if not chosen:
                continue
            written = self._generate([draft.opening for draft in chosen], n=1, greedy=greedy)
            for draft, new in zip(chosen, written, strict=True):
                draft.actions, draft.log_probs = new.actions, new.log_probs
                draft.values, draft.masks = new.values, new.masks
                draft.finished = new.finished
        return list(drafts)

    def _generate(self, openings: Sequence[Opening], *, n: int, greedy: bool) -> list[Draft]:
        rooms = [opening.limit - len(opening.prompt) for opening in openings]
        constraint: dict[str, Constraint] = {}
        if self._decoding.grammar:
            constraint["constraint"] = _python(self.policy, self._tokenizer, openings)
        written = self.policy.generate(
            [opening.prompt.tolist() for opening in openings],
            n=n,
            budget=max(rooms),
            temperature=self._request.temperature,
            top_p=self._decoding.top_p,
            deterministic=greedy,
            rng=self._rng,
            **constraint,
        )
        return [
            self._draft(openings[row // n], rooms[row // n], written, row, greedy)
            for row in range(len(written.actions))
        ]

    def _draft(
        self, opening: Opening, room: int, written: Generation, row: int, greedy: bool
    ) -> Draft:
        draft = Draft(
            number=0,
            opening=opening,
            actions=written.actions[row],
            log_probs=written.log_probs[row],
            values=written.values[row],
            finished=bool(written.finished[row]),
            masks=written.masks[row] if written.masks else None,
            temperature=self._request.temperature,
            greedy=greedy,
            version=self.policy.version,
        )
        if len(draft.actions) > room:
            draft.cut(room)
            draft.finished = False
        return draft


def _python(policy: Policy, tokenizer: Tokenizer, openings: Sequence[Opening]) -> Constraint:
    """Return the constraint that keeps programs valid Python.

    Raises:
        MissingExtraError: lark is not installed.
        ConfigError: The policy takes no constraint, the tokenizer lacks a character, or a prompt is
            not of the grammar.
    """
    if "constraint" not in signature(policy.generate).parameters:
        raise ConfigError(
            "this policy cannot be kept to a grammar",
            value=policy.name,
            expected="a generate that takes a constraint",
            cure="leave grammar out",
        )
    mask = shared_mask(tokenizer)
    heads = [
        (opening.task.prompt if opening.task.prompt_is_code else "")
        + tokenizer.decode(opening.given)
        for opening in openings
    ]
    return Constraint(mask=mask, states=[mask.start(head) for head in heads])
