"""Engines of the hf policy: transformers' generate, and servers, which are fake here."""

import copy
import http.server
import json
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError, UnknownNameError
from codegym.policies.factory import make_policy
from codegym.policies.hf import weight_sync
from codegym.policies.hf.engine_names import make_engine
from codegym.policies.hf.engines import TransformersEngine
from codegym.policies.hf.http_server import HTTPServer
from codegym.policies.hf.rescoring import EngineError
from codegym.policies.hf.weight_sync import TransferSync
from tests.policies.adapted_llama import adapted, batch_of, log_probs_of, move


def test_transformers_own_generate_writes_the_same(base):
    policy = adapted(base, moved=True)
    prompts = [policy.tokenizer.encode(text) for text in ("def f(x):", "a = [1, 2, 3", "x")]
    ours = policy.generate(prompts, n=2, budget=10, deterministic=True)
    policy.engine = TransformersEngine(rows=4)
    theirs = policy.generate(prompts, n=2, budget=10, deterministic=True)
    for mine, other in zip(ours.actions, theirs.actions, strict=True):
        np.testing.assert_array_equal(mine, other)
    for name in ("log_probs", "values"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-4)
    before = torch.random.get_rng_state()
    batch = batch_of(policy)
    np.testing.assert_allclose(log_probs_of(policy, batch), batch.log_probs, atol=1e-4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_engine_is_scored_at_its_temperature_and_top_p(base):
    policy = adapted(base, moved=True)
    prompt = policy.tokenizer.encode("def f(x):")
    ours = policy.generate([prompt], budget=6, temperature=0.6, deterministic=True)
    policy.engine = TransformersEngine()
    theirs = policy.generate([prompt], budget=6, temperature=0.6, deterministic=True)
    np.testing.assert_allclose(theirs.log_probs[0], ours.log_probs[0], atol=1e-4)
    plain = policy.generate([prompt], budget=6, deterministic=True)
    assert np.abs(plain.log_probs[0] - ours.log_probs[0]).max() > 0.01
    rng = torch.Generator().manual_seed(0)
    written = policy.generate([prompt], n=30, budget=1, temperature=0.6, top_p=0.5, rng=rng)
    probs = torch.softmax(policy.scores(np.array([prompt]))[0].detach() / 0.6, dim=-1)
    ranked = probs.sort(descending=True).values
    kept = ranked[: int((ranked.cumsum(0) < 0.5).sum()) + 1].sum()
    drawn = np.concatenate(written.actions)
    assert len(set(drawn.tolist())) > 1
    expected = (probs[drawn] / kept).log()
    np.testing.assert_allclose(np.concatenate(written.log_probs), expected, atol=1e-3)


class FakeServer(http.server.BaseHTTPRequestHandler):
    """Answers as vLLM does; what it is asked is kept."""

    asked: list
    answer: dict

    def do_GET(self):
        self.reply({"data": [{"id": "tiny"}], "world_size": 2}, None)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, found = 200, None
        if self.path in ("/v1/completions", "/generate"):
            status, found = self.answer["status"], self.answer["make"](body)
        elif "lora" in self.path or "disk" in self.path:
            found = {"success": self.answer.get("success", True), "message": "no room"}
        self.reply(found, body, status)

    def reply(self, found, body, status=200):
        self.asked.append((self.path, body, self.headers.get("Authorization")))
        text = "Success" if found is None else json.dumps(found)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (FakeServer,), {"asked": [], "answer": {"status": 200}})
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield handler, f"127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def completions(body):
    rows = [[70 + k, 71, 256][: body["max_tokens"]] for k in range(body["n"])]
    return {
        "choices": [
            {"index": number, "token_ids": rows[number % body["n"]], "finish_reason": "stop"}
            for number in reversed(range(body["n"] * len(body["prompt"])))
        ]
    }


def paths(handler):
    return [path for path, _, _ in handler.asked]


def test_vllm_writes_and_the_policy_scores(base, tmp_path, server, monkeypatch):
    handler, address = server
    handler.answer["make"] = completions
    monkeypatch.setenv("CODEGYM_ENGINE_KEY", "secret")
    policy = adapted(base, moved=True, engine=f"vllm://{address}?folder={tmp_path}")
    batch = batch_of(policy)
    assert batch.actions.tolist() == [[70, 71, 256], [71, 71, 256]] * 3
    np.testing.assert_allclose(log_probs_of(policy, batch), batch.log_probs, atol=1e-5)
    assert paths(handler) == ["/v1/load_lora_adapter", "/v1/completions"]
    loaded = handler.asked[0][1]
    assert (tmp_path / loaded["lora_name"] / "adapter_model.safetensors").is_file()
    asked, key = handler.asked[1][1:]
    assert asked["model"] == loaded["lora_name"]
    assert (asked["temperature"], asked["top_p"], asked["n"]) == (1.0, 1.0, 2)
    # What the request leaves out a server takes from the model's generation_config.json.
    assert (asked["top_k"], asked["min_p"], asked["repetition_penalty"]) == (0, 0.0, 1.0)
    assert key == "Bearer secret"
    batch_of(policy)
    assert paths(handler)[2:] == ["/v1/completions"]
    policy.mark_updated()
    batch_of(policy)
    assert paths(handler)[3:] == [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/v1/completions",
    ]
    assert not (tmp_path / loaded["lora_name"]).exists()


def test_a_copy_of_a_policy_has_an_engine_that_has_brought_nothing(base, server):
    handler, address = server
    handler.answer["make"] = completions
    policy = adapted(base, engine=f"vllm://{address}")
    batch_of(policy)
    batch_of(copy.deepcopy(policy))
    assert paths(handler) == ["/v1/load_lora_adapter", "/v1/completions"] * 2


def generations(body):
    return [
        {"output_ids": [70 + row % 2, 71], "meta_info": {"finish_reason": {"type": "stop"}}}
        for row in range(len(body["input_ids"]))
    ]


def test_sglang_writes_with_adapters(base, tmp_path, server):
    handler, address = server
    handler.answer["make"] = generations
    policy = adapted(base, moved=True, engine=f"sglang://{address}?folder={tmp_path}")
    batch = batch_of(policy)
    assert batch.actions.tolist() == [[70, 71, 256], [71, 71, 256]] * 3
    np.testing.assert_allclose(log_probs_of(policy, batch), batch.log_probs, atol=1e-5)
    assert paths(handler) == ["/load_lora_adapter", "/generate"]
    asked = handler.asked[1][1]
    assert asked["lora_path"] == ["codegym-1"] * 6
    assert asked["input_ids"][0] == asked["input_ids"][1] == policy.tokenizer.encode("def f(x):")
    assert len({row["sampling_seed"] for row in asked["sampling_params"]}) == 6
    handler.answer["success"] = False
    policy.mark_updated()
    with pytest.raises(EngineError, match="no room"):
        batch_of(policy)


def test_sglang_loads_whole_weights_from_a_folder(base, tmp_path, server):
    handler, address = server
    handler.answer["make"] = generations
    policy = adapted(base, lora_rank=0, engine=f"sglang://{address}?folder={tmp_path}")
    batch_of(policy)
    move(policy)
    batch_of(policy)
    assert paths(handler) == ["/generate", "/update_weights_from_disk", "/generate"]
    body = handler.asked[1][1]
    assert (Path(body["model_path"]) / "model.safetensors").is_file()
    assert body["weight_version"] == "1"


class FakeTrainerEngine:
    """Drives the control plane as vLLM's NCCL engine does; sends nothing."""

    def __init__(self, info, client, source):
        self.info, self.client, self.source = info, client, source
        client.init_weight_transfer_engine({"world_size": info.world_size})

    def send_weights(self):
        self.client.start_weight_update()
        names = [name for name, _ in self.source.named_parameters()]
        self.client.update_weights({"names": names})
        self.client.finish_weight_update()


def fake_vllm(monkeypatch):
    """Put a package named vllm in place that holds what the sync imports."""
    factory = types.SimpleNamespace(
        trainer_init=lambda info, *, client, source: FakeTrainerEngine(info, client, source)
    )
    transfer = types.ModuleType("vllm.distributed.weight_transfer")
    transfer.WeightTransferTrainerFactory = factory
    transfer.ModuleSource = lambda module: module
    nccl = types.ModuleType("vllm.distributed.weight_transfer.nccl_engine")
    nccl.NCCLTrainerInitInfo = lambda **row: types.SimpleNamespace(**row)
    for name in ("vllm", "vllm.distributed"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, transfer.__name__, transfer)
    monkeypatch.setitem(sys.modules, nccl.__name__, nccl)


class OnGPU:
    """A policy that says its weights are on a GPU."""

    def __init__(self, policy):
        self._policy, self.device = policy, torch.device("cuda")

    def __getattr__(self, name):
        return getattr(self._policy, name)


def test_vllm_gets_whole_weights_by_its_transfer_api(base, server, monkeypatch):
    handler, address = server
    sync = TransferSync(HTTPServer(url=f"http://{address}"))
    policy = OnGPU(adapted(base, lora_rank=0))
    assert sync.bring(policy) == ""
    assert handler.asked == []
    policy.mark_updated()
    fake_vllm(monkeypatch)
    sync.bring(policy)
    assert paths(handler) == [
        "/pause?mode=wait",
        "/get_world_size",
        "/init_weight_transfer_engine",
        "/start_weight_update",
        "/update_weights",
        "/finish_weight_update",
        "/resume",
    ]
    assert handler.asked[2][1] == {"init_info": {"world_size": 3}}
    assert "model.norm.weight" in handler.asked[4][1]["update_info"]["names"]
    sync.bring(policy)
    assert len(handler.asked) == 7


def test_whole_weights_need_vllm_and_a_gpu(base, server, monkeypatch):
    handler, address = server
    handler.answer["make"] = completions
    policy = adapted(base, lora_rank=0, engine=f"vllm://{address}")
    batch_of(policy)
    assert handler.asked[-1][1]["model"] == "tiny"
    policy.mark_updated()
    with pytest.raises(ConfigError, match="pip install vllm"):
        batch_of(policy)
    assert paths(handler)[-1] == "/resume"
    fake_vllm(monkeypatch)
    with pytest.raises(ConfigError, match="from a GPU"):
        batch_of(policy)


def test_a_server_that_answers_rubbish_is_an_error(base, server):
    handler, address = server
    policy = adapted(base, engine=f"vllm://{address}?sync=none")
    for make, message in (
        (lambda body: {"choices": []}, "another number"),
        (lambda body: {"error": 1}, "another number"),
        (lambda body: [1], "another number"),
        (lambda body: {"choices": [{"index": 0, "text": "x"}] * 6}, "no token ids"),
    ):
        handler.answer["make"] = make
        with pytest.raises(EngineError, match=message):
            batch_of(policy)
    handler.answer["status"] = 404
    with pytest.raises(EngineError, match="404"):
        batch_of(policy)
    policy.mark_updated()
    with pytest.raises(ConfigError, match="older weights"):
        batch_of(policy)
    policy = adapted(base, engine="vllm://127.0.0.1:9/tiny?sync=none")
    with pytest.raises(EngineError, match="cannot be reached"):
        batch_of(policy)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("llama", UnknownNameError, "vllm"),
        ("vllm://", ConfigError, "address is missing"),
        ("vllm://h:1?rank=2", UnknownNameError, "option of vllm"),
        ("vllm://h:1?sync=all", UnknownNameError, "adapters"),
        ("sglang://h:1?timeout=soon", ConfigError, "timeout is unusable"),
        ("transformers?rows=x", ConfigError, "rows is unusable"),
    ],
)
def test_unusable_engines_are_named(text, error, message):
    with pytest.raises(error, match=message):
        make_engine(text)


def test_engines_of_a_name(base):
    assert make_engine("") is None
    assert isinstance(make_engine("transformers?rows=8"), TransformersEngine)
    policy = make_policy(f"hf:{base}?lora=2&engine=transformers%3Frows%3D8")
    assert isinstance(policy.engine, TransformersEngine)
    with pytest.raises(ConfigError, match="brought as adapters"):
        batch_of(adapted(base, engine="vllm://127.0.0.1:9?sync=weights"))
    assert weight_sync.FixedWeights().bring(policy) == ""
