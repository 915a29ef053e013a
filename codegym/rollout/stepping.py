"""Stepping: any vector environment played action by action with ``Policy.act``.

Observations and actions are token ids, or texts that the policy writes in tokens. This is slow; it
serves other people's environments, and shows that the fast road of codegym's gives the same.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from codegym.episode import Opening, ProgramEnv, Request, Written
from codegym.errors import ConfigError
from codegym.policy import Policy
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


def seed_from(rng: "torch.Generator") -> int:
    """Draw a seed from a generator."""
    import torch

    return int(torch.randint(2**31, (1,), generator=rng, device=rng.device))


def step_episodes(
    env: "VectorEnv[Any, Any, Any]",
    policy: Policy,
    request: Request,
    *,
    tasks: Sequence[Task] | None = None,
    rng: "torch.Generator | None" = None,
    deterministic: bool = False,
) -> list[Trajectory]:
    """Play episodes by stepping; see ``collect``.

    Episodes are played in rounds of ``env.num_envs``. In a round, a sub-env whose episode is over
    gets actions that do not count, so that short episodes are not preferred.

    Raises:
        ConfigError: The spaces are not the policy's, or the request asks for what stepping cannot
            do: greedy programs beside the sampled ones, or demonstrations.
        InvalidActionError, SandboxError: As of ``env.step``.
    """
    if request.greedy or request.demonstrations:
        raise ConfigError(
            "an environment that is stepped gives sampled programs only",
            value=str(request),
            expected="a request without greedy programs and demonstrations",
            cure="an agent that asks for neither (ppo, grpo, rft ...), without a warm start; or an "
            "environment that is a codegym.episode.ProgramEnv",
        )
    space = env.single_action_space
    player: type[_Player]
    if isinstance(space, spaces.Discrete):
        player = _TokenPlayer
    elif isinstance(space, spaces.Text):
        player = _TextPlayer
    else:
        raise ConfigError(
            "no policy of codegym can act in this environment",
            value=str(space),
            expected="actions that are token ids (Discrete) or texts (Text)",
        )
    wanted = request.tasks * request.samples
    chosen: list[str] | None = None
    if tasks is not None:
        chosen = [task.task_id for task in tasks for _ in range(request.samples)]
        wanted = len(chosen)
    episodes: list[Trajectory] = []
    for start in range(0, wanted, env.num_envs):
        rows = min(env.num_envs, wanted - start)
        ids = chosen and chosen[start : start + rows]
        played = player(env, policy, request, rng, deterministic).play(rows, ids)
        episodes += played
    return sorted(episodes, key=_first_seen(episodes)) if tasks is None else episodes


def _first_seen(episodes: Sequence[Trajectory]) -> Any:
    """Return a sorting key that puts the episodes of a task together, in order of appearance."""
    order: dict[str, int] = {}
    for episode in episodes:
        order.setdefault(episode.task_id, len(order))
    return lambda episode: order[episode.task_id]


class _Player:
    """Plays one round of episodes."""

    def __init__(
        self,
        env: "VectorEnv[Any, Any, Any]",
        policy: Policy,
        request: Request,
        rng: "torch.Generator | None",
        deterministic: bool,
    ) -> None:
        self.env, self.policy, self.rng = env, policy, rng
        self.temperature, self.deterministic = request.temperature, deterministic
        self.same_step = env.metadata.get("autoreset_mode") is AutoresetMode.SAME_STEP
        self.pad_id, self.end_id = policy.tokenizer.pad_id, policy.tokenizer.end_id

    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        """Play episodes in the first ``rows`` sub-envs; the tasks are the env's if None."""
        raise NotImplementedError

    def reset(self, task_ids: Sequence[str] | None) -> tuple[Any, dict[str, Any]]:
        options = None
        if task_ids is not None:
            spare = [task_ids[0]] * (self.env.num_envs - len(task_ids))
            options = {"task_id": [*task_ids, *spare]}
        seed = None if self.rng is None else seed_from(self.rng)
        return self.env.reset(seed=seed, options=options)

    def last_info(self, infos: Mapping[str, Any], row: int) -> dict[str, Any]:
        """Return the info of an episode's last step."""
        info = info_of(infos, row)
        if self.same_step and "final_info" in info:
            final = info["final_info"]
            return dict(final) if isinstance(final, Mapping) else {}
        return info


class _TokenPlayer(_Player):
    """Plays environments whose observations and actions are token ids."""

    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        env, vocab = self.env, self.policy.tokenizer.vocab_size
        space, box = env.single_action_space, env.single_observation_space
        if not isinstance(space, spaces.Discrete) or int(space.n) != vocab or space.start:
            raise ConfigError(
                "the action space is not the policy's vocabulary",
                value=str(space),
                expected=f"Discrete({vocab})",
                cure="make the env with the policy's tokenizer",
            )
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise ConfigError("observations are no rows of ids", value=str(box), expected="a Box")
        obs, infos = self.reset(task_ids)
        obs = np.asarray(obs)
        starts = (obs != self.pad_id).sum(axis=1)
        prompts = [obs[row, : starts[row]].astype(np.int64) for row in range(rows)]
        names = [str(info_of(infos, row).get("task_id", row)) for row in range(rows)]
        tracks = [_Track() for _ in range(rows)]
        last: dict[int, tuple[dict[str, Any], bool]] = {}
        state: Any = None
        while len(last) < rows:
            step = self.policy.act(
                obs,
                state,
                temperature=self.temperature,
                deterministic=self.deterministic,
                rng=self.rng,
            )
            state = step.state
            obs, rewards, terminated, truncated, infos = env.step(step.actions)
            obs = np.asarray(obs)
            for row in range(rows):
                if row in last:
                    continue
                tracks[row].add(step.actions[row], step.log_probs[row], step.values[row])
                tracks[row].rewards.append(float(rewards[row]))
                if terminated[row] or truncated[row]:
                    last[row] = self.last_info(infos, row), bool(terminated[row])
        return [
            self._trajectory(names[row], prompts[row], tracks[row], *last[row])
            for row in range(rows)
            if "infrastructure_error" not in last[row][0]
        ]

    def _trajectory(
        self,
        task_id: str,
        prompt: NDArray[np.int64],
        track: "_Track",
        info: dict[str, Any],
        terminated: bool,
    ) -> Trajectory:
        # What the episode earned at each action: its env's own credit, or its rewards as they came.
        credit = info.get("token_rewards", track.rewards)
        return Trajectory(
            task_id=task_id,
            prompt=prompt,
            actions=np.array(track.actions, dtype=np.int64),
            log_probs=np.array(track.log_probs, dtype=np.float32),
            values=np.array(track.values, dtype=np.float32),
            reward=float(sum(track.rewards)),
            credit=np.array(credit, dtype=np.float32),
            finished=terminated and not info.get("cut", False),
            program=info.get("program", self.policy.tokenizer.decode(track.actions)),
            verdict=info.get("verdict"),
            feedback=info.get("feedback"),
            policy_version=self.policy.version,
            temperature=self.temperature,
            greedy=self.deterministic,
        )


@dataclass(slots=True)
class _Track:
    """What was chosen and received in an episode, or in one program of it."""

    actions: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, action: int, log_prob: float, value: float, *, chosen: bool = True) -> None:
        self.actions.append(int(action))
        self.log_probs.append(float(log_prob))
        self.values.append(float(value))
        self.chosen.append(chosen)


@dataclass(slots=True)
class _Speaker:
    """The author of one sub-env's texts: tokens so far, and texts that wait to be sent."""

    task_id: str
    shown: str
    opening: Opening | None
    prompt: list[int]
    room: int
    track: _Track = field(default_factory=_Track)
    first: int = 0
    lines_sent: int = 0
    turn: int = 1
    texts: deque[tuple[str, bool]] = field(default_factory=deque)
    reward: float = 0.0
    result: Trajectory | None = None
    over: bool = False


class _TextPlayer(_Player):
    """Plays environments whose observations and actions are texts, which are written in tokens."""

    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        env = self.env
        inner = env.unwrapped
        self.home = inner if isinstance(inner, ProgramEnv) else None
        # An attribute of codegym's own text environments; other people's take whole programs.
        self.by_line = getattr(getattr(inner, "episodes", None), "granularity", "") == "line"
        texts, infos = self.reset(task_ids)
        speakers = [self._speaker(texts[row], info_of(infos, row), row) for row in range(rows)]
        state: Any = None
        while not all(speaker.over for speaker in speakers):
            while waiting := [each for each in speakers if not each.over and not each.texts]:
                state = self._write(speakers, waiting, state)
            sent = [
                each.texts.popleft() if each.texts and not each.over else ("", False)
                for each in speakers
            ]
            if self.home is not None:
                cut = [row for row, (_, was_cut) in enumerate(sent) if was_cut]
                env.unwrapped.mark_cut(cut)  # type: ignore[attr-defined]
            spare = [""] * (env.num_envs - rows)
            texts, rewards, terminated, truncated, infos = env.step(
                tuple([text for text, _ in sent] + spare)
            )
            for row, speaker in enumerate(speakers):
                if speaker.over:
                    continue
                speaker.reward += float(rewards[row])
                over = bool(terminated[row] or truncated[row])
                info = self.last_info(infos, row) if over else info_of(infos, row)
                self._hear(speaker, texts[row], sent[row][0], info, over=over)
        return [each.result for each in speakers if each.result is not None]

    def _speaker(self, text: str, info: Mapping[str, Any], row: int) -> _Speaker:
        opening = None
        if self.home is not None:
            (opening,) = self.home.open([self.home.source.find(info["task_id"])])
            prompt, limit = opening.prompt.tolist(), opening.limit
        else:
            prompt, limit = self.policy.encode_prompt(text), self.policy.max_tokens
        room = min(limit, self.policy.max_tokens) - len(prompt)
        if room < 1:
            raise ConfigError(
                "an observation leaves no room for a program",
                value=len(prompt),
                expected=f"fewer than {self.policy.max_tokens} tokens",
            )
        return _Speaker(str(info.get("task_id", row)), text, opening, prompt, room)

    def _write(self, speakers: Sequence[_Speaker], waiting: Sequence[_Speaker], state: Any) -> Any:
        """Choose one more token for each speaker that has nothing to send yet."""
        obs = np.full((len(speakers), self.policy.max_tokens), self.pad_id, dtype=np.int64)
        for row, speaker in enumerate(speakers):
            ids = [*speaker.prompt, *speaker.track.actions][: self.policy.max_tokens]
            obs[row, : len(ids)] = ids
        step = self.policy.act(
            obs,
            state,
            temperature=self.temperature,
            deterministic=self.deterministic,
            rng=self.rng,
        )
        for row, speaker in enumerate(speakers):
            if not any(speaker is each for each in waiting):
                continue
            speaker.track.add(step.actions[row], step.log_probs[row], step.values[row])
            self._queue(speaker)
        return step.state

    def _queue(self, speaker: _Speaker) -> None:
        """Send what the tokens have completed: a line, or the program."""
        program = speaker.track.actions[speaker.first :]
        ended = program[-1] == self.end_id
        cut = not ended and len(program) >= speaker.room
        text = self.policy.tokenizer.decode(program)
        if not self.by_line:
            if ended or cut:
                speaker.texts.append((text, cut))
            return
        lines = text.split("\n")
        for line in lines[speaker.lines_sent : -1]:
            speaker.texts.append((line, False))
        speaker.lines_sent = len(lines) - 1
        if cut:
            speaker.texts.append((lines[-1], True))
        elif ended:
            if lines[-1]:
                speaker.texts.append((lines[-1], False))
            speaker.texts.append(("", False))

    def _hear(
        self, speaker: _Speaker, text: str, sent: str, info: dict[str, Any], *, over: bool
    ) -> None:
        """Read what the environment answered to a text."""
        if over:
            speaker.over = True
            if "infrastructure_error" not in info:
                speaker.result = self._finish(speaker, info)
            return
        if self.by_line and "program" not in info:
            speaker.shown = text
            return
        # The program failed, and another one may be written after the environment's message.
        speaker.texts.clear()
        if self.home is not None and speaker.opening is not None:
            ending = self.home.price(self._written(speaker), info["verdict"])
            message = ending.message
            self._trim(speaker, ending.length)
        else:
            message = text.removeprefix(speaker.shown).removeprefix(sent)
        speaker.shown = text
        self._next_program(speaker, self.policy.encode_message(message), info)

    def _next_program(
        self, speaker: _Speaker, message: Sequence[int], info: dict[str, Any]
    ) -> None:
        ids = [*speaker.prompt, *speaker.track.actions, *message]
        room = self.policy.max_tokens - len(ids)
        opening = speaker.opening
        if self.home is not None and opening is not None:
            opening = self.home.follow(opening, ids) if room > 0 else None
            room = 0 if opening is None else opening.limit - len(ids)
        if room < 1:
            # The context is full: the episode ends with the program before, as it stands.
            speaker.over, speaker.result = True, self._finish(speaker, info)
            return
        for token in message:
            speaker.track.add(token, 0.0, 0.0, chosen=False)
        speaker.first, speaker.lines_sent = len(speaker.track.actions), 0
        speaker.opening, speaker.room = opening, room
        speaker.turn += 1

    def _written(self, speaker: _Speaker) -> Written:
        assert speaker.opening is not None
        program = speaker.track.actions[speaker.first :]
        return Written(speaker.opening, program, program[-1] == self.end_id, speaker.turn)

    def _trim(self, speaker: _Speaker, length: int) -> None:
        """Drop what was written after the end of the present program."""
        stop, track = speaker.first + length, speaker.track
        for column in (track.actions, track.log_probs, track.values, track.chosen):
            del column[stop:]

    def _finish(self, speaker: _Speaker, info: dict[str, Any]) -> Trajectory:
        track, reward = speaker.track, speaker.reward
        program = track.actions[speaker.first :]
        ended, feedback = program[-1] == self.end_id, info.get("feedback")
        text = info.get("program", self.policy.tokenizer.decode(program))
        if self.home is not None and speaker.opening is not None:
            ending = self.home.price(self._written(speaker), info["verdict"])
            self._trim(speaker, ending.length)
            last, ended, reward = ending.credit, ending.finished, ending.reward
            feedback, text = ending.feedback, ending.program
            if feedback is not None and speaker.first and feedback.tokens != (0, 0):
                start, end = feedback.tokens
                moved = start + speaker.first, end + speaker.first
                feedback = replace(feedback, tokens=moved)
        else:
            last = np.zeros(len(program), dtype=np.float32)
            last[-1] = reward
        earlier = np.zeros(speaker.first, dtype=np.float32)
        return Trajectory(
            task_id=speaker.task_id,
            prompt=np.array(speaker.prompt, dtype=np.int64),
            actions=np.array(track.actions, dtype=np.int64),
            log_probs=np.array(track.log_probs, dtype=np.float32),
            values=np.array(track.values, dtype=np.float32),
            reward=reward,
            credit=np.concatenate([earlier, last]),
            finished=ended,
            program=text,
            verdict=info.get("verdict"),
            feedback=feedback,
            policy_version=self.policy.version,
            temperature=self.temperature,
            greedy=self.deterministic,
            chosen=np.array(track.chosen, dtype=np.bool_) if speaker.turn > 1 else None,
            turns=speaker.turn,
        )


def info_of(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return one sub-env's info, from infos in the layout of Gymnasium's vector environments."""
    found: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        mask = infos.get(f"_{key}")
        if mask is not None and not mask[row]:
            continue
        if isinstance(values, Mapping):
            found[key] = info_of(values, row)
        else:
            found[key] = values[row]
    return found
