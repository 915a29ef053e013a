"""SynthesisVectorEnv: many token-level episodes in an integer array.

A plain token costs no Python per sub-env; programs that end in the same step are judged together.
Observations, rewards and infos are those of ``gymnasium.vector.SyncVectorEnv`` over single envs
with the same seeds, in each autoreset mode.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from codegym.envs.arguments import (
    check_choice,
    check_flag,
    check_positive,
    checked_names,
)
from codegym.envs.batching import Infos, SeededRows, read_mode, read_reset, stack_infos
from codegym.envs.episodes import Episodes, PlaysPrograms, ending_info, opening_info
from codegym.envs.rendering import check_mode, render
from codegym.episode import Opening, Written
from codegym.errors import EpisodeOverError, InvalidActionError
from codegym.grading.judge import Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.pages.episode_view import EpisodeView, pieces_of
from codegym.rewards import Reward
from codegym.sources import TaskSource
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer

if TYPE_CHECKING:
    from codegym.envs.masking import EpisodeMask

Obs = NDArray[np.int32]
Flags = NDArray[np.bool_]
_RENDER_MODES = ("ansi", "html", "rgb_array")


class SynthesisVectorEnv(  # type: ignore[misc]
    SeededRows, PlaysPrograms, VectorEnv[Obs, NDArray[np.int64], NDArray[Any]]
):
    """Native vector form of ``SynthesisEnv``, made by ``gymnasium.make_vec``.

    Args:
        num_envs: Number of sub-envs.
        tasks, reward, tokenizer, max_tokens, budget, isolation, on_sandbox_error, answers,
            encode_prompt, render_mode, judge: As of ``SynthesisEnv``.
        grading: ``step`` judges the programs that end in a step within it. ``deferred`` hands out
            a number in ``info["ticket"]`` with reward 0, judges while the next tokens are written,
            and returns the outcome from ``collect``.
        autoreset_mode: ``"NextStep"``, ``"SameStep"`` or ``"Disabled"``, or Gymnasium's enum. With
            SameStep the last observation and info are in ``final_obs`` and ``final_info``; with
            Disabled, ``reset(options={"reset_mask": mask})`` starts episodes anew.
        max_episode_steps: Truncates episodes after so many tokens, ungraded, as Gymnasium's
            ``TimeLimit`` does.
        copy: False hands out the same array at every step, as a read-only view.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """

    @checked_names
    def __init__(
        self,
        num_envs: int = 1,
        *,
        tasks: str | TaskSource | Sequence[Task] = "composites",
        reward: str | Reward | Callable[[Verdict], float] = "binary",
        tokenizer: str | Tokenizer = "lexemes",
        max_tokens: int = 256,
        budget: int | None = None,
        isolation: str = "auto",
        on_sandbox_error: str = "raise",
        answers: bool = False,
        encode_prompt: Callable[[str], Sequence[int]] | None = None,
        grading: str = "step",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        copy: bool = True,
        render_mode: str | None = None,
        judge: Judge | Verdicts | None = None,
    ) -> None:
        check_positive("num_envs", num_envs)
        check_choice("grading", grading, ("step", "deferred"))
        check_flag("copy", copy)
        if max_episode_steps is not None:
            check_positive("max_episode_steps", max_episode_steps)
        self.episodes = Episodes(
            tasks=tasks,
            reward=reward,
            tokenizer=tokenizer,
            max_tokens=max_tokens,
            budget=budget,
            isolation=isolation,
            on_sandbox_error=on_sandbox_error,
            answers=answers,
            encode_prompt=encode_prompt,
            judge=judge,
        )
        self._deferred = grading == "deferred"
        self._deferred_tasks: dict[int, Task] = {}
        self.num_envs, self._copy = num_envs, copy
        self.render_mode = check_mode(render_mode, _RENDER_MODES)
        self.tokenizer = self.episodes.tokenizer
        self.autoreset_mode = read_mode(autoreset_mode)
        self.metadata = {"render_modes": list(_RENDER_MODES), "autoreset_mode": self.autoreset_mode}
        self._vocab, self._end = self.tokenizer.vocab_size, self.tokenizer.end_id
        self.single_observation_space = spaces.Box(0, self._vocab - 1, (max_tokens,), np.int32)
        self.single_action_space = spaces.Discrete(self._vocab)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._most_steps = max_episode_steps
        self.seed_rows(num_envs)
        self._make_rows(num_envs, max_tokens)

    def _make_rows(self, num_envs: int, max_tokens: int) -> None:
        """Make the state of the sub-envs, none of which has an episode yet."""
        self._rows: Obs = np.full((num_envs, max_tokens), self.tokenizer.pad_id, dtype=np.int32)
        self._share()
        # Places in _flat: of each row, of its program's first token and of its next, past the
        # last of its budget, and where the episode stops at the latest.
        self._first = np.arange(num_envs, dtype=np.int64) * max_tokens
        self._start, self._next = self._first.copy(), self._first.copy()
        self._limit, self._stop = self._first.copy(), self._first.copy()
        self._all: Flags = np.ones(num_envs, dtype=np.bool_)
        self._openings: list[Opening | None] = [None] * num_envs
        self._masks: list[EpisodeMask | None] = [None] * num_envs
        self._over: Flags = np.ones(num_envs, dtype=np.bool_)
        self._any_over = self._never_reset = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copied or pickled views are arrays of their own, which no step would change.
        self.__dict__.update(state)
        self._share()

    def _share(self) -> None:
        self._flat, self._lines = self._rows.reshape(-1), list(self._rows)
        self._view = self._rows.view()
        self._view.flags.writeable = False

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return what a method gives for each sub-env, as Gymnasium's own vector envs do.

        Raises:
            AttributeError: No method of that name tells the sub-envs apart.
        """
        if name not in ("action_masks", "render"):
            raise AttributeError(
                f"{type(self).__name__} has no sub-envs to call {name!r} of; "
                f"'action_masks' and 'render' are given for each"
            )
        each = getattr(self, name)(*args, **kwargs)
        return (None,) * self.num_envs if each is None else tuple(each)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Obs, Infos]:
        """Start an episode in every sub-env, or in those that ``options["reset_mask"]`` marks.

        Args:
            seed: ``s`` seeds the sub-envs ``s, s+1, ...``; a sequence seeds each.
            options: ``task_id``, one for all or a sequence with one for each; ``reset_mask``, a
                (num_envs,) bool array.

        Raises:
            ConfigError: A sequence of the wrong length, or a mask that marks nothing.
            UnknownNameError: An option of another name.
            TaskError: No task has that id.
            PromptTooLongError: A task's prompt leaves no room for a program.
        """
        rows, seeds, task_ids = read_reset(seed, options, self.num_envs)
        for row in rows:
            self.rng_of(row, seeds[row])
        told = self._open(rows, [task_ids[row] for row in rows])
        self._any_over = bool(self._over.any())
        self._never_reset = False
        return self._observe(), stack_infos(told, rows, self.num_envs)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Obs, NDArray[np.float64], Flags, Flags, Infos]:
        """Append one token to every sub-env's program; those that end are judged together.

        Raises:
            InvalidActionError: An action is not in the action space.
            EpisodeOverError: Before the first reset; or, without autoreset, after an end.
            SandboxError: A program could not be judged. Never a reward of zero.
        """
        tokens = self._check(actions)
        rewards = np.zeros(self.num_envs)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        rows: list[int] = []
        told: list[Infos] = []
        if not self._any_over:
            self._flat[self._next] = tokens
            self._next += 1
            ended = (tokens == self._end) | (self._next == self._stop)
        else:
            playing = ~self._over
            self._flat[self._next[playing]] = tokens[playing]
            self._next += playing
            ended = ((tokens == self._end) | (self._next == self._stop)) & playing
            rows = np.flatnonzero(self._over).tolist()
            told = self._open(rows)
        self._over, self._any_over = ended, bool(np.count_nonzero(ended))
        terminated = ended.copy()
        if self._any_over:
            last = np.flatnonzero(ended).tolist()
            if self._most_steps is not None:
                terminated &= (tokens == self._end) | (self._next == self._limit)
                truncated |= ended & (self._next - self._start == self._most_steps)
            told += self._finish(last, tokens == self._end, rewards, terminated, truncated)
            rows += last
        infos = stack_infos(told, rows, self.num_envs) if told else {}
        infos["length"], infos["_length"] = self._next - self._start, self._all.copy()
        return self._observe(), rewards, terminated, truncated, infos

    def collect(self, timeout_s: float | None = None) -> list[tuple[int, float, dict[str, Any]]]:
        """Return (ticket, reward, info) of the deferred programs judged since the last call.

        Args:
            timeout_s: Longest wait for the first of them; None waits until there is one, or none
                is under way. 0 does not wait.

        Raises:
            SandboxError: A program could not be judged, and the env is to raise.
        """
        return [
            (ticket, ending.reward, ending_info(self._deferred_tasks.pop(ticket), ending))
            for ticket, ending in self.episodes.collect(timeout_s)
        ]

    @property
    def under_way(self) -> int:
        """How many deferred programs were not collected yet."""
        return self.episodes.under_way

    def action_masks(self) -> Flags:
        """Return which tokens keep each program a prefix of Python that fits its budget.

        Returns:
            (num_envs, V) bool; rows of ended episodes are all True. See
            ``SynthesisEnv.action_masks``.
        """
        from codegym.envs.masking import EpisodeMask

        masks = np.ones((self.num_envs, self._vocab), dtype=np.bool_)
        for row in np.flatnonzero(~self._over).tolist():
            opening, mask = self._openings[row], self._masks[row]
            assert opening is not None
            if mask is None:
                mask = self._masks[row] = EpisodeMask(self.tokenizer, opening)
            left = int(self._limit[row] - self._next[row])
            masks[row] = mask.allowed(self._written(row), left)
        return masks

    def render(self) -> tuple[Any, ...] | None:
        """Draw every episode, a frame for each sub-env; None without a mode."""
        if self.render_mode is None:
            return None
        return tuple(render(self._view_of(row), self.render_mode) for row in range(self.num_envs))

    def _view_of(self, row: int) -> EpisodeView:
        opening = self._openings[row]
        if opening is None:
            raise EpisodeOverError("no episode to show", cure="call reset() first")
        written = self._written(row).tolist()
        return EpisodeView(
            task_id=opening.task.task_id,
            prompt=opening.task.prompt,
            pieces=pieces_of(self.tokenizer, written),
            prompt_is_code=opening.task.prompt_is_code,
        )

    def _finish(
        self,
        rows: list[int],
        finished: Flags,
        rewards: NDArray[np.float64],
        terminated: Flags,
        truncated: Flags,
    ) -> list[Infos]:
        """Judge what terminated, mark what could not be judged, and start anew if due."""
        done = [row for row in rows if terminated[row]]
        written = self._programs(done, finished)
        if self._deferred:
            infos = self._defer(written)
        else:
            endings = self.episodes.close([self.episodes.read(each)[0] for each in written])
            rewards[done] = [ending.reward for ending in endings]
            broken = [row for row, each in zip(done, endings, strict=True) if each.error]
            terminated[broken], truncated[broken] = False, True
            infos = [
                ending_info(each.opening.task, ending)
                for each, ending in zip(written, endings, strict=True)
            ]
        if len(done) < len(rows):
            known = dict(zip(done, infos, strict=True))
            infos = [known.get(row) or {"length": len(self._written(row))} for row in rows]
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return infos
        last = self._rows[rows]
        self._any_over = False
        return [
            {"final_obs": obs, "final_info": info, **opened}
            for obs, info, opened in zip(last, infos, self._open(rows), strict=True)
        ]

    def _defer(self, written: list[Written]) -> list[Infos]:
        tickets = self.submit(written)
        tasks = [each.opening.task for each in written]
        self._deferred_tasks.update(zip(tickets, tasks, strict=True))
        return [
            {"length": len(each.actions), "task_id": task.task_id, "ticket": ticket}
            for each, task, ticket in zip(written, tasks, tickets, strict=True)
        ]

    def _open(self, rows: list[int], task_ids: Sequence[str | None] = ()) -> list[Infos]:
        """Start episodes of random tasks in some rows, or of those that are named."""
        openings = [
            self.episodes.choose(self.rng_of(row), task_id)
            for row, task_id in zip_longest(rows, task_ids)
        ]
        starts = [len(opening.prompt) for opening in openings]
        self._rows[rows] = self.tokenizer.pad_id
        for row, start, opening in zip(rows, starts, openings, strict=True):
            self._lines[row][:start] = opening.prompt
            self._openings[row], self._masks[row] = opening, None
        self._start[rows] = self._next[rows] = self._first[rows] + starts
        self._limit[rows] = self._stop[rows] = self._first[rows] + [
            opening.limit for opening in openings
        ]
        if self._most_steps is not None:
            self._stop = np.minimum(self._limit, self._start + self._most_steps)
        self._over[rows] = False
        return [opening_info(opening) for opening in openings]

    def _programs(self, rows: list[int], finished: Flags) -> list[Written]:
        spans = zip(self._start[rows].tolist(), self._next[rows].tolist(), strict=True)
        return [
            Written(opening, self._flat[start:stop].tolist(), ended)
            for opening, (start, stop), ended in zip(
                [self._opened(row) for row in rows], spans, finished[rows].tolist(), strict=True
            )
        ]

    def _opened(self, row: int) -> Opening:
        opening = self._openings[row]
        assert opening is not None
        return opening

    def _written(self, row: int) -> Obs:
        return self._flat[self._start[row] : self._next[row]]

    def _observe(self) -> Obs:
        return self._rows.copy() if self._copy else self._view

    def _check(self, actions: Any) -> NDArray[Any]:
        if self._any_over and (self._never_reset or self.autoreset_mode is AutoresetMode.DISABLED):
            raise EpisodeOverError(
                "step of an ended episode",
                value=np.flatnonzero(self._over).tolist(),
                cure='call reset(options={"reset_mask": terminated}) first',
            )
        tokens = np.asarray(actions)
        if tokens.shape != (self.num_envs,) or tokens.dtype.kind not in "iu":
            raise InvalidActionError(
                "actions of the wrong shape or type",
                value=actions,
                expected=f"{self.num_envs} integers",
            )
        tokens = tokens.astype(np.int64, copy=False)
        # One comparison for both ends: a negative number is very large without its sign.
        if np.count_nonzero(tokens.view(np.uint64) >= self._vocab):
            raise InvalidActionError(
                "an action outside the space",
                value=tokens.tolist(),
                expected=f"0..{self._vocab - 1}",
            )
        return tokens
