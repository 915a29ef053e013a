"""skyrl-gym: an environment over any task source, with repair turns.

    pip install skyrl-gym
    python examples/skyrl_programs.py

In a SkyRL run, register the environment in the entry point and write the rows of the data set with
``rows``; ``environment.env_class=codegym``. skyrl-gym 0.4 has no mask for a step without a verdict,
so the step raises SandboxError, which is never a reward of 0; SkyRL ends its training step then
(NovaSky-AI/SkyRL issue 1613).
"""

import argparse

from skyrl_gym import make, register
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from codegym.integrations.answer_grader import Summary, demand_reward, run_blocking
from codegym.integrations.task_table import chosen_tasks, prompt_of, reference, referred
from codegym.sources import load_tasks

TASKS = "composites?domain=small&depth=1-2&split=train"


class ProgramEnv(BaseTextEnv):
    """A task; a program that fails is answered, and may be written again."""

    def __init__(self, env_config=None, extras=None):
        super().__init__()
        self._grader, task_id = referred((extras or {})["reward_spec"]["ground_truth"])
        self._talk = self._grader.converse(task_id)
        self.max_turns = self._grader.episodes.turns

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Judge a program."""
        self.turns += 1
        ending = run_blocking(self._grader.answer(self._talk, action))
        demand_reward(ending)
        reply, summary = self._talk.answer(ending), Summary.of(ending)
        message = [] if reply.done else [{"role": "user", "content": ending.message}]
        return BaseTextEnvStepOutput(
            observations=message,
            reward=reply.reward,
            done=reply.done,
            metadata={"outcome": summary.outcome, "pass_rate": summary.pass_rate},
        )


def rows(tasks: str, count: int, *, reward: str = "binary", turns: int = 3) -> list[dict]:
    """Return the rows of a data set of SkyRL."""
    source = load_tasks(tasks)
    return [
        {
            "data_source": "codegym",
            "prompt": prompt_of(task, "chat"),
            "env_class": "codegym",
            "reward_spec": {
                "method": "rule",
                "ground_truth": reference(source.uri, task.task_id, reward=reward, turns=turns),
            },
        }
        for _, task in chosen_tasks(source, count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default=TASKS)
    options = parser.parse_args()
    register(id="codegym", entry_point=ProgramEnv)
    row = rows(options.tasks, 1)[0]
    env = make("codegym", env_config={}, extras=row)
    prompt, _ = env.init(row["prompt"])
    print(prompt[0]["content"])
    task = load_tasks(options.tasks)[0]
    for action in ("    return None\n", f"```python\n{task.program(task.canonical_solution)}\n```"):
        step = env.step(action)
        print(step["reward"], step["done"], step["metadata"], *step["observations"])


if __name__ == "__main__":
    main()
