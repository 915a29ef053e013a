"""Every agent with every kind of policy in every environment of codegym: weights move, or why not.

Each cell makes two updates through ``Experience``, on tiny tasks with a stand-in for the judge that
passes reference solutions and about half of everything else.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from codegym import registry
from codegym.errors import CodegymError
from codegym.grading.judge import Judge
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.policies.factory import make_policy
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policy import Policy
from codegym.rollout.collect import Clock
from codegym.rollout.environments import make_env
from codegym.tasks.task import Task
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.training.config import TrainConfig, agent_config, phases_of
from codegym.training.experience import make_experience

SMALL = {"tasks": 4, "samples": 2}
AGENTS: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 4, "batch_size": 2, "warmup_steps": 1},
    "rft": SMALL,
    "ppo": SMALL | {"minibatches": 2},
    "sb3_ppo": SMALL | {"batch_size": 4, "epochs": 1},
    "grpo": SMALL | {"drop_even_groups": False},
    "rloo": SMALL,
    "actor_critic": SMALL | {"critic_updates": 0},
    "rltf": SMALL | {"capacity": 12, "minimum_fill": 4, "batch_size": 4},
    "coderl": SMALL | {"capacity": 8, "critic_steps": 2, "steps": 2, "batch_size": 4,
                       "supervised": "reference"},
}  # fmt: skip
ENVS = ("Synthesis", "Line", "Program", "Repair")
# Cells that are refused, and what the message says.
REFUSED = {("sb3_ppo", "Repair"): "the environment wrote part of an episode"}


def stand_in(pairs: Sequence[tuple[str, Task]]) -> list[Verdict]:
    """Pass reference solutions and every second other program, by its letters."""
    verdicts = []
    for program, task in pairs:
        reference = program.rstrip("\n") == task.program(task.canonical_solution or "").rstrip("\n")
        good = reference or zlib.crc32(program.encode(errors="surrogatepass")) % 2 == 0
        outcome = Outcome.PASSED if good else Outcome.FAILED
        case = CaseResult(outcome=Outcome.PASSED)
        verdicts.append(Verdict.from_cases([case, CaseResult(outcome=outcome)]))
    return verdicts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama of random weights and 512 positions."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model") / "llama"
    HFPolicy.specimen(seed=1).save(folder)
    shape = LlamaConfig.from_pretrained(folder, max_position_embeddings=512)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    return folder


def policy_of(kind: str, model: Path | None) -> Policy:
    if kind == "gpt":
        shape = GPTConfig(d_model=16, n_layers=1, n_heads=2, max_tokens=256)
        return GPTPolicy(LexemeTokenizer(), shape, seed=0)
    return make_policy(f"hf:{model}" + ("?lora=2" if kind == "lora" else ""))


def play(agent_name: str, env_id: str, policy: Policy, updates: int) -> str:
    """Train for a few updates; return ``moved``, ``still``, or the error's message."""
    before = [parameter.detach().clone() for parameter in policy.module.parameters()]
    config = TrainConfig.from_mapping(
        {
            "agent": agent_name, "env": f"CodeGym/{env_id}-v0", "tasks": "tiny",
            "updates": updates, "warm_start_programs": 0, "max_new_tokens": 48, "reward": "rltf",
            "env_args": {"turns": 2} if env_id == "Repair" else {},
            "agent_settings": AGENTS[agent_name],
        }
    )  # fmt: skip
    agent_class = registry.get("agents", agent_name)
    settings = agent_config(agent_class, phases_of(config)[0], max_new_tokens=48)
    agent = agent_class(policy, settings, seed=0)
    env = make_env(
        config.env, policy, tasks=config.tasks, reward=config.reward, budget=48,
        judge=Judge(stand_in=stand_in), env_args=config.env_args,
    )  # fmt: skip
    experience = make_experience(config, env)
    try:
        for update in range(updates):
            wanted = agent.request()
            trajectories = experience.gather(
                agent.policy, wanted, phase=0, update=update, progress=update / updates,
                clock=Clock(),
            )  # fmt: skip
            assert len(trajectories) >= wanted.tasks * wanted.samples
            assert bool(wanted.demonstrations) == any(each.demonstration for each in trajectories)
            if env_id == "Repair" and wanted.tasks:
                assert any(each.turns == 2 for each in trajectories), "no program was repaired"
            agent.update(trajectories, progress=update / updates)
    except CodegymError as error:
        return str(error)
    after = agent.policy.module.parameters()
    same = all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    return "still" if same else "moved"


def check(cells: dict[tuple[str, str], str]) -> None:
    """Compare what happened in each cell with what should; show the table if it differs."""
    rows = []
    wrong = False
    for (agent, env), seen in cells.items():
        wanted = REFUSED.get((agent, env), "moved")
        fits = wanted in seen
        wrong = wrong or not fits
        rows.append(f"{agent:<13} {env:<10} {'      ' if fits else 'WRONG '} {seen}")
    assert not wrong, "\n" + "\n".join(rows)


@pytest.mark.parametrize("env", ENVS)
def test_every_agent_learns_in_every_environment(env: str) -> None:
    check({(agent, env): play(agent, env, policy_of("gpt", None), 2) for agent in AGENTS})


@pytest.mark.parametrize("kind", ["hf", "lora"])
def test_a_language_model_learns_from_repairs(kind: str, model: Path) -> None:
    agents = ("grpo", "sb3_ppo")
    check({(agent, "Repair"): play(agent, "Repair", policy_of(kind, model), 1) for agent in agents})


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("kind", ["hf", "lora"])
def test_every_agent_trains_a_language_model_in_every_environment(
    kind: str, env: str, model: Path
) -> None:
    check({(agent, env): play(agent, env, policy_of(kind, model), 2) for agent in AGENTS})
