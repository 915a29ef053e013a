"""TextVectorEnv: many episodes in texts side by side; programs that end together are judged so."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from codegym.envs.arguments import check_choice, check_positive, checked_names
from codegym.envs.batching import Infos, SeededRows, read_mode, read_reset, stack_infos
from codegym.envs.dialogue import Conversation, Reply
from codegym.envs.episodes import Episodes, Granularity, PlaysPrograms
from codegym.envs.rendering import check_mode
from codegym.envs.text import RENDER_MODES, AnyText, charset_of
from codegym.errors import EpisodeOverError, InvalidActionError
from codegym.grading.judge import Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.rewards import Reward
from codegym.sources import TaskSource
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer

Texts = tuple[str, ...]
Flags = NDArray[np.bool_]


class TextVectorEnv(  # type: ignore[misc]
    SeededRows, PlaysPrograms, VectorEnv[Texts, Texts, NDArray[Any]]
):
    """Native vector form of ``TextEnv``, made by ``gymnasium.make_vec``.

    Args:
        num_envs: Number of sub-envs.
        tasks, reward, granularity, turns, max_lines, max_chars, isolation, on_sandbox_error,
            tokenizer, max_tokens, budget, answers, encode_prompt, render_mode, judge: As of
            ``TextEnv``.
        autoreset_mode: As of ``SynthesisVectorEnv``.

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
        granularity: Granularity = "program",
        turns: int = 1,
        max_lines: int = 64,
        max_chars: int = 1 << 16,
        isolation: str = "auto",
        on_sandbox_error: str = "raise",
        tokenizer: str | Tokenizer = "lexemes",
        max_tokens: int = 1024,
        budget: int | None = None,
        answers: bool = False,
        encode_prompt: Callable[[str], Sequence[int]] | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        judge: Judge | Verdicts | None = None,
    ) -> None:
        check_positive("num_envs", num_envs)
        check_choice("granularity", granularity, ("line", "program"))
        check_positive("max_chars", max_chars)
        self.episodes = Episodes(
            tasks=tasks,
            reward=reward,
            tokenizer=tokenizer,
            max_tokens=max_tokens,
            budget=budget,
            granularity=granularity,
            turns=turns,
            max_lines=max_lines,
            isolation=isolation,
            on_sandbox_error=on_sandbox_error,
            answers=answers,
            encode_prompt=encode_prompt,
            judge=judge,
        )
        self.num_envs, self._max_chars = num_envs, max_chars
        self.tokenizer = self.episodes.tokenizer
        self.render_mode = check_mode(render_mode, RENDER_MODES)
        self.autoreset_mode = read_mode(autoreset_mode)
        self.metadata = {"render_modes": list(RENDER_MODES), "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = AnyText(max_chars, min_length=0)
        self.single_action_space = AnyText(max_chars, min_length=0, charset=charset_of(granularity))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._conversations: list[Conversation | None] = [None] * num_envs
        self._shown = [""] * num_envs
        self._cut: Flags = np.zeros(num_envs, dtype=np.bool_)
        self.seed_rows(num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Texts, Infos]:
        """Start an episode in every sub-env, or in those that ``options["reset_mask"]`` marks.

        Args:
            seed: ``s`` seeds the sub-envs ``s, s+1, ...``; a sequence seeds each.
            options: ``task_id``, one for all or a sequence with one for each; ``reset_mask``, a
                (num_envs,) bool array.

        Raises:
            ConfigError: A sequence of the wrong length, or a mask that marks nothing.
            UnknownNameError: An option of another name.
            TaskError: No task has that id.
        """
        rows, seeds, task_ids = read_reset(seed, options, self.num_envs)
        infos = [self._start(row, seeds[row], task_ids[row]) for row in rows]
        return tuple(self._shown), stack_infos(infos, rows, self.num_envs)

    def mark_cut(self, rows: Sequence[int]) -> None:
        """Say that a token budget cut the texts which these sub-envs get in the next step."""
        self._cut[list(rows)] = True

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Texts, NDArray[np.float64], Flags, Flags, Infos]:
        """Give every sub-env a text; programs that end are judged together.

        Raises:
            InvalidActionError: An action is not in the action space.
            EpisodeOverError: Before the first reset; or, without autoreset, after an end.
            SandboxError: A program could not be judged. Never a reward of zero.
        """
        if len(actions) != self.num_envs:
            raise InvalidActionError(
                "actions of the wrong number", value=actions, expected=f"{self.num_envs} texts"
            )
        self._check_started()
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=np.bool_)
        infos: dict[int, Infos] = {}
        programs = {}
        for row, (conversation, text) in enumerate(zip(self._conversations, actions, strict=True)):
            if conversation is None:
                infos[row] = self._start(row)
                continue
            program = conversation.take(text, cut=bool(self._cut[row]))
            if program is None:
                self._say(row, conversation.waiting(), infos)
            else:
                programs[row] = conversation, program
        self._cut[:] = False
        endings = self.episodes.close([program for _, program in programs.values()])
        for row, ending in zip(programs, endings, strict=True):
            reply = programs[row][0].answer(ending)
            self._say(row, reply, infos)
            rewards[row] = reply.reward
            terminated[row] = reply.done and reply.judged
            truncated[row] = not reply.judged
            if reply.done:
                self._over(row, infos)
        rows = sorted(infos)
        stacked = stack_infos([infos[row] for row in rows], rows, self.num_envs) if rows else {}
        return tuple(self._shown), rewards, terminated, truncated, stacked

    def render(self) -> tuple[str, ...] | None:
        """Return what each agent sees (mode ``ansi``)."""
        return tuple(self._shown) if self.render_mode == "ansi" else None

    def _say(self, row: int, reply: Reply, infos: dict[int, Infos]) -> None:
        self._shown[row], infos[row] = reply.text, reply.info

    def _over(self, row: int, infos: dict[int, Infos]) -> None:
        self._conversations[row] = None
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            last = {"final_obs": self._shown[row], "final_info": infos[row]}
            infos[row] = last | self._start(row)

    def _start(self, row: int, seed: int | None = None, task_id: str | None = None) -> Infos:
        rng, source = self.rng_of(row, seed), self.episodes.source
        if task_id is None:
            task = source[int(rng.integers(len(source)))]
        else:
            task = source.find(task_id)
        conversation = Conversation(self.episodes, task, max_chars=self._max_chars)
        self._conversations[row], self._shown[row] = conversation, conversation.text()
        return {"task_id": task.task_id, "prompt": task.prompt, "turn": 1}

    def _check_started(self) -> None:
        ended = [row for row, each in enumerate(self._conversations) if each is None]
        never = len(ended) == self.num_envs and not any(self._shown)
        if never or (ended and self.autoreset_mode is AutoresetMode.DISABLED):
            raise EpisodeOverError(
                "step of an ended episode",
                value=ended,
                cure='call reset(options={"reset_mask": terminated}) first',
            )
