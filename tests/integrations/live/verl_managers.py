"""Runs verl's own reward managers, without verl's GPUs: argument 1 is the unpacked wheel.

Their files are loaded as they are; what they import of the rest of verl is stood in for, since
importing verl needs ray and tensordict.
"""

import asyncio
import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace

import torch
from omegaconf import OmegaConf

WHEEL, TASKS, FAULTY = sys.argv[1:]


def stand_in(name, **values):
    module = ModuleType(name)
    module.__path__ = []
    vars(module).update(values)
    sys.modules[name] = module


def loaded(name, path):
    spec = importlib.util.spec_from_file_location(name, f"{WHEEL}/{path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def register(name):
    return lambda cls: cls


async def default_compute_score(*args, **kwargs):
    raise AssertionError("verl's own score is asked")


stand_in("verl", DataProto=object)
stand_in("verl.utils", hf_tokenizer=None)
stand_in("verl.utils.ray_utils", get_event_loop=asyncio.get_event_loop)
stand_in(
    "verl.utils.reward_score",
    default_compute_score=default_compute_score,
    get_default_compute_score=lambda name: default_compute_score,
)
stand_in("verl.experimental")
stand_in("verl.experimental.reward_loop")
stand_in("verl.experimental.reward_loop.reward_manager", register=register)
stand_in("verl.workers")
stand_in("verl.workers.reward_manager", register=register)
MANAGERS = "verl/experimental/reward_loop/reward_manager"
loaded("verl.experimental.reward_loop.reward_manager.base", f"{MANAGERS}/base.py")
naive = loaded("verl.experimental.reward_loop.reward_manager.naive", f"{MANAGERS}/naive.py")
limited = loaded("verl.experimental.reward_loop.reward_manager.limited", f"{MANAGERS}/limited.py")
loaded("verl.utils.import_utils", "verl/utils/import_utils.py")
reward = loaded("verl.trainer_reward", "verl/trainer/ppo/reward.py")


class Item:
    """An element of a DataProto: token ids are the characters' numbers."""

    def __init__(self, row, answer):
        ids = torch.tensor([ord(character) for character in answer])
        self.batch = {"responses": ids, "attention_mask": torch.ones(len(ids) + 2, dtype=int)}
        self.non_tensor_batch = {
            "data_source": row["data_source"],
            "reward_model": row["reward_model"],
            "extra_info": dict(row["extra_info"]),
        }

    def __getitem__(self, index):
        return self


TOKENIZER = SimpleNamespace(decode=lambda ids, skip_special_tokens: "".join(map(chr, ids.tolist())))
CONFIG = OmegaConf.create(
    {
        "reward": {
            "custom_reward_function": {
                "path": "pkg://codegym.integrations.verl",
                "name": "compute_score",
                "reward_kwargs": {"reward": "pass_rate"},
            }
        }
    }
)


async def main():
    from codegym.integrations.verl import rows
    from codegym.sources import load_tasks

    score = reward.get_custom_reward_fn(CONFIG)
    task, row = load_tasks(TASKS)[0], rows(TASKS, count=1)[0]
    faulty = rows(FAULTY)[1]
    right = task.program(task.canonical_solution)
    found = {}
    for name, kind in (
        ("naive", naive.NaiveRewardManager),
        ("rate_limited", limited.RateLimitedRewardManager),
    ):
        manager = kind(OmegaConf.merge(CONFIG, {"reward": {"timeout": 60}}), TOKENIZER, score)
        seen = found[name] = {}
        for label, each, answer in (
            ("right", row, right),
            ("wrong", row, "    return 7\n"),
            ("no verdict", faulty, "    return x + 1\n"),
        ):
            try:
                seen[label] = (await manager.run_single(Item(each, answer)))["reward_score"]
            except Exception as error:
                seen[label] = type(error).__name__
    print(json.dumps(found))


asyncio.run(main())
