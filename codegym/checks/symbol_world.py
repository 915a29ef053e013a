"""SymbolWorld: three one-letter tasks, judged by comparison, learnt within seconds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.agent import Request
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rewards.credit import price
from codegym.tasks.task import Task
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch, Trajectory

SYMBOLS = "ABCabc"


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
        return "".join(SYMBOLS[one - 2] for one in ids if one > 1)

    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return where each token stands, (T, 2)."""
        widths = np.array([int(one > 1) for one in ids], dtype=np.int64)
        ends = np.cumsum(widths)
        return np.stack([ends - widths, ends], axis=1)

    def save(self, folder: Path) -> None:
        """Make the folder; there is nothing to write."""
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the one tokenizer there is."""
        return cls()


class SymbolWorld:
    """Shown a capital letter, write the small one and end.

    A uniform policy passes with a chance of about 1/50, which is enough for a reward to find.

    Args:
        seed: Of the policy's weights, the tasks drawn and the programs sampled.
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
        config = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=8)
        return GPTPolicy(self.tokenizer, config, seed=self.seed)

    def experience(self, policy: Policy, request: Request, update: int) -> list[Trajectory]:
        """Return what an agent asked for, a pure function of the weights, seed and ``update``."""
        rng = np.random.default_rng([self.seed, update])
        drawn = [
            self.tasks[int(index)] for index in rng.integers(len(self.tasks), size=request.tasks)
        ]
        # Programs of one task stand together, as the agents' contract has it.
        drawn.sort(key=lambda task: task.task_id)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        episodes: list[Trajectory] = []
        if drawn:
            episodes += self._write(policy, drawn, request.samples, False, generator)
        if drawn and request.greedy:
            episodes += self._write(policy, drawn, 1, True, generator)
            episodes.sort(key=lambda one: one.task_id)
        shown = rng.integers(len(self.tasks), size=request.demonstrations)
        return episodes + [self._demonstration(self.tasks[int(index)]) for index in shown]

    def pass_rate(self, policy: Policy) -> float:
        """Return the exact chance that a sampled program passes, averaged over the tasks."""
        rows = [self._demonstration(task) for task in self.tasks]
        with torch.no_grad():
            batch = Batch.from_trajectories(rows, pad_id=self.tokenizer.pad_id)
            return float(policy.evaluate(batch).log_probs.sum(dim=1).exp().mean())

    def _write(self, policy: Policy, tasks: list[Task], n: int, greedy: bool,
               rng: torch.Generator) -> list[Trajectory]:  # fmt: skip
        prompts = [self.tokenizer.encode(task.prompt) for task in tasks]
        written = policy.generate(prompts, n=n, budget=self.budget, deterministic=greedy, rng=rng)
        return [
            replace(
                self._episode(tasks[row // n], actions, bool(written.finished[row])),
                log_probs=written.log_probs[row],
                values=written.values[row],
                policy_version=policy.version,
                greedy=greedy,
            )
            for row, actions in enumerate(written.actions)
        ]

    def _demonstration(self, task: Task) -> Trajectory:
        ids = [*self.tokenizer.encode(task.canonical_solution or ""), self.tokenizer.end_id]
        one = self._episode(task, np.array(ids, dtype=np.int64), True)
        return replace(one, demonstration=True)

    def _episode(self, task: Task, actions: NDArray[np.int64], finished: bool) -> Trajectory:
        program = self.tokenizer.decode(actions.tolist())
        right = program == task.canonical_solution
        case = CaseResult(outcome=Outcome.PASSED if right else Outcome.FAILED)
        priced = price(
            task,
            actions,
            finished=finished,
            verdict=Verdict.from_cases([case]),
            tokenizer=self.tokenizer,
            reward=self._reward,
        )
        nothing = np.zeros(len(actions), dtype=np.float32)
        return Trajectory(
            task_id=task.task_id,
            prompt=np.array(self.tokenizer.encode(task.prompt), dtype=np.int64),
            actions=actions,
            log_probs=nothing,
            values=nothing,
            reward=priced.reward,
            credit=priced.token_rewards,
            finished=finished,
            program=program,
            verdict=priced.verdict,
            feedback=priced.feedback,
        )
