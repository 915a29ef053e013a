"""TRL's GRPOTrainer and this library's agents from one checkpoint, for the same minutes.

The checkpoint of the tiny policy is a GPT-NeoX folder that transformers opens, so TRL trains the
very same weights on the same tasks with the same reward from the same sandbox. Each side learns for
the same minutes of its own training time; evaluation is ours for both and is not counted.

    codegym train --agent sft --minutes 1 --threads 1 --out runs/start
    pip install trl datasets
    python examples/trl_side_by_side.py runs/start/checkpoint --minutes 3 --threads 1

TRL reads texts, so the ids go through it as a text with a word for each id.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

import codegym
from codegym.measuring.evaluation import evaluate
from codegym.policies.checkpoint import load_policy
from codegym.rewards import make_reward
from codegym.rewards.credit import price
from codegym.sandbox import Sandbox, make_sandbox
from codegym.sources import load_tasks
from codegym.tasks.answers import read_program
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.trainer import Trainer

TRAIN = "composites?domain=small&depth=1-2&split=train"
TEST = "composites?domain=small&depth=2&split=test"
BUDGET = 64
Point = tuple[float, int, float, float]  # minutes, programs, greedy and sampled pass@1


def words_of(policy) -> list[str]:
    """Return a word per id; no word contains another, since special words match inside words."""
    words = [f"t{number}" for number in range(policy.tokenizer.vocab_size)]
    words[policy.tokenizer.pad_id], words[policy.tokenizer.end_id] = "<pad>", "<end>"
    return words


def ids_as_words(policy) -> PreTrainedTokenizerFast:
    """Return a tokenizer that reads ``"t17 t4 t90"`` as the ids 17, 4 and 90."""
    words = {word: number for number, word in enumerate(words_of(policy))}
    inner = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


class Measure(TrainerCallback):
    """Stops the clock, evaluates, and ends the training when its minutes are over."""

    def __init__(
        self, start: Path, sandbox: Sandbox, minutes: float, points: int, *, rows: int, seed: int
    ) -> None:
        self.policy, self.sandbox = load_policy(start), sandbox
        self.rows, self.seed = rows, seed
        self.moments = [minutes * 60 * (n + 1) / points for n in range(points)]
        self.curve: list[Point] = []
        self.spent, self.since, self.programs = 0.0, perf_counter(), 0

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Evaluate when the next moment has come."""
        now = perf_counter()
        self.programs = state.global_step * self.rows
        if self.spent + now - self.since >= self.moments[len(self.curve) - 1]:
            self.spent += now - self.since
            self.measure(model.state_dict())
            control.should_training_stop = len(self.curve) > len(self.moments)
            self.since = perf_counter()

    def measure(self, weights=None) -> None:
        """Copy the weights into our policy and evaluate it as ``codegym train`` does."""
        if weights is not None:
            prefix = "gpt_neox."
            ours = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            self.policy.module.transformer.load_state_dict(ours)
            self.policy.mark_updated()
        rates = [
            evaluate(
                self.policy,
                TEST,
                count=300,
                deterministic=greedy,
                budget=BUDGET,
                seed=self.seed,
                sandbox=self.sandbox,
            )
            for greedy in (True, False)
        ]
        greedy, sampled = (report.pass_at[1].mean for report in rates)
        self.curve.append((self.spent / 60, self.programs, greedy, sampled))


def train_with_trl(start: Path, minutes: float, points: int, seed: int) -> list[Point]:
    """Return the curve of TRL's GRPOTrainer."""
    policy, source, reward = load_policy(start), load_tasks(TRAIN), make_reward("binary")
    order = np.random.default_rng(seed).integers(len(source), size=8192)
    tasks = [source[int(index)] for index in order]
    words = words_of(policy)
    shown = [policy.encode_prompt(task.prompt) for task in tasks]
    prompts = [" ".join(words[token] for token in ids) for ids in shown]
    tokens, end = policy.tokenizer, policy.tokenizer.end_id

    def judged(completion_ids, number, **columns) -> list[float]:
        asked = [tasks[n] for n in number]
        programs = [
            read_program(task, tokens.decode(ids), "continuation")
            for task, ids in zip(asked, completion_ids, strict=True)
        ]
        pairs = [(text, task) for (text, _), task in zip(programs, asked, strict=True)]
        verdicts = codegym.judge_many(pairs, sandbox=sandbox)
        return [
            price(task, text, verdict, reward, count=len(ids), start=start_of_text,
                  spans=partial(tokens.spans, ids), finished=bool(ids) and ids[-1] == end).reward
            for task, (text, start_of_text), ids, verdict in zip(
                asked, programs, completion_ids, verdicts, strict=True)
        ]  # fmt: skip

    settings = GRPOConfig(
        output_dir="runs/trl", per_device_train_batch_size=128, steps_per_generation=2,
        num_generations=8, max_completion_length=BUDGET, learning_rate=3e-4, adam_beta2=0.99,
        lr_scheduler_type="constant_with_warmup", warmup_steps=16, max_steps=100_000, seed=seed,
        temperature=1.0, loss_type="dapo", beta=0.0, gradient_checkpointing=False, use_cpu=True,
        bf16=False, report_to="none", save_strategy="no", logging_steps=1000, disable_tqdm=True,
    )  # fmt: skip
    with make_sandbox() as sandbox:
        measure = Measure(start, sandbox, minutes, points, rows=128, seed=seed)
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32),
            reward_funcs=judged,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": prompts, "number": range(len(tasks))}),
            processing_class=ids_as_words(policy),
            callbacks=[measure],
        )
        measure.measure()
        measure.since = perf_counter()
        trainer.train()
    return measure.curve


def train_with_ours(start: Path, agent: str, minutes: float, points: int, seed: int) -> list[Point]:
    """Return the curve of an agent of this library."""
    config = TrainConfig.from_mapping(
        {"agent": agent, "policy": str(start), "tasks": TRAIN, "eval_tasks": TEST, "seed": seed,
         "reward": "binary", "minutes": minutes, "curve_points": points - 1, "curve_count": 300}
    )  # fmt: skip
    folder = RunFolder(Path("runs") / f"trl-{agent}-{seed}")
    folder.create(config.to_mapping(), overwrite=True)
    Trainer(config, folder).run()
    return [
        (row["train_s"] / 60, row["programs"],
         *(row[kind]["pass_at"]["1"]["mean"] for kind in ("greedy", "sampled")))
        for row in folder.rows("curve")
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", type=Path, help="folder of a checkpoint of the gpt policy")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--points", type=int, default=6, help="evaluations of each curve")
    parser.add_argument("--agents", default="grpo,rft", help="ours, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="where to write the curves")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rest = (options.minutes, options.points, options.seed)
    curves = {"TRL GRPOTrainer": train_with_trl(options.start, *rest)}
    for agent in options.agents.split(","):
        curves[f"codegym {agent}"] = train_with_ours(options.start, agent, *rest)
    for name, curve in curves.items():
        print(f"\n{name}\nminutes  programs  greedy  sampled")
        for minutes, programs, greedy, sampled in curve:
            print(f"{minutes:7.2f}  {programs:8d}  {greedy:6.3f}  {sampled:7.3f}")
    if options.json:
        options.json.write_text(json.dumps(curves) + "\n")


if __name__ == "__main__":
    main()
