"""SymbolWorld: three one-letter tasks, judged by comparison, that agents learn within seconds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.episode import Request
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rewards.credit import price
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch, Trajectory

SYMBOLS = "ABCabc"

AnyGPT = TypeVar("AnyGPT", bound=GPTPolicy)


class SymbolTokenizer(Tokenizer):
    """One id per symbol."""

    name = "symbols"
    pad_id = 0
    end_id = 1
    vocab_size = 2 + len(SYMBOLS)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text of symbols."""
        return [2 + SYMBOLS.index(symbol) for symbol in text]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the symbols of some ids."""
        return "".join(SYMBOLS[token - 2] for token in ids if token > 1)

    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the place of each token in the text, (T, 2)."""
        widths = np.array([int(token > 1) for token in ids], dtype=np.int64)
        ends = np.cumsum(widths)
        return np.stack([ends - widths, ends], axis=1)

    def save(self, folder: Path) -> None:
        """Make the folder; there is nothing to write."""
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return a tokenizer; all of them are equal."""
        return cls()


class SymbolWorld:
    """Shown a capital letter, write the small letter and end.

    A uniform policy passes with a chance of about 1/50, which is enough for a reward to find.

    Args:
        seed: Seed of the policy's weights, the tasks drawn and the programs sampled.
        reward: Name or expression of the reward programs earn.
    """

    budget = 3

    def __init__(self, *, seed: int = 0, reward: str = "binary") -> None:
        self.seed = seed
        self.tokenizer = SymbolTokenizer()
        self._reward = make_reward(reward)
        self.tasks = [
            Task.from_stdio(
                letter,
                [("", letter.lower())],
                task_id=letter,
                canonical_solution=letter.lower(),
            )
            for letter in SYMBOLS[:3]
        ]

    def policy(self) -> GPTPolicy:
        """Return a fresh policy of a few thousand weights."""
        return self.policy_of(GPTPolicy)

    def policy_of(self, kind: type[AnyGPT]) -> AnyGPT:
        """Return a fresh policy of a sub-class of GPTPolicy, with the same weights."""
        config = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=8)
        return kind(self.tokenizer, config, seed=self.seed)

    def experience(
        self, policy: Policy, request: Request, update: int, *, turns: int = 1
    ) -> list[Trajectory]:
        """Return what an agent asked for, a pure function of the weights, seed and ``update``.

        Args:
            policy: The policy that writes.
            request: What was asked for.
            update: Number of the update.
            turns: 2 has the world repeat the task after each sampled program, and the policy write
                a second program in the same episode.
        """
        rng = np.random.default_rng([self.seed, update])
        drawn = [
            self.tasks[int(index)] for index in rng.integers(len(self.tasks), size=request.tasks)
        ]
        # Programs of a task are adjacent, as the agents' contract has it.
        drawn.sort(key=lambda task: task.task_id)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        episodes: list[Trajectory] = []
        if drawn:
            repeated = [task for task in drawn for _ in range(request.samples)]
            episodes += self._write(policy, drawn, request, generator)
            if turns > 1:
                episodes = self._write_again(policy, repeated, episodes, generator)
        if drawn and request.greedy:
            single = replace(request, samples=1)
            episodes += self._write(policy, drawn, single, generator, greedy=True)
            episodes.sort(key=lambda episode: episode.task_id)
        shown = rng.integers(len(self.tasks), size=request.demonstrations)
        return episodes + [self._demonstration(self.tasks[int(index)]) for index in shown]

    def pass_rate(self, policy: Policy) -> float:
        """Return the exact chance that a sampled program passes, averaged over the tasks."""
        rows = [self._demonstration(task) for task in self.tasks]
        with torch.no_grad():
            batch = Batch.from_trajectories(rows, pad_id=self.tokenizer.pad_id)
            return float(policy.evaluate(batch).log_probs.sum(dim=1).exp().mean())

    def _write(
        self,
        policy: Policy,
        tasks: Sequence[Task],
        request: Request,
        rng: torch.Generator,
        *,
        greedy: bool = False,
    ) -> list[Trajectory]:
        """Let the policy write ``request.samples`` programs for each task."""
        written = policy.generate(
            [self.tokenizer.encode(task.prompt) for task in tasks],
            n=request.samples,
            budget=self.budget,
            temperature=request.temperature,
            deterministic=greedy,
            rng=rng,
        )
        return [
            replace(
                self._episode(tasks[row // request.samples], actions, bool(written.finished[row])),
                log_probs=written.log_probs[row],
                values=written.values[row],
                policy_version=policy.version,
                temperature=request.temperature,
                greedy=greedy,
            )
            for row, actions in enumerate(written.actions)
        ]

    def _write_again(
        self,
        policy: Policy,
        tasks: Sequence[Task],
        first: Sequence[Trajectory],
        rng: torch.Generator,
    ) -> list[Trajectory]:
        """Repeat the task after each program and let the policy write a second one."""
        said = [np.array(self.tokenizer.encode(task.prompt), dtype=np.int64) for task in tasks]
        begun = [
            np.concatenate([episode.actions, message])
            for episode, message in zip(first, said, strict=True)
        ]
        written = policy.generate(
            [
                [*episode.prompt.tolist(), *actions.tolist()]
                for episode, actions in zip(first, begun, strict=True)
            ],
            budget=self.budget,
            temperature=first[0].temperature,
            rng=rng,
        )
        episodes = []
        for row, (episode, task) in enumerate(zip(first, tasks, strict=True)):
            second = self._episode(task, written.actions[row], bool(written.finished[row]))
            hole = np.zeros(len(said[row]), dtype=np.float32)
            before, after = len(episode), len(second)
            silence = np.zeros(len(begun[row]), dtype=np.float32)
            episodes.append(
                replace(
                    second,
                    actions=np.concatenate([begun[row], second.actions]),
                    log_probs=np.concatenate([episode.log_probs, hole, written.log_probs[row]]),
                    values=np.concatenate([episode.values, hole, written.values[row]]),
                    credit=np.concatenate([silence, second.credit]),
                    chosen=np.repeat([True, False, True], [before, len(hole), after]),
                    feedback=None,
                    policy_version=policy.version,
                    temperature=episode.temperature,
                    turns=2,
                )
            )
        return episodes

    def _demonstration(self, task: Task) -> Trajectory:
        ids = [*self.tokenizer.encode(task.canonical_solution or ""), self.tokenizer.end_id]
        return replace(self._episode(task, np.array(ids, dtype=np.int64), True), demonstration=True)

    def _episode(self, task: Task, actions: NDArray[np.int64], finished: bool) -> Trajectory:
        """Return the judged episode of a program, without log-probabilities and values."""
        program = self.tokenizer.decode(actions.tolist())
        right = program == task.canonical_solution
        case = CaseResult(outcome=Outcome.PASSED if right else Outcome.FAILED)
        priced = price(
            task,
            program,
            Verdict.from_cases([case]),
            self._reward,
            count=len(actions),
            spans=lambda: self.tokenizer.spans(actions.tolist()),
            start=0,
            finished=finished,
        )
        nothing = np.zeros(len(actions), dtype=np.float32)
        return Trajectory(
            task_id=task.task_id,
            prompt=np.array(self.tokenizer.encode(task.prompt), dtype=np.int64),
            actions=actions,
            log_probs=nothing,
            values=nothing,
            reward=priced.reward,
            credit=priced.credit,
            finished=finished,
            program=program,
            verdict=priced.verdict,
            feedback=priced.feedback,
        )
