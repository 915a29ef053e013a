"""Trains with TRL's environment_factory: the model is scripted to submit programs with the tool.

Arguments: folder of a tiny model, tasks. Every first answer submits a wrong program, the next the
right one, and the last says that it is done.
"""

import json
import sys

import torch
from transformers import AutoTokenizer, GPTNeoXForCausalLM
from trl import GRPOConfig, GRPOTrainer

from codegym.integrations.trl import dataset, environment
from codegym.sources import load_tasks

FOLDER, TASKS, OUT = sys.argv[1:]
SOLUTIONS = {}
for number in range(4):
    task = load_tasks(TASKS)[number]
    SOLUTIONS[task.prompt.strip().splitlines()[-1]] = task.program(task.canonical_solution)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)


class Scripted(GPTNeoXForCausalLM):
    """Answers by script where it is asked to generate."""

    def generate(self, input_ids=None, **settings):
        texts = [self.answer(tokenizer.decode(row)) for row in input_ids]
        made = [tokenizer(text)["input_ids"] for text in texts]
        longest = max(map(len, made))
        padded = [ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in made]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    @staticmethod
    def answer(seen):
        submitted = seen.count("<tool_response>")
        if submitted > 1:
            return "Done.<|im_end|>"
        program = "    return None\n"
        if submitted:
            (program,) = [text for key, text in SOLUTIONS.items() if key in seen]
        call = {"name": "submit_program", "arguments": {"program": program}}
        return f"<tool_call>\n{json.dumps(call)}\n</tool_call><|im_end|>"


trainer = GRPOTrainer(
    model=Scripted.from_pretrained(FOLDER),
    args=GRPOConfig(
        output_dir=OUT, use_cpu=True, bf16=False, per_device_train_batch_size=4, num_generations=2,
        max_completion_length=4096, max_steps=1, report_to="none", logging_steps=1,
        save_strategy="no", disable_tqdm=True,
    ),
    train_dataset=dataset(TASKS, style="chat", count=4),
    processing_class=tokenizer,
    environment_factory=environment(TASKS, "binary - 0.25"),
)  # fmt: skip
trainer.train()
log = trainer.state.log_history[0]
kept = {key: log[key] for key in log if key.startswith(("rewards/", "tools/"))}
print(json.dumps(kept))
