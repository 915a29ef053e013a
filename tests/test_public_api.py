"""The public interface: what `import codegym` offers, and what it says where torch is missing."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import codegym
from codegym.errors import ConfigError, UnknownNameError

SOURCE = Path(codegym.__file__)
# What has to import torch when it is imported.
NEEDS_TORCH = (
    "EvaluationReport",
    "TrainingReport",
    "evaluate",
    "make_agent",
    "make_policy",
    "resume",
    "train",
)


def typed_imports() -> dict[str, str]:
    """Return the names that type checkers see -> the modules they see them in."""
    tree = ast.parse(SOURCE.read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: str(line.module)
        for block in blocks
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }


def test_type_checkers_and_the_interpreter_see_the_same() -> None:
    for name, module in typed_imports().items():
        assert getattr(importlib.import_module(module), name) is getattr(codegym, name)
    at_import = {
        alias.name
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(codegym.__all__) <= typed_imports().keys() | at_import
    assert typed_imports().keys() <= set(codegym.__all__)
    assert codegym.__all__ == sorted(codegym.__all__)
    assert (SOURCE.parent / "py.typed").exists()


@pytest.mark.parametrize(("set_by_user", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_decides(
    set_by_user: str | None, expected: str
) -> None:
    code = "import codegym, os; print(os.environ['OMP_WAIT_POLICY'])"
    env = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if set_by_user:
        env["OMP_WAIT_POLICY"] = set_by_user
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert out.stdout.strip() == expected


@pytest.mark.parametrize("name", codegym.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(codegym, name)
    assert (value.__doc__ or "").strip()
    assert name in dir(codegym)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="make_polcy"):
        codegym.make_polcy  # noqa: B018


def test_without_torch_each_name_that_needs_it_says_what_to_install() -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # what `import torch` then raises is a ModuleNotFoundError
import codegym
from codegym.errors import MissingExtraError
for name in {NEEDS_TORCH!r}:
    try:
        getattr(codegym, name)
    except MissingExtraError as error:
        assert "torch is not installed" in str(error), error
        assert "[agents]' brings it" in str(error), error
    else:
        raise AssertionError(name + " was found without torch")
for name in codegym.__all__:
    if name not in {NEEDS_TORCH!r}:
        getattr(codegym, name)
print("ok")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def policy(seed: int = 0) -> codegym.Policy:
    return codegym.make_policy("gpt:tiny@128", seed=seed)


def test_an_agent_is_made_by_name_with_the_preset_that_suits_the_policy() -> None:
    agent = codegym.make_agent("grpo", policy(), samples=4)
    assert agent.config.lr == type(agent).presets["small"]["lr"]
    assert agent.config.samples == 4
    paper = codegym.make_agent("grpo", policy(), preset="paper", max_new_tokens=9)
    assert paper.config.lr == type(agent.config)().lr
    assert paper.config.max_new_tokens == 9


def test_settings_of_an_agent_are_checked_by_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'samples'"):
        codegym.make_agent("grpo", policy(), smaples=4)
    with pytest.raises(UnknownNameError, match="did you mean 'grpo'"):
        codegym.make_agent("grop", policy())
    with pytest.raises(UnknownNameError, match="preset of grpo"):
        codegym.make_agent("grpo", policy(), preset="smal")
    with pytest.raises(ConfigError, match="wrong type"):
        codegym.make_agent("grpo", policy(), samples="several")


def test_one_update_on_the_public_interface(tiny) -> None:
    writer = policy()
    agent = codegym.make_agent("rloo", writer, tasks=2, samples=2)
    env = codegym.make_env(
        "CodeGym/Synthesis-v0", writer, tasks="tiny", budget=8, env_args={"judge": tiny["judge"]}
    )
    rng = torch.Generator().manual_seed(0)
    written = codegym.collect(env, writer, agent.request(), rng=rng)
    assert [type(episode) for episode in written] == [codegym.Trajectory] * 4
    batch = codegym.Batch.from_trajectories(written, pad_id=writer.tokenizer.pad_id)
    np.testing.assert_array_equal(batch.rewards, [episode.reward for episode in written])
    assert "used_share" in agent.update(written)
    shown = codegym.collect(env, writer, codegym.Request(demonstrations=3), rng=rng)
    assert [(episode.demonstration, episode.reward) for episode in shown] == [(True, 1.0)] * 3


def test_a_policy_is_evaluated_by_name_by_folder_and_itself(tiny, tmp_path) -> None:
    made = policy(seed=0)
    made.save(tmp_path / "kept")
    task = codegym.Task.from_calls("def f(x):\n", "f", [((1,), 1)], task_id="one")
    given = {"count": 1, "budget": 4, "seed": 3}
    reports = [
        codegym.evaluate(each, [task], **given)
        for each in (made, "gpt:tiny@128", tmp_path / "kept", str(tmp_path / "kept"))
    ]
    assert len({str(report.to_json()) for report in reports}) == 1
    with pytest.raises(UnknownNameError, match="did you mean 'gpt'"):
        codegym.evaluate("gtp:tiny", [task])


def test_a_run_is_trained_and_opened(tmp_path) -> None:
    updates = []
    report = codegym.train(
        agent="rft",
        policy="gpt:tiny@128",
        updates=2,
        warm_start_programs=0,
        max_new_tokens=8,
        eval_count=2,
        curve_points=0,
        workers=1,
        threads=1,
        track="none",
        agent_settings={"tasks": 2, "samples": 2},
        out=tmp_path / "run",
        watch=updates.append,
    )
    assert report.complete and len(updates) == 2
    opened = codegym.make_policy(report.checkpoint)
    assert opened.name == "gpt" and opened.max_tokens == 128
    with pytest.raises(UnknownNameError, match="did you mean 'updates'"):
        codegym.train(update=2)
