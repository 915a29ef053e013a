"""verl: a custom reward function, and Parquet rows for its trainers.

No verdict is raised, as SandboxError. The reward manager ``naive`` lets it pass: the session fails,
and the trainer leaves it out. The manager ``rate_limited`` (file ``limited.py``) makes a reward of
0 out of every error; do not use it. Written for verl 0.9.1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.errors import MissingExtraError, UnknownNameError
from codegym.integrations.answer_grader import Summary, demand_reward
from codegym.integrations.task_table import Style, chosen_tasks, prompt_of, reference, referred
from codegym.sources import load_tasks

DATA_SOURCE = "codegym"
# What verl's managers pass to every function where a reward model runs.
_PASSED = ("reward_router_address", "reward_model_tokenizer")
_SETTINGS = ("tasks", "reward")


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    tasks: str = "",
    reward: str = "",
    **passed: Any,
) -> dict[str, float]:
    """Return the score of an answer, with the same keys for every task.

    Args:
        data_source: Not used; ``codegym`` in rows of ``write_parquet``.
        solution_str: The model's answer.
        ground_truth: What ``write_parquet`` wrote, or a task's id where ``tasks`` is given.
        extra_info: Not used.
        tasks: Task URI instead of the row's (``custom_reward_function.reward_kwargs.tasks``).
        reward: Reward expression instead of the row's.
        passed: What verl passes where a reward model runs; not used.

    Returns:
        ``score``, the reward; ``acc``, 1 where every test passed; ``pass_rate``.

    Raises:
        SandboxError: There is no verdict. Never a score of 0.
        TaskError: The ground truth names no task.
        ConfigError, UnknownNameError: A setting cannot be used.
    """
    for name in passed:
        if name not in _PASSED:
            raise UnknownNameError("setting of compute_score", name, _SETTINGS)
    grader, task_id = referred(ground_truth, tasks=tasks, reward=reward)
    ending = await grader.grade(solution_str, task_id)
    score = demand_reward(ending)
    summary = Summary.of(ending)
    return {"score": score, "acc": summary.passed, "pass_rate": summary.pass_rate}


def rows(
    tasks: str,
    *,
    reward: str = "binary",
    style: Style = "chat",
    split: str = "train",
    count: int | None = None,
    seed: int | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a data set for verl.

    Args:
        tasks: Task URI; it has to mean the same on every node.
        reward: Reward expression.
        style: ``chat``, which verl's own data sets use; ``text`` puts the bare prompt in the chat.
        split: Written into ``extra_info``.
        count: Number of tasks; all by default.
        seed: Draws the tasks at random; the first ones by default.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    source = load_tasks(tasks)
    made = []
    for index, task in chosen_tasks(source, count, seed):
        prompt = prompt_of(task, style)
        if style == "text":
            prompt = [{"role": "user", "content": prompt}]
        label = reference(source.uri, task.task_id, reward=reward)
        made.append(
            {
                "data_source": DATA_SOURCE,
                "prompt": prompt,
                "ability": "code",
                "reward_model": {"style": "rule", "ground_truth": label},
                "extra_info": {"index": index, "split": split, "task_id": task.task_id},
            }
        )
    return made


def write_parquet(tasks: str, path: str | Path, **settings: Any) -> int:
    """Write the rows of a data set for verl into a Parquet file; return how many.

    Args:
        tasks: Task URI.
        path: The file; an older one is replaced.
        settings: As of ``rows``.

    Raises:
        MissingExtraError: The package ``pyarrow`` is not installed.
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow") from error
    written = rows(tasks, **settings)
    parquet.write_table(pyarrow.Table.from_pylist(written), str(path))
    return len(written)
