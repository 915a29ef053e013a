"""Training in other environments: stepped ones of another package, and how many threads share."""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import codegym.training.session as session
from codegym.errors import ConfigError, UnknownNameError
from codegym.policies.checkpoint import load_policy
from codegym.policies.factory import make_policy
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder

SMALL = {"tasks": 4, "samples": 2}


class Loud(gym.Env[str, str]):
    """Texts in, texts out; a program must hold the letter x."""

    observation_space = spaces.Text(2000, charset=string.printable)
    action_space = spaces.Text(1000, min_length=0, charset=string.printable)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "say x", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "said", float("x" in action), True, False, {}


class Counting(gym.Env[Any, Any]):
    """Five token ids, each rewarded if it is even."""

    def __init__(self, *, length: int = 24) -> None:
        tokenizer = LexemeTokenizer()
        self.observation_space = spaces.Box(0, tokenizer.vocab_size - 1, (length,), np.int32)
        self.action_space = spaces.Discrete(tokenizer.vocab_size)
        self._row = np.full(length, tokenizer.pad_id, dtype=np.int32)
        self._first = tokenizer.encode("x")[0]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._row[:] = LexemeTokenizer().pad_id
        self._row[0], self._at = self._first, 1
        return self._row.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._row[self._at] = action
        self._at += 1
        return self._row.copy(), float(action % 2 == 0) / 5, self._at == 6, False, {}


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    ids = {"Others/Loud-v0": Loud, "Others/Counting-v0": Counting}
    for name, entry in ids.items():
        gym.register(name, entry_point=entry)
    yield
    for name in ids:
        del gym.registry[name]


def settings(**rest: Any) -> dict[str, Any]:
    return {
        "agent": "grpo", "env": "Others/Counting-v0", "num_envs": 3, "warm_start_programs": 0,
        "updates": 2, "eval_count": 2, "curve_points": 0, "max_new_tokens": 8, "workers": 1,
        "policy": "gpt:tiny@64", "track": "none", "agent_settings": SMALL,
    } | rest  # fmt: skip


def weights(folder: Path) -> list[torch.Tensor]:
    return list(load_policy(folder / "checkpoint").module.parameters())


@pytest.mark.parametrize("env", ["Others/Loud-v0", "Others/Counting-v0"])
def test_an_environment_of_another_package_trains(env: str, tmp_path: Path) -> None:
    report = session.train(settings(env=env), out=tmp_path / "run")
    assert report.complete and report.summary is not None
    # The environment brings tasks and reward.
    assert (report.config.tasks, report.config.eval_tasks, report.config.reward) == ("", "", "")
    rows = list(RunFolder(tmp_path / "run").rows("metrics"))
    assert len(rows) == 2 and all(0 <= row["reward"] <= 1 for row in rows)
    if env.endswith("Counting-v0"):
        assert all(row["tokens"] == 5 and row["reward"] > 0 for row in rows)
        # Nothing but rewards can have changed the first weights.
        first = make_policy("gpt:tiny@64").module.parameters()
        pairs = zip(weights(tmp_path / "run"), first, strict=True)
        assert not all(torch.equal(left, right) for left, right in pairs)


def test_a_stepped_run_that_was_stopped_equals_the_unsplit_one(tmp_path: Path) -> None:
    asked = settings(updates=3)
    session.train(asked, out=tmp_path / "whole")
    trainer = session.prepare(
        session.make_config(asked), tmp_path / "split", watch=lambda update: trainer.stop()
    )
    trainer.folder.create(trainer.config.to_mapping())
    assert not trainer.run()
    assert session.resume(tmp_path / "split").complete
    pairs = zip(weights(tmp_path / "whole"), weights(tmp_path / "split"), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


@pytest.mark.parametrize(
    ("rest", "hint"),
    [
        ({"task_sampler": "success"}, "'task_sampler' needs an environment"),
        ({"prefix_curriculum": "success"}, "'prefix_curriculum' needs an environment"),
        ({"ahead": 1}, "'ahead' needs an environment"),
        ({"grammar": True}, "'grammar' needs an environment"),
        ({"tasks": "composites"}, r'takes no tasks.*tasks=""'),
        ({"reward": "binary"}, "takes no reward"),
        ({"agent": "sft", "agent_settings": {}}, "without greedy programs and demonstrations"),
        ({"warm_start_programs": 8}, "without greedy programs and demonstrations"),
        ({"agent": "coderl"}, "without greedy programs and demonstrations"),
        ({"env_args": {"lenght": 30}}, "'length'"),
        ({"env": "Others/Countin-v0"}, "'Others/Counting-v0'"),
        ({"env": "no_such_package:Others-v0"}, "no_such_package"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_needs_an_environment_of_codegym_is_refused(
    rest: dict[str, Any], hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=hint):
        session.train(settings(**rest), out=tmp_path / "run")


def test_a_package_is_imported_for_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_package.py").write_text(
        "import gymnasium as gym\ngym.register('Other/Env-v0', entry_point='gymnasium:Env')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        config = TrainConfig.from_mapping({"env": "other_package:Other/Env-v0"})
        assert (config.env, config.tasks) == ("other_package:Other/Env-v0", "")
        with pytest.raises(UnknownNameError, match="Other/Env-v0"):
            TrainConfig.from_mapping({"env": "other_package:Other/Enf-v0"})
    finally:
        gym.registry.pop("Other/Env-v0", None)


def test_the_number_of_threads_is_part_of_the_run(tmp_path: Path) -> None:
    ambient = torch.get_num_threads()
    seen: list[int] = []
    report = session.train(
        settings(threads=2), out=tmp_path / "run",
        watch=lambda update: seen.append(torch.get_num_threads()),
    )  # fmt: skip
    assert set(seen) == {2} and torch.get_num_threads() == ambient
    assert report.config.threads == RunFolder(tmp_path / "run").read_config()["threads"] == 2
    # Where none is given, the number that torch chose is written down.
    chosen = session.train(settings(updates=1), out=tmp_path / "chosen")
    assert chosen.config.threads == ambient
    assert RunFolder(tmp_path / "chosen").read_config()["threads"] == ambient
    with pytest.raises(ConfigError, match="'threads' is out of range"):
        TrainConfig.from_mapping(settings(threads=-1))


def test_an_id_with_tasks_of_its_own_keeps_them() -> None:
    atoms = TrainConfig.from_mapping({"env": "CodeGym/Atoms-v0", "updates": 1})
    assert (atoms.tasks, atoms.eval_tasks) == ("", "")
    given = TrainConfig.from_mapping(
        {"env": "CodeGym/Atoms-v0", "updates": 1, "tasks": "composites"}
    )
    assert given.tasks == "composites"
    assert TrainConfig.from_mapping({"env": "CodeGym/Repair-v0", "updates": 1}).tasks
