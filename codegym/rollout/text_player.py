"""TextPlayer: steps environments whose observations and actions are texts, written in tokens."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from codegym.episode import Opening, ProgramEnv, Written
from codegym.errors import ConfigError
from codegym.rollout.player import Player, Track, info_of
from codegym.trajectory import Trajectory


@dataclass(slots=True)
class _Speaker:
    """The author of one sub-env's texts: tokens so far, and texts that wait to be sent."""

    task_id: str
    shown: str
    opening: Opening | None
    prompt: list[int]
    room: int
    track: Track = field(default_factory=Track)
    first: int = 0
    lines_sent: int = 0
    turn: int = 1
    texts: deque[tuple[str, bool]] = field(default_factory=deque)
    reward: float = 0.0
    result: Trajectory | None = None
    over: bool = False


class TextPlayer(Player):
    """Plays environments whose observations and actions are texts, which are written in tokens."""

    def play(self, rows: int, task_ids: Sequence[str] | None) -> list[Trajectory]:
        """Play episodes in the first ``rows`` sub-envs; the tasks are the env's if None."""
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
            texts, rewards, terminated, truncated, infos = self.step(
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
        # The program failed, and another program may be written after the environment's message.
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
