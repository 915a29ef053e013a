"""Task samplers and prefix curricula: what they draw, and that a stopped run goes on to the bit."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.episode import Written
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.grading.judge import Judge
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.agent import Request
from codegym.policies.checkpoint import load_policy
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.rollout.collect import Clock, Rollout
from codegym.rollout.environments import make_env
from codegym.sandbox import Sandbox, make_sandbox
from codegym.sources import TaskSource, load_tasks
from codegym.tasks.task import Task
from codegym.training.config import TrainConfig
from codegym.training.experience import Experience
from codegym.training.prefix_curriculum import ByProgress, BySuccess, make_prefix_curriculum
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import Update
from codegym.training.task_sampler import SuccessSampler, TaskSampler, make_sampler
from codegym.training.trainer import Trainer
from codegym.trajectory import Trajectory

COMPOSED = "composites?domain=small&depth=1-2&split=train"


class Listed(TaskSource):
    """Tasks at hand."""

    def __init__(self, *tasks: Task) -> None:
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Task:
        return self._tasks[index]


def task(name: str, **rest: Any) -> Task:
    return Task.from_calls(f"Task {name}.", "f", [((1,), 2), ((2,), 3)], task_id=name, **rest)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_success_prefers_what_is_sometimes_solved() -> None:
    tasks = [task("never"), task("half"), task("always"), task("new")]
    sampler = SuccessSampler(Listed(*tasks), floor=0.1, fade=1.0)
    sampler.observe(tasks[0], [False] * 8)
    sampler.observe(tasks[1], [True, False] * 4)
    sampler.observe(tasks[2], [True] * 8)
    # p = (0 + 1) / (8 + 2) = 0.1: 0.1 + 4 * 0.1 * 0.9 = 0.46; p = 0.5: 1.1; p = 0.9: 0.46.
    weights = [sampler.weight(task) for task in tasks]
    assert weights == pytest.approx([0.46, 1.1, 0.46, 1.1])
    # One candidate in four is kept, so the shares lie between the weights' and equal ones.
    drawn = Counter(task.task_id for task in sampler.draw(4000, rng()))
    assert drawn["half"] > 1.5 * drawn["never"] and drawn["new"] > 1.5 * drawn["always"]


def test_older_results_fade() -> None:
    only = task("a")
    sampler = SuccessSampler(Listed(only), fade=0.5)
    sampler.observe(only, [True, True, True, True])
    sampler.observe(only, [False, False])
    # passes 0.5 * 4 + 0 = 2, programs 0.5 * 4 + 2 = 4: p = 3 / 6.
    assert sampler.weight(only) == pytest.approx(0.1 + 1.0)
    assert sampler.metrics() == {"sampler/keys": 1.0, "sampler/success": 0.5}


def test_compositions_share_one_key_and_other_tasks_have_their_own() -> None:
    composed = [task("x", metadata={"key": "a|b"}), task("y", metadata={"key": "a|b"}), task("z")]
    sampler = SuccessSampler(Listed(*composed))
    assert [sampler.key(each) for each in composed] == ["a|b", "a|b", "z"]
    assert SuccessSampler(Listed(*composed), by="task").key(composed[0]) == "x"


@pytest.mark.parametrize("uri", ["uniform", "success?floor=0.2", "curriculum?window=8&up_at=0.5"])
def test_drawing_changes_no_state_and_states_are_restored(uri: str) -> None:
    source = load_tasks(COMPOSED)
    sampler, again = make_sampler(uri, source), make_sampler(uri, source)
    for update in range(3):
        drawn = sampler.draw(8, rng(update))
        again_drawn = sampler.draw(8, rng(update))
        assert [each.task_id for each in again_drawn] == [each.task_id for each in drawn]
        for number, each in enumerate(drawn):
            sampler.observe(each, [number % 4 > 0])
    again.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert [each.task_id for each in again.draw(16, rng(9))] == [
        each.task_id for each in sampler.draw(16, rng(9))
    ]
    assert again.metrics() == sampler.metrics() and again.stage == sampler.stage


def test_the_curriculum_moves_through_the_depths_of_its_source() -> None:
    sampler = make_sampler("curriculum?window=8&up_at=0.75&review=0", load_tasks(COMPOSED))
    assert {each.metadata["depth"] for each in sampler.draw(20, rng())} == {1}
    for each in sampler.draw(2, rng(1)):
        sampler.observe(each, [True, True, True, False])
    assert sampler.stage == 1 and sampler.metrics() == {"sampler/lesson": 1.0}
    assert {each.metadata["depth"] for each in sampler.draw(40, rng(2))} == {1, 2}


@pytest.mark.parametrize(
    ("uri", "error", "hint"),
    [
        ("sucess", UnknownNameError, "'success'"),
        ("success?flor=1", UnknownNameError, "'floor'"),
        ("success?floor=x", ConfigError, "float"),
        ("success?floor=0", ConfigError, "never come back"),
        ("success?by=tsk", UnknownNameError, "'task'"),
        ("success?candidates=0", ConfigError, ">= 1"),
        ("curriculum", ConfigError, "depths of composed tasks"),
    ],
)
def test_bad_samplers_are_named(uri: str, error: type[Exception], hint: str) -> None:
    with pytest.raises(error, match=hint):
        make_sampler(uri, Listed(task("a")))


def test_a_registered_sampler_is_found_by_name() -> None:
    class First(TaskSampler):
        def draw(self, count: int, rng: np.random.Generator) -> list[Task]:
            return [self.source[0]] * count

    registry.register("samplers", "first", First)
    try:
        drawn = make_sampler("first", Listed(task("a"), task("b"))).draw(3, rng())
        assert [each.task_id for each in drawn] == ["a"] * 3
    finally:
        del registry._registered["samplers"]["first"]


def test_prefixes_shorten_by_success() -> None:
    prefix = BySuccess(start=0.5, step=0.2, up_at=0.75, window=4)
    prefix.observe([True, True, False])
    assert prefix.share(0.0) == 0.5
    prefix.observe([True])  # 3 of 4
    assert (prefix.share(0.9), prefix.stage) == (0.3, 1)
    prefix.observe([False, False, True, True])
    assert prefix.share(0.0) == 0.3
    for _ in range(3):
        prefix.observe([True] * 9)
    assert prefix.share(0.0) == 0.0
    again = BySuccess(start=0.5, step=0.2, up_at=0.75, window=4)
    again.load_state_dict(prefix.state_dict())
    assert again.share(0.0) == 0.0 and again.stage == prefix.stage == 4


def test_prefixes_shorten_over_the_training() -> None:
    prefix = ByProgress(start=0.8, until=0.5)
    assert [prefix.share(at) for at in (0.0, 0.25, 0.5, 1.0)] == [0.8, 0.4, 0.0, 0.0]


@pytest.mark.parametrize(
    ("uri", "error", "hint"),
    [
        ("sucess", UnknownNameError, "'success'"),
        ("success?stat=0.5", UnknownNameError, "'start'"),
        ("success?start=1.0", ConfigError, "share"),
        ("success?step=0", ConfigError, "step"),
        ("progress?until=2", ConfigError, "until"),
    ],
)
def test_bad_prefix_curricula_are_named(uri: str, error: type[Exception], hint: str) -> None:
    with pytest.raises(error, match=hint):
        make_prefix_curriculum(uri)
    assert make_prefix_curriculum("none") is None


def tiny(max_tokens: int = 96) -> GPTPolicy:
    shape = GPTConfig(d_model=16, n_layers=1, n_heads=1, max_tokens=max_tokens)
    return GPTPolicy(registry.get("tokenizers", "lexemes")(), shape, seed=0)


def env_for(
    policy: GPTPolicy, source: TaskSource, sandbox: Sandbox | None, *, budget: int = 12
) -> Any:
    return make_env(
        "CodeGym/Synthesis-v0",
        policy,
        tasks=source,
        reward="rltf",
        budget=budget,
        judge=Judge(sandbox) if sandbox else None,
    )


CODE = Task.from_calls(
    "def f(x):\n", "f", [((1,), 2), ((2,), 3)], task_id="code",
    canonical_solution="    y = x\n    return y + 1\n",
)  # fmt: skip


def test_the_given_part_is_prompt_and_the_rest_is_written() -> None:
    policy = tiny()
    solution = policy.tokenizer.encode(CODE.canonical_solution or "")
    prompt = policy.encode_prompt(CODE.prompt)
    half = len(solution) // 2
    with make_sandbox(workers=1) as sandbox:
        rollout = Rollout(
            env_for(policy, Listed(CODE), sandbox, budget=half + 6),
            policy,
            [CODE],
            Request(tasks=1, samples=2, greedy=True),
            rng=torch.Generator().manual_seed(0),
            given=[solution[:half]],
        )
        got = rollout.wait()
    assert [episode.greedy for episode in got] == [False, False, True]
    for episode in got:
        length = len(episode)
        assert episode.prompt.tolist() == prompt + solution[:half]
        assert episode.given == half and length <= half + 6
        assert len(episode.log_probs) == len(episode.credit) == length
        text = policy.tokenizer.decode([*solution[:half], *episode.actions.tolist()])
        assert episode.program == CODE.prompt + text
        assert episode.feedback is not None and episode.feedback.n_tokens == length
        start, end = episode.feedback.tokens
        assert 0 <= start <= end <= length


def test_a_fault_in_the_given_part_blames_no_action() -> None:
    policy = tiny()
    env = env_for(policy, Listed(CODE), None)
    given = policy.tokenizer.encode("    y = x / 0\n")
    written = [*policy.tokenizer.encode("    return y\n"), policy.tokenizer.end_id]

    def blamed(line: int) -> tuple[int, int]:
        case = CaseResult(
            outcome=Outcome.RUNTIME_ERROR, error_type="ZeroDivisionError", error_line=line
        )
        (opening,) = env.open([CODE], given=[given])
        ending = env.price(Written(opening, written, finished=True), Verdict.from_cases([case]))
        assert ending.feedback is not None
        assert ending.feedback.n_tokens == len(written) == len(ending.credit)
        return ending.feedback.tokens

    assert blamed(2) == (0, 0)
    start, end = blamed(3)
    assert policy.tokenizer.decode(written[start:end]).strip() == "return y"


def test_a_task_without_a_solution_cannot_be_begun() -> None:
    bare = Task.from_calls("def f(x):\n", "f", [((1,), 2)], task_id="bare")
    policy = tiny()
    experience = Experience(
        config(prefix_curriculum="progress"), env_for(policy, Listed(bare), None)
    )
    with pytest.raises(TaskError, match=r"'bare' has no reference .*prefix curriculum"):
        experience.gather(policy, Request(tasks=1), phase=0, update=0, progress=0.0, clock=Clock())


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.from_mapping(
        {
            "agent": "rloo",
            "policy": "gpt:tiny",
            "warm_start_programs": 16,
            "warm_start_settings": {"demonstrations": 16, "batch_size": 8},
            "tasks": COMPOSED,
            "reward": "rltf",
            "updates": 6,
            "eval_count": 2,
            "curve_points": 0,
            "max_new_tokens": 12,
            "workers": 1,
            "agent_settings": {"tasks": 4, "samples": 2},
        }
        | settings
    )


def train(folder: Path, asked: TrainConfig, *, stop_after: int = 0, resume: bool = False) -> bool:
    run = RunFolder(folder)
    if not resume:
        run.create(asked.to_mapping())
    seen = 0

    def watch(update: Update) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_after:
            trainer.stop()

    trainer = Trainer(asked, run, watch=watch)
    return trainer.run(resume=resume)


@pytest.mark.parametrize(
    "settings",
    [
        {"task_sampler": "success?candidates=2"},
        pytest.param({"task_sampler": "curriculum?window=8&up_at=0.1"}, marks=pytest.mark.slow),
        {"prefix_curriculum": "success?window=8&up_at=0.1&step=0.3"},
        pytest.param(
            {"prefix_curriculum": "progress", "task_sampler": "success"}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"ahead": 1, "agent": "actor_critic", "task_sampler": "success",
             "prefix_curriculum": "success?window=8"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"ahead": 1, "agent": "rltf", "task_sampler": "curriculum?window=8&up_at=0.1",
             "max_new_tokens": 24,
             "agent_settings": {"tasks": 4, "samples": 2, "capacity": 12, "minimum_fill": 4,
                                "batch_size": 4, "supervised": "reference",
                                "baseline": "greedy"}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda settings: "-".join(str(value).partition("?")[0] for value in settings.values()),
)  # fmt: skip
def test_a_resumed_run_draws_what_it_would_have_drawn(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An untrained policy passes nothing: let samplers and prefixes see what moves them.
    def observe(
        self: Experience, tasks: Sequence[Task], groups: Sequence[Sequence[Trajectory]]
    ) -> None:
        for number, drawn in enumerate(tasks):
            self.sampler.observe(drawn, [number % 2 == 0, True])
        if self.prefix is not None:
            self.prefix.observe([len(episode) % 2 == 0 for group in groups for episode in group])

    monkeypatch.setattr(Experience, "_observe", observe)
    asked = config(**settings)
    assert train(tmp_path / "whole", asked)
    assert not train(tmp_path / "split", asked, stop_after=4)
    assert train(tmp_path / "split", asked, resume=True)
    policies = [load_policy(tmp_path / name / "checkpoint") for name in ("whole", "split")]
    for left, right in zip(*(policy.module.parameters() for policy in policies), strict=True):
        assert torch.equal(left, right)

    def rows(name: str) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in row.items() if "_s" not in key and "share_" not in key}
            for row in RunFolder(tmp_path / name).rows("metrics")
        ]

    assert rows("whole") == rows("split")
    moving = {"sampler/keys", "sampler/lesson", "prefix"} & set(rows("whole")[-1])
    assert all(len({row[name] for row in rows("whole") if name in row}) > 1 for name in moving)
    assert moving
    lags = {row["sampling_lag"] for row in rows("whole") if "sampling_lag" in row}
    assert (max(lags) > 0) == bool(asked.ahead)


def test_programs_count_under_the_stage_they_were_written_at() -> None:
    asked = config(prefix_curriculum="success?window=1&up_at=0.1", tasks="atoms?topic=strings")
    policy, wanted = tiny(512), Request(tasks=1, samples=1)
    with make_sandbox(workers=1) as sandbox:
        experience = Experience(asked, env_for(policy, load_tasks(asked.tasks), sandbox))
        assert experience.prefix is not None
        for update in range(2):
            experience.gather(policy, wanted, phase=0, update=update, progress=0.0, clock=Clock())
            # The prefix moves on what was gathered; that was written before.
            assert experience.stage == (0, update)
            experience.prefix.observe([True])
