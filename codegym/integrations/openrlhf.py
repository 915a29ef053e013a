"""OpenRLHF: a reward function and an agent, in the file that its command line names.

    FILE=$(python -c "import codegym.integrations.openrlhf as m; print(m.__file__)")
    ... --reward.remote_url $FILE --data.input_key input --data.label_key label
    ... --train.agent_func_path $FILE --data.input_key input --data.label_key label

OpenRLHF passes nothing but the prompt and the label, so the label names the task and the reward;
``write_jsonl`` writes such labels. Written for OpenRLHF 0.11.

No verdict: by default SandboxError is raised. OpenRLHF logs it and leaves the sample's reward out,
which ends the run at the next update, unless a reward model is there to fill it in. With
``CODEGYM_NO_VERDICT=nan`` the reward is NaN instead, and dynamic filtering
(``--algo.dynamic_filtering_enable``) replaces the prompt's whole group: no number lies between its
bounds and a NaN. Without dynamic filtering do not set it.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from functools import cache
from math import nan
from pathlib import Path
from typing import Any

from codegym.envs.dialogue import Conversation
from codegym.episode import Ending
from codegym.errors import ConfigError, MissingExtraError, UnknownNameError
from codegym.integrations.answer_grader import (
    AnswerGrader,
    Summary,
    demand_reward,
    report_missing,
    run_blocking,
)
from codegym.integrations.task_table import Style, chosen_tasks, prompt_of, reference, referred
from codegym.sources import load_tasks

# How a failed program is answered in an agent's conversation; a chat model's turn marks go here.
FEEDBACK = "CODEGYM_FEEDBACK"
NO_VERDICT = "CODEGYM_NO_VERDICT"
# So much of a prompt's end is looked for where a tokenizer changed its beginning.
_END_OF_PROMPT = 64


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **passed: Any
) -> dict[str, Any]:
    """Return the rewards of whole conversations, special tokens and all.

    Args:
        queries: Prompt and answer of each sample.
        prompts: The prompts.
        labels: What ``write_jsonl`` wrote as labels.
        passed: Not used.

    Returns:
        ``rewards`` and ``scores``, (n,) float32 tensors, and ``extra_logs``.

    Raises:
        SandboxError: There is no verdict, and ``CODEGYM_NO_VERDICT`` is not ``nan``.
        TaskError: A label names no task.
        ConfigError: The lists do not match.
    """
    if not len(queries) == len(prompts) == len(labels):
        raise ConfigError(
            "queries, prompts and labels do not match",
            value=f"{len(queries)}, {len(prompts)} and {len(labels)}",
            expected="as many of each",
        )
    pairs = zip(queries, prompts, strict=True)
    answers = [answer_in(query, prompt) for query, prompt in pairs]
    graders = [referred(label) for label in labels]
    endings = run_blocking(_graded(answers, graders))
    return _tensors(endings)


async def _graded(
    answers: Sequence[str], graders: Sequence[tuple[AnswerGrader, str]]
) -> list[Ending]:
    pairs = zip(answers, graders, strict=True)
    work = [grader.grade(answer, task_id) for answer, (grader, task_id) in pairs]
    return list(await asyncio.gather(*work))


def answer_in(query: str, prompt: str) -> str:
    """Return the answer in a query: what follows the prompt.

    Where a tokenizer changed the prompt's beginning, or the prompt was cut, its end is looked for.
    Where that is not there either, the reader of answers finds the last turn.
    """
    if prompt and query.startswith(prompt):
        return query[len(prompt) :]
    end = prompt[-_END_OF_PROMPT:]
    return query.partition(end)[2] if end and end in query else query


def write_jsonl(
    tasks: str,
    path: str | Path,
    *,
    reward: str = "binary",
    turns: int = 1,
    style: Style = "chat",
    count: int | None = None,
    seed: int | None = None,
) -> int:
    """Write prompts and labels into a JSONL file for OpenRLHF; return how many.

    Args:
        tasks: Task URI; it has to mean the same on every node.
        path: The file; an older one is replaced.
        reward: Reward expression.
        turns: Largest number of programs of an agent's conversation.
        style: ``chat`` with ``--data.apply_chat_template``; ``text`` without.
        count: Number of tasks; all by default.
        seed: Draws the tasks at random; the first ones by default.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    source, lines = load_tasks(tasks), []
    for _, task in chosen_tasks(source, count, seed):
        label = reference(source.uri, task.task_id, reward=reward, turns=turns)
        lines.append(json.dumps({"input": prompt_of(task, style), "label": label}) + "\n")
    Path(path).write_text("".join(lines))
    return len(lines)


class Repairs:
    """An agent's conversation: programs that fail are answered, and the last earns the reward."""

    def __init__(self) -> None:
        self._grader: AnswerGrader | None = None
        self._talk: Conversation | None = None

    async def reset(self, states: dict[str, Any], **passed: Any) -> dict[str, Any]:
        """Begin the task that the label names; the prompt stays as it is."""
        self._grader, task_id = referred(states["label"])
        self._talk = self._grader.converse(task_id)
        return states

    async def step(self, states: dict[str, Any], **passed: Any) -> dict[str, Any]:
        """Judge the program that was written.

        Raises:
            SandboxError: There is no verdict, and ``CODEGYM_NO_VERDICT`` is not ``nan``.
        """
        if self._grader is None or self._talk is None:
            await self.reset(states)
        assert self._grader is not None and self._talk is not None
        ending = await self._grader.answer(self._talk, states["action_text"])
        made = _tensors([ending])
        done = ending.done or ending.error is not None
        if ending.error is None:
            self._talk.answer(ending)
        # The executor adds up the rewards of all steps.
        earned = made["rewards"][0] if done else made["rewards"][0] * 0
        feedback = os.environ.get(FEEDBACK, "\n{message}\n")
        return {
            "rewards": earned,
            "scores": earned,
            "environment_feedback": "" if done else feedback.replace("{message}", ending.message),
            "done": done,
            "sampling_params": states.get("sampling_params"),
            "extra_logs": {name: values[0] for name, values in made["extra_logs"].items()},
        }


def _tensors(endings: Sequence[Ending]) -> dict[str, Any]:
    """Return the rewards of endings as OpenRLHF takes them."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch") from error
    missing = os.environ.get(NO_VERDICT, "raise")
    if missing not in ("raise", "nan"):
        raise UnknownNameError(f"value of {NO_VERDICT}", missing, ("nan", "raise"))
    report_missing(endings)
    rewards, passed = [], []
    for ending in endings:
        if ending.error is not None and missing == "nan":
            rewards.append(nan)
            passed.append(nan)
        else:
            rewards.append(demand_reward(ending))
            passed.append(Summary.of(ending).passed)
    scores = torch.tensor(rewards, dtype=torch.float32)
    logs = {"passed": torch.tensor(passed, dtype=torch.float32)}
    return {"rewards": scores, "scores": scores, "extra_logs": logs}


@cache
def agent_executor() -> Any:
    """Return the class that ``--train.agent_func_path`` asks for as ``AgentExecutor``.

    Raises:
        MissingExtraError: OpenRLHF is not installed.
    """
    try:
        from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor
    except ModuleNotFoundError as error:
        raise MissingExtraError("openrlhf", distribution="openrlhf") from error

    class AgentInstance(Repairs, AgentInstanceBase):  # type: ignore[misc]
        """The conversation, as OpenRLHF's class."""

    class AgentExecutor(MultiTurnAgentExecutor):  # type: ignore[misc]
        """Plays conversations of up to ``turns`` programs."""

        def __init__(self) -> None:
            super().__init__(AgentInstance)

    return AgentExecutor


def __getattr__(name: str) -> Any:
    """Make ``AgentExecutor`` where it is asked for: the reward function needs no OpenRLHF."""
    if name == "AgentExecutor":
        return agent_executor()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
