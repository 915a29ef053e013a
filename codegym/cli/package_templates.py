"""Package templates: the files of a new package that holds a plug-in."""

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "@NAME@"
version = "0.1.0"
description = "@ARTICLE@ @KIND@ for codegym"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["codegym@EXTRA@"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."@GROUP@"]
@ENTRY@

[tool.setuptools]
py-modules = ["@NAME@"]
"""

README = """\
# @NAME@

@ARTICLE@ @KIND@ for codegym.

```sh
pip install -e '.[test]'
@CHECK@
pytest
@USE@
```
"""

REWARD = '''\
"""@NAME@: a reward of codegym."""

from codegym.rewards.reward import Reward


class @CLASS@(Reward):
    """1 if at least ``share`` of the tests pass, else 0.

    Args:
        share: Share of the tests, in [0, 1]; an expression sets it: ``@NAME@(share=0.8)``.
    """

    low, high = 0.0, 1.0

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def __call__(self, verdict, feedback=None):
        """Return the reward of a judged program."""
        return float(verdict.pass_rate >= self.share)
'''

REWARD_TEST = '''\
"""The reward keeps its contract and pays what it says."""

import codegym
from codegym.checks.check_reward import check_reward

from @NAME@ import @CLASS@

TASK = codegym.Task.from_calls("def f(x):\\n", "f", [((1,), 2), ((2,), 3), ((3,), 3)])


def test_contract():
    check_reward(@CLASS@)


def test_it_pays_by_the_share_of_tests():
    verdict = codegym.judge("def f(x):\\n    return x + 1\\n", TASK)
    assert verdict.pass_rate == 2 / 3
    assert codegym.make_reward("@NAME@")(verdict) == 1.0
    assert codegym.make_reward("@NAME@(share=0.8)")(verdict) == 0.0
'''

SOURCE = '''\
"""@NAME@: a source of tasks for codegym."""

from codegym import Task
from codegym.sources import TaskSource


class @CLASS@(TaskSource):
    """Add a number to another.

    Args:
        size: Number of tasks; an option of the URI: ``@NAME@?size=10``.
    """

    def __init__(self, *, size: int = 100) -> None:
        self._size = size

    def __len__(self) -> int:
        """Return the number of tasks."""
        return self._size

    def __getitem__(self, index: int) -> Task:
        """Return a task; the same task for the same index."""
        k = range(1, 1 + self._size)[index]
        return Task.from_calls(
            f'def f(x: int) -> int:\\n    """Return x + {k}."""\\n',
            "f",
            [((1,), 1 + k), ((5,), 5 + k), ((-3,), k - 3)],
            task_id=f"@NAME@/{k}",
            canonical_solution=f"    return x + {k}\\n",
        )
'''

SOURCE_TEST = '''\
"""The source keeps its contract, and its solutions pass."""

import codegym
from codegym.checks.check_source import check_source


def test_contract():
    report = check_source("@NAME@?size=10", count=10)
    assert report.ok and report.judged and report.checked == 10


def test_the_uri_sets_the_size():
    assert len(codegym.load_tasks("@NAME@?size=7")) == 7
'''

AGENT = '''\
"""@NAME@: an agent of codegym; REINFORCE with a baseline, to begin from."""

from dataclasses import dataclass

import torch

from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser
from codegym.trajectory import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class @CLASS@Config:
    """Settings; ``presets`` hold differences from them.

    Attributes:
        lr: Learning rate.
        tasks: Tasks of an update.
        samples: Programs for each of them.
        temperature: Sampling temperature.
    """

    lr: float = 1e-5
    tasks: int = 32
    samples: int = 4
    temperature: float = 1.0


class @CLASS@(Learner):
    """REINFORCE: what beats the mean of its batch becomes likelier."""

    name = "@NAME@"
    config_class = @CLASS@Config
    presets = {"paper": {}, "small": {"lr": 3e-4}}  # small: below a million weights
    default_reward = "binary"  # of a run that names none
    learns_from = "rewards"

    def __init__(self, policy, config, *, seed):
        optimiser = Optimiser(policy, lr=config.lr, value_lr=config.lr)
        super().__init__(policy, config, seed=seed, optimiser=optimiser)

    def request(self):
        """Return what experience the next update wants."""
        wanted = self.config
        return Request(tasks=wanted.tasks, samples=wanted.samples, temperature=wanted.temperature)

    def update(self, trajectories, *, progress=0.0):
        """Learn from judged programs; return what is logged."""
        self.updates += 1
        batch = Batch.from_trajectories(trajectories, pad_id=self.policy.tokenizer.pad_id)
        # The reward that is still to come, (B, T), less the mean of the batch.
        to_come = batch.credit[:, ::-1].cumsum(axis=1)[:, ::-1].copy()
        advantages = (to_come - batch.rewards.mean()) * batch.mask
        scored = self.policy.evaluate(batch, temperature=batch.temperatures)
        # L = - sum_t A_t log p(w_t) / T; log p is 0 where the mask is False
        loss = -(torch.from_numpy(advantages) * scored.log_probs).sum() / batch.n_tokens
        self.optimiser.add(loss)
        return {"loss": float(loss.detach()), "grad_norm": self.optimiser.step()}
'''

AGENT_TEST = '''\
"""The agent keeps its contract: ``codegym check agent @NAME@``."""

import codegym
from codegym.checks.check_agent import check_agent

from @NAME@ import @CLASS@


def test_contract():
    check_agent(@CLASS@)


def test_it_learns_from_an_environment():
    policy = codegym.make_policy("gpt:tiny@128")
    agent = codegym.make_agent("@NAME@", policy, tasks=2, samples=2)
    env = codegym.make_env("CodeGym/Synthesis-v0", policy, tasks="atoms", budget=8)
    assert agent.update(codegym.collect(env, policy, agent.request()))["grad_norm"] >= 0.0
'''

ENV = '''\
"""@NAME@: an environment for codegym's policies, registered with Gymnasium."""

import string

import gymnasium as gym
from gymnasium import spaces

ENV_ID = "@CLASS@/@CLASS@-v0"
PROMPT = "# say something loud\\n"


class @CLASS@(gym.Env):
    """A text earns the share of its letters that are capital.

    **Observation**: what was written so far, after the prompt. **Action**: a text. **End**: after
    one action.
    """

    observation_space = spaces.Text(2000, min_length=0, charset=string.printable)
    action_space = spaces.Text(1000, min_length=0, charset=string.printable)

    def reset(self, *, seed=None, options=None):
        """Start an episode."""
        super().reset(seed=seed)
        return PROMPT, {}

    def step(self, action):
        """Price a text and end the episode."""
        letters = [character for character in action if character.isalpha()]
        capital = sum(character.isupper() for character in letters)
        reward = capital / len(letters) if letters else 0.0
        return PROMPT + action, reward, True, False, {}


# codegym imports this module by its entry point; elsewhere ``import @NAME@`` registers the id.
gym.register(id=ENV_ID, entry_point="@NAME@:@CLASS@")
'''

ENV_TEST = '''\
"""The environment keeps the contracts of Gymnasium and codegym, and a policy plays it."""

import codegym
from codegym.checks.check_env import check_env

from @NAME@ import ENV_ID, @CLASS@


def test_contract():
    check_env(ENV_ID)


def test_it_pays_for_capitals():
    env = @CLASS@()
    env.reset(seed=0)
    assert env.step("AbCd")[1] == 0.5 and env.step("12")[1] == 0.0


def test_a_policy_plays_it():
    policy = codegym.make_policy("gpt:tiny@128")
    env = codegym.make_env(ENV_ID, policy, num_envs=2)
    assert len(codegym.collect(env, policy, codegym.Request(tasks=2))) == 2
'''

# Kind -> the module, its test, the extra of codegym, the entry point's group and line, how it is
# checked and used.
KINDS = {
    "agent": (
        AGENT,
        AGENT_TEST,
        "[agents]",
        "codegym.agents",
        '@NAME@ = "@NAME@:@CLASS@"',
        "codegym check agent @NAME@",
        "codegym train --agent @NAME@",
    ),
    "reward": (
        REWARD,
        REWARD_TEST,
        "",
        "codegym.rewards",
        '@NAME@ = "@NAME@:@CLASS@"',
        "codegym check reward @NAME@",
        'codegym train --reward "0.5*@NAME@ + binary"',
    ),
    "source": (
        SOURCE,
        SOURCE_TEST,
        "",
        "codegym.sources",
        '@NAME@ = "@NAME@:@CLASS@"',
        "codegym check source @NAME@",
        "codegym train --tasks @NAME@ --eval-tasks '@NAME@?size=10'",
    ),
    "env": (
        ENV,
        ENV_TEST,
        "[agents]",
        "codegym.envs",
        '@NAME@ = "@NAME@"',
        "codegym check env @CLASS@/@CLASS@-v0",
        "codegym train --env @CLASS@/@CLASS@-v0 --warm-start-programs 0",
    ),
}


def files_of(kind: str, name: str) -> dict[str, str]:
    """Return file name -> text of a package with a plug-in.

    Args:
        kind: One of ``KINDS``.
        name: Name of the package and of the plug-in, an identifier in lower case.
    """
    module, test, extra, group, entry, check, use = KINDS[kind]
    named = "".join(part.capitalize() for part in name.split("_"))

    def filled(text: str) -> str:
        values = {
            "ENTRY": entry, "CHECK": check, "USE": use, "EXTRA": extra, "GROUP": group,
            "KIND": {"env": "environment", "source": "task source"}.get(kind, kind),
            "ARTICLE": "An" if kind in ("agent", "env") else "A",
            "NAME": name, "CLASS": named,
        }  # fmt: skip
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    return {
        "pyproject.toml": filled(PYPROJECT),
        "README.md": filled(README),
        f"{name}.py": filled(module),
        f"test_{name}.py": filled(test),
    }
