"""codegym bench policy: what it compares is the same work on both sides."""

import json

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from codegym.bench.policy_speed import command, endless, ours, theirs
from codegym.policies.hf.hf_model import quiet


def test_both_sides_write_the_same_number_of_tokens(tmp_path):
    policy = endless("tiny")
    with quiet():
        policy.save(tmp_path / "policy")
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy").eval()
    with torch.inference_mode():
        assert ours(policy, 8) == theirs(model, 8) == 8 * 34


@pytest.mark.slow
def test_the_command_reports_every_figure():
    run = CliRunner().invoke(command, ["--seconds", "0.01", "--repeats", "1", "--json"])
    assert run.exit_code == 0, run.output
    figures = json.loads(run.output)
    assert len(figures) == 10
    assert all(figure["ours"] > 0 and figure["theirs"] > 0 for figure in figures)
