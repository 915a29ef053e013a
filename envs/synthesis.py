"""SynthesisEnv: a program is written token by token and graded by its tests at the end."""

import copy as copying
from collections.abc import Callable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from codegym.envs.arguments import check_flag, check_options, checked_names
from codegym.envs.episodes import Episodes, ending_info, opening_info
from codegym.envs.rendering import RENDER_MODES, check_mode, render
from codegym.episode import Ending, Opening, Written
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


class SynthesisEnv(gym.Env[Obs, np.int64]):
    """Write a program token by token; its tests pay at the end.

    **Observation**: ``Box(0, V-1, (max_tokens,), int32)``, the ids of the prompt and of the
    program so far, padded on the right. **Action**: ``Discrete(V)``, the next token.
    **Reward**: 0 until the program ends, then that of its verdict. **End**: the end token, or the
    budget's last token; both are ``terminated``, since the budget is part of the task. What the
    budget cut is judged unfinished, and ``info["cut"]`` is True.

    ``info`` holds ``length`` (tokens written so far) at every step; ``task_id`` and ``prompt`` at
    reset; ``task_id, program, verdict, feedback, token_rewards`` (a tuple, one float per action)
    and ``cut`` at the last step. ``reset(options={"task_id": ...})`` chooses the task.

    Args:
        tasks: Task URI: ``"composites?depth=2&split=train"``; or a source, or a list of ``Task``,
            which no spec of Gymnasium can hold as JSON.
        reward: Reward expression: ``"binary"``, ``"0.8*pass_rate+0.2*coderl"``; or a Reward, or a
            function of the ``Verdict``, which no spec can hold either.
        tokenizer: ``"lexemes"``, ``"bytes"``, or ``"name:folder"`` for a saved tokenizer.
        max_tokens: Length of the observation: prompt and program together.
        budget: Most tokens of a program, the end token included; None leaves it to ``max_tokens``.
        isolation: Isolation of the sandbox: ``auto``, or a name from ``codegym list sandboxes``.
        on_sandbox_error: What to do when a program could not be judged, twice: ``raise``, or
            ``truncate`` the episode with reward 0 and the reason in
            ``info["infrastructure_error"]``, for learners that leave such episodes out.
        copy: False hands out the same array at every step, as a read-only view.
        render_mode: See ``metadata["render_modes"]``.
        answers: Whether the tokens are a chat model's answer, from which the program is taken.
        encode_prompt: Turns a task's prompt into ids, as a policy with a template does; the
            tokenizer's ``encode`` if None.
        judge: A Judge, or a function that judges instead of a sandbox, for tests.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make("codegym:CodeGym/Synthesis-v0", tasks="atoms")  # doctest: +SKIP
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 12}  # noqa: RUF012

    @checked_names
    def __init__(
        self,
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
        copy: bool = True,
        render_mode: str | None = None,
        judge: Judge | Verdicts | None = None,
    ) -> None:
        check_flag("copy", copy)
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
        self.tokenizer = self.episodes.tokenizer
        self.render_mode = check_mode(render_mode)
        vocab = self.tokenizer.vocab_size
        self.observation_space = spaces.Box(0, vocab - 1, (max_tokens,), np.int32)
        self.action_space = spaces.Discrete(vocab)
        self._live = render_mode == "human"
        self._vocab, self._end, self._copy = vocab, self.tokenizer.end_id, copy
        self._row: Obs = np.full(max_tokens, self.tokenizer.pad_id, dtype=np.int32)
        self._share()
        self._opening: Opening | None = None
        self._start = self._length = self._limit = 0
        self._over = True
        self._mask: EpisodeMask | None = None
        self._ending: Ending | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode of a random task, or of ``options["task_id"]``.

        Raises:
            UnknownNameError: An option of another name.
            TaskError: No task has that id.
            PromptTooLongError: The task's prompt leaves no room for a program.
        """
        super().reset(seed=int(seed) if isinstance(seed, np.integer) else seed)
        chosen = check_options(options, ("task_id",)).get("task_id")
        opening = self.episodes.choose(self.np_random, chosen)
        count = len(opening.prompt)
        self._row[:count] = opening.prompt
        self._row[count:] = self.tokenizer.pad_id
        self._opening, self._limit = opening, opening.limit
        self._start = self._length = count
        self._over, self._mask, self._ending = False, None, None
        if self._live:
            self.render()
        return self._observe(), opening_info(opening)

    def step(self, action: Any) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Append a token; the last token of an episode starts its grading.

        Raises:
            InvalidActionError: The action is not in the action space.
            EpisodeOverError: The episode has ended, or was never started.
            SandboxError: The program could not be judged. Never a reward of zero.
        """
        if self._over:
            raise EpisodeOverError("step after the end of the episode", cure="call reset() first")
        try:
            token = index(action)
        except TypeError:
            token = -1
        if not 0 <= token < self._vocab:
            raise InvalidActionError(
                "an action outside the space", value=action, expected=f"0..{self._vocab - 1}"
            )
        length = self._length
        self._row[length] = token
        self._length = length = length + 1
        if token != self._end and length < self._limit:
            if self._live:
                self.render()
            obs = self._row.copy() if self._copy else self._view
            return obs, 0.0, False, False, {"length": length - self._start}
        return self._finish(token)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which tokens keep the program a prefix of Python that fits the budget.

        Returns:
            (V,) bool; all True after the end. See ``codegym.grammar`` for what is exact and what
            it costs. The name is sb3-contrib's.

        Raises:
            MissingExtraError: lark is not installed (extra ``grammar``).
            ConfigError: A printable ASCII character has no id, or the prompt is not of the Python
                that masks know.
        """
        if self._over or self._opening is None:
            return np.ones(self._vocab, dtype=np.bool_)
        if self._mask is None:
            from codegym.envs.masking import EpisodeMask

            self._mask = EpisodeMask(self.tokenizer, self._opening)
        written = self._row[self._start : self._length]
        return self._mask.allowed(written, self._limit - self._length)

    def _finish(self, token: int) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        self._over = True
        assert self._opening is not None
        written = Written(self._opening, self._written(), finished=token == self._end)
        (ending,) = self.episodes.close([self.episodes.read(written)[0]])
        self._ending = ending
        if self._live:
            self.render()
        judged = ending.error is None
        info = ending_info(self._opening.task, ending)
        return self._observe(), ending.reward, judged, not judged, info

    def render(self) -> Any:
        """Draw the episode in the env's mode; None without a mode.

        Returns:
            Text for ``ansi`` and ``html`` (one self-contained page), (480, 800, 3) uint8 for
            ``rgb_array``; ``human`` draws to the terminal, by itself at every step.

        Raises:
            MissingExtraError: ``rgb_array`` without Pillow (extra ``render``).
            EpisodeOverError: Before the first reset.
        """
        if self.render_mode is None:
            return None
        return render(self.view(), self.render_mode)

    def view(self) -> EpisodeView:
        """Return the episode as the renderers see it.

        Raises:
            EpisodeOverError: Before the first reset.
        """
        if self._opening is None:
            raise EpisodeOverError("no episode to show", cure="call reset() first")
        ending = self._ending
        return EpisodeView(
            task_id=self._opening.task.task_id,
            prompt=self._opening.task.prompt,
            pieces=pieces_of(self.tokenizer, self._written()),
            credit=tuple(ending.credit.tolist()) if ending else (),
            reward=ending.reward if ending else None,
            verdict=ending.verdict if ending else None,
            prompt_is_code=self._opening.task.prompt_is_code,
        )

    def fork(self) -> "SynthesisEnv":
        """Return a second env in the same state, for tree search.

        It shares tasks, grader and caches with this env, and draws the same tasks from now on.
        """
        twin = copying.copy(self)
        twin._row = self._row.copy()
        twin._share()
        twin._mask = copying.copy(self._mask)
        twin._np_random = copying.deepcopy(self._np_random)
        twin.action_space = copying.deepcopy(self.action_space)
        return twin

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copied or pickled view is a separate array, which no step would change.
        self.__dict__.update(state)
        self._share()

    def _share(self) -> None:
        self._view = self._row.view()
        self._view.flags.writeable = False

    def _written(self) -> list[int]:
        ids: list[int] = self._row[self._start : self._length].tolist()
        return ids

    def _observe(self) -> Obs:
        return self._row.copy() if self._copy else self._view
