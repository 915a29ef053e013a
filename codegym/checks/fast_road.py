"""The fast road of an environment gives what stepping gives: program, verdict, reward, credit.

Scripted programs are played twice: through ``ProgramEnv`` (open, submit, wait, price, follow) and
action by action.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from codegym.episode import Ending, ProgramEnv, Written
from codegym.errors import ConformanceError
from codegym.rollout.demonstrations import reference_ids
from codegym.rollout.player import info_of
from codegym.tasks.task import Task

_TASKS = 3
_WRONG = "    x = 1\n    return x"


def check_fast_road(env_id: str, **kwargs: Any) -> bool:
    """Compare both roads of an environment on a few scripted episodes.

    Args:
        env_id: The id it is registered under.
        kwargs: Keyword arguments of the environment.

    Returns:
        Whether the environment offers the fast road; nothing is compared otherwise.

    Raises:
        ConformanceError: The roads disagree; the message says on what.
    """
    spec = gym.spec(env_id)
    if spec.vector_entry_point is None:
        return False
    envs: VectorEnv[Any, Any, Any] = gym.make_vec(env_id, num_envs=1, **kwargs)
    home = envs.unwrapped
    if not isinstance(home, ProgramEnv):
        return False
    for index in range(min(_TASKS, len(home.source))):
        task = home.source[index]
        for programs in scripts(home, task):
            played = write(home, task, programs)
            if _can_be_stepped(envs, home, played):
                compare(envs, home, task, played)
    envs.close()
    return True


def scripts(env: ProgramEnv, task: Task) -> Iterator[list[list[int]]]:
    """Yield episodes as the ids of their programs, without end tokens, one for each turn.

    They are: nothing but wrong programs; wrong programs and a right one; a right one at once; empty
    programs; programs that the budget cuts; programs that end with an empty line and more.
    """
    wrong = env.tokenizer.encode(_WRONG)
    more = env.tokenizer.encode(_WRONG + "\n\n    y = x")
    endless = env.tokenizer.encode("(") * max(opening.limit for opening in env.open([task]))
    episodes: list[list[list[int]]] = [[wrong], [[]], [endless], [more]]
    if task.canonical_solution is not None:
        right = reference_ids(task, env.tokenizer)
        episodes += [[right], [wrong, right]]
    for first, *rest in episodes:
        repeated = [*([first] * (env.turns - len(rest))), *rest]
        yield repeated[-env.turns :]


def write(
    env: ProgramEnv, task: Task, programs: Sequence[Sequence[int]]
) -> list[tuple[Written, Ending]]:
    """Play an episode of whole programs, and return each with its ending.

    Raises:
        ConformanceError: The environment contradicts itself.
    """
    (opening,) = env.open([task])
    played = []
    for turn, program in enumerate(programs, start=1):
        room = opening.limit - len(opening.prompt)
        _claim(room > 0, "an opening leaves room for a program", room)
        actions = [*program, env.tokenizer.end_id][:room]
        written = Written(opening, actions, len(program) < room, turn)
        (ending,) = env.wait(env.submit([written]))
        _check_ending(env, written, ending)
        played.append((written, ending))
        if ending.done:
            break
        _claim(bool(ending.message), "a message follows a program that may be repaired", ending)
        message = env.tokenizer.encode(ending.message)
        ids = [*opening.prompt.tolist(), *actions[: ending.length], *message]
        following = env.follow(opening, ids)
        if following is None:
            return played
        _claim(following.prompt.tolist() == ids, "follow keeps what was written", following)
        _claim(following.task == task, "follow keeps the task", following.task.task_id)
        opening = following
    _claim(played[-1][1].done, "an episode has at most `turns` programs", env.turns)
    return played


def _check_ending(env: ProgramEnv, written: Written, ending: Ending) -> None:
    count = len(written.actions)
    _claim(0 < ending.length <= count, "an ending counts actions that were written", ending.length)
    credit = np.asarray(ending.credit)
    _claim(credit.shape == (ending.length,), "one credit for each action", credit.shape)
    _claim(ending.verdict is not None, "a program has a verdict", ending.error)
    assert ending.verdict is not None
    again = env.price(written, ending.verdict)
    for name in ("program", "length", "finished", "done", "reward", "verdict", "feedback"):
        pair = getattr(ending, name), getattr(again, name)
        _claim(pair[0] == pair[1], f"price says what wait says: {name}", pair)
    same = np.array_equal(credit, again.credit)
    _claim(same, "price says what wait says: credit", (credit, again.credit))


def _can_be_stepped(
    envs: "VectorEnv[Any, Any, Any]", home: ProgramEnv, played: Sequence[tuple[Written, Ending]]
) -> bool:
    """Return whether the action space takes the programs: text spaces have a largest length."""
    space = envs.single_action_space
    texts = (home.tokenizer.decode(written.actions) for written, _ in played)
    return isinstance(space, spaces.Discrete) or all(text in space for text in texts)


def compare(
    envs: "VectorEnv[Any, Any, Any]",
    home: ProgramEnv,
    task: Task,
    played: Sequence[tuple[Written, Ending]],
) -> None:
    """Step the same programs, and compare what the environment says of them.

    Raises:
        ConformanceError: It says something else.
    """
    observations, _ = envs.reset(options={"task_id": [task.task_id]})
    in_tokens = isinstance(envs.single_action_space, spaces.Discrete)
    if in_tokens:
        prompt = played[0][0].opening.prompt
        shown = np.asarray(observations)[0][: len(prompt)]
        _claim(np.array_equal(shown, prompt), "open gives the prompt of reset", (shown, prompt))
    for written, ending in played:
        step = _step_tokens if in_tokens else _step_texts
        reward, terminated, info = step(envs, home, written)
        _claim("program" in info, "stepping ends a program where the fast road does", info)
        pairs: dict[str, tuple[Any, Any]] = {
            "program": (info["program"], ending.program),
            "verdict": (info["verdict"], ending.verdict),
            "end of the program": (info["cut"], not ending.finished),
            "end of the episode": (terminated, ending.done),
            "reward": (reward, ending.reward if ending.done else 0.0),
        }
        credit = ending.credit.tolist()
        if in_tokens:
            pairs["credit"] = list(info["token_rewards"]), credit
            pairs["feedback"] = info["feedback"], ending.feedback
        elif not any(credit[:-1]):
            # Texts and tokens are different actions; what is on the last action is on both's last.
            pairs["credit"] = sum(info["token_rewards"]), sum(credit)
        for name, (stepped, fast) in pairs.items():
            _claim(stepped == fast, f"the fast road agrees with stepping: {name}", (stepped, fast))


Stepped = tuple[float, bool, dict[str, Any]]


def _step_tokens(envs: Any, home: ProgramEnv, written: Written) -> Stepped:
    reward, over, infos = 0.0, False, {}
    for action in written.actions:
        _claim(not over, "stepping ends a program where the fast road does", written.actions)
        _, rewards, terminated, _, infos = envs.step(np.array([action]))
        reward, over = float(rewards[0]), bool(terminated[0])
    return reward, over, info_of(infos, 0)


def _step_texts(envs: Any, home: ProgramEnv, written: Written) -> Stepped:
    text = home.tokenizer.decode(written.actions)
    texts = [text]
    # An attribute of codegym's own text environments; those of others take whole programs.
    if getattr(getattr(home, "episodes", None), "granularity", "") == "line":
        texts = text.split("\n")
        if written.finished:
            texts = [*texts, ""] if texts[-1] else texts
    reward, over, info = 0.0, False, {}
    for number, line in enumerate(texts, start=1):
        if number == len(texts) and not written.finished:
            envs.unwrapped.mark_cut([0])
        _, rewards, terminated, _, infos = envs.step((line,))
        reward, over, info = float(rewards[0]), bool(terminated[0]), info_of(infos, 0)
        if "program" in info:
            break
    return reward, over, info


def _claim(holds: bool, promise: str, value: object) -> None:
    if not holds:
        raise ConformanceError(f"broken: {promise}", value=value)
