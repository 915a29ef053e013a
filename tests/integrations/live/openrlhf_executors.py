"""Runs OpenRLHF's own executors, without its GPUs: argument 1 is its package's folder.

``utils/agent.py`` is loaded as it is; a stand-in takes the place of vLLM and of the logger.
"""

import asyncio
import importlib.util
import json
import logging
import math
import os
import sys
from types import ModuleType, SimpleNamespace

import torch

from codegym.integrations import openrlhf
from codegym.integrations.task_table import reference
from codegym.sources import load_tasks

FOLDER, TASKS, FAULTY = sys.argv[1:]
PROMPT = "<|im_start|>user\nWrite it.<|im_end|>\n<|im_start|>assistant\n"


def stand_in(name, **values):
    module = ModuleType(name)
    module.__path__ = []
    vars(module).update(values)
    sys.modules[name] = module


stand_in("openrlhf")
stand_in("openrlhf.utils")
stand_in("openrlhf.utils.logging_utils", init_logger=logging.getLogger)
spec = importlib.util.spec_from_file_location("openrlhf.utils.agent", f"{FOLDER}/utils/agent.py")
agent = importlib.util.module_from_spec(spec)
sys.modules["openrlhf.utils.agent"] = agent
spec.loader.exec_module(agent)


class Tokenizer:
    """Token ids are the characters' numbers."""

    def __call__(self, text, **settings):
        return {"input_ids": torch.tensor([[ord(character) for character in text]])}

    def decode(self, ids, **settings):
        return "".join(map(chr, ids))


class Engine:
    """Says its texts one after another."""

    def __init__(self, *texts):
        self.texts = list(texts)

    async def generate(self, ids, params, **settings):
        text = self.texts.pop(0)
        output = SimpleNamespace(
            token_ids=[ord(character) for character in text],
            text=text,
            finish_reason="stop",
            logprobs=None,
        )
        return SimpleNamespace(outputs=[output])


def played(executor, label, *texts):
    params = SimpleNamespace(max_tokens=4096, logprobs=None)
    work = executor.execute(PROMPT, label, params, 8192, Tokenizer(), Engine(*texts))
    reward = asyncio.run(work)["reward"]
    # What _process_response_into_experience makes of it.
    return None if reward is None else torch.tensor([reward]).item()


def main():
    task = load_tasks(TASKS)[0]
    label, faulty = reference(TASKS, task.task_id, turns=2), reference(FAULTY, "faulty", turns=2)
    right = f"```python\n{task.program(task.canonical_solution)}\n```<|im_end|>"
    single = agent.SingleTurnAgentExecutor([openrlhf.__file__])
    found = {"single": [played(single, label, text) for text in (right, "    return 7\n")]}
    found["single"].append(played(single, faulty, "    return x + 1\n"))
    spec = importlib.util.spec_from_file_location("agent_module", openrlhf.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert issubclass(module.AgentExecutor, agent.AgentExecutorBase)
    found["agent"] = [played(module.AgentExecutor(), label, "    return 7\n", right)]
    found["agent"].append(played(module.AgentExecutor(), label, *["    return 7\n"] * 2))
    try:
        played(module.AgentExecutor(), faulty, "    return x + 1\n")
    except Exception as error:
        found["agent"].append(type(error).__name__)
    os.environ["CODEGYM_NO_VERDICT"] = "nan"
    found["nan"] = math.isnan(played(single, faulty, "    return x + 1\n"))
    print(json.dumps(found))


main()
