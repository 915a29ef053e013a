"""Collect: a policy plays an environment, and the episodes become judged trajectories.

Every agent learns from what ``collect`` returns. An environment of codegym takes the fast road: it
opens a batch of episodes, the policy writes whole programs with ``generate``, and the environment
grades and prices them while the next ones are being written. Any other environment, and one in a
wrapper, is stepped with ``Policy.act``. Both roads give the same trajectories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from gymnasium.vector import VectorEnv

from codegym.episode import Ending, ProgramEnv, Request
from codegym.errors import ConfigError
from codegym.policy import Policy
from codegym.rollout.authors import Authors, LocalAuthors
from codegym.rollout.demonstrations import Demonstrations
from codegym.rollout.draft import Draft
from codegym.rollout.player import seed_from
from codegym.rollout.program_writer import Decoding, ProgramWriter
from codegym.rollout.stepping import step_episodes
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class Clock:
    """Where the seconds of a rollout went: writing programs, and waiting for their verdicts."""

    sampling_s: float = 0.0
    waiting_s: float = 0.0


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
        authors: Who writes for the policy; by default the policy itself, before this returns.

    Raises:
        PromptTooLongError: A prompt leaves no room for a program.
        ConfigError: With ``grammar``, a prompt is not of the Python that masks know; or programs
            of this policy cannot be written elsewhere.
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
        authors: Authors | None = None,
    ) -> None:
        self._env, self._count = env, len(tasks)
        self._drafts: list[Draft] = []
        self._tickets: list[int] = []
        self._endings: dict[int, Ending] = {}
        self._writer: ProgramWriter | None = None
        if not tasks:
            return
        authors = authors or LocalAuthors()
        self._writer = ProgramWriter(env, policy, request, decoding or Decoding(), rng, authors)
        self._first = self._writer.begin(env.open(tasks, given=given))
        if not self._first.later:
            self.complete()

    def poll(self) -> None:
        """Hand programs that were written meanwhile to the grader; return at once."""
        while self._writer is not None and self._first.ready():
            self._submit(next(self._first))

    def complete(self) -> None:
        """Wait until all programs are written, and hand them to the grader.

        Raises:
            ClusterError: No machine is left to write them.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        for drafts in self._first:
            self._submit(drafts)
        for _ in range(1, self._env.turns):
            followed = self._follow(writer)
            if not followed:
                break
            chunks = [
                followed[start : start + writer.rows]
                for start in range(0, len(followed), writer.rows)
            ]
            written = writer.go_on([[draft for _, draft in chunk] for chunk in chunks])
            for chunk, drafts in zip(chunks, written, strict=True):
                self._replace(chunk, drafts)

    def _submit(self, drafts: Sequence[Draft]) -> None:
        self._tickets += self._env.submit([draft.written() for draft in drafts])
        self._drafts += drafts

    def _follow(self, writer: "ProgramWriter") -> list[tuple[int, Draft]]:
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
            ClusterError: No machine is left to write programs.
        """
        self.complete()
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
        """Return the episodes as plain values, without their verdicts; wait for their programs."""
        self.complete()
        return {"count": self._count, "drafts": [draft.to_state() for draft in self._drafts]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], env: ProgramEnv, policy: Policy) -> Self:
        """Restore what ``state_dict`` returned; the programs are graded anew."""
        rollout = cls(env, policy, (), Request())
        rollout._count = state["count"]
        tasks: dict[str, Task] = {}
        rollout._submit([Draft.from_state(row, tasks) for row in state["drafts"]])
        return rollout
