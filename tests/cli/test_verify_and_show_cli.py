"""What a run keeps is graded, verified and shown; a page follows a run that trains."""

import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from codegym.cli import root, show
from codegym.errors import ConfigError, MissingExtraError
from codegym.measuring.kept_programs import chosen
from codegym.measuring.output import Output
from codegym.sources import _zstd
from codegym.sources._records import read_records
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder


def call(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments, env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "rltf-3"
    done = call(
        "train", "--agent", "rltf", "--seed", "3", "--policy", "gpt:tiny", "--updates", "2",
        "--warm-start-programs", "0", "--tasks", "atoms?topic=numbers", "--reward", "rltf",
        "--eval-tasks", "atoms?topic=numbers", "--eval-count", "4", "--curve-count", "2",
        "--curve-points", "1", "--max-new-tokens", "12", "--set", "tasks=3", "--set", "samples=2",
        "--keep-programs", "4", "--workers", "1", "--threads", "1", "--track", "none",
        "--out", str(folder), "-q",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "too small to learn from" in done.stdout
    return folder


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_evaluations_and_updates_keep_their_programs(run: Path) -> None:
    kept = rows_of(run / "programs.jsonl")
    moments = [(row["moment"], row["kind"]) for row in kept]
    for moment, count in (("before", 4), ("curve", 2), ("after", 4)):
        for kind in ("greedy", "sampled"):
            assert moments.count((moment, kind)) == count
    training = rows_of(run / "training_programs.jsonl")
    assert [row["update"] for row in training] == [1] * 4 + [2] * 4
    for row in (*kept, *training):
        assert row["seed"] == 3 and row["tasks"] == "atoms?topic=numbers"
        assert row["verdict"]["outcome"] == row["outcome"]  # type: ignore[index]
        assert isinstance(row["program"], str) and isinstance(row["reward"], float)
    assert training[-1]["policy_version"] >= training[0]["policy_version"]  # type: ignore[operator]


def test_grade_reads_what_was_kept(run: Path) -> None:
    done = call("grade", "atoms?topic=numbers", "--samples", str(run / "programs.jsonl"), "--json")
    kept = rows_of(run / "programs.jsonl")
    outcomes = json.loads(done.stdout)["outcomes"]
    for name, count in outcomes.items():
        assert sum(row["outcome"] == name for row in kept) == count


def test_verify_finds_the_same_verdicts_and_the_changed_one(run: Path, tmp_path: Path) -> None:
    done = call("verify", str(run), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"programs": 28, "differ": 0}
    rows = rows_of(run / "programs.jsonl")
    rows[5]["verdict"]["outcome"] = "passed"  # type: ignore[index]
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = call("verify", str(changed))
    assert done.exit_code == 1 and "1 of 20 verdicts differ" in done.stdout
    assert str(rows[5]["task_id"]) in done.stdout and "passed became" in done.stdout


def test_verify_refuses_what_keeps_nothing(tmp_path: Path) -> None:
    assert isinstance(call("verify", str(tmp_path)).exception, ConfigError)
    wrong = tmp_path / "x.jsonl"
    wrong.write_text('{"task_id": "a"}\n')
    assert "x.jsonl:1: not a row of kept programs" in str(call("verify", str(wrong)).exception)


def test_a_later_evaluation_is_kept_in_the_run(run: Path) -> None:
    done = call("eval", str(run), "--count", "2", "--workers", "1", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_tasks"] == 2
    assert len(rows_of(run / "evaluations" / "001" / "programs.jsonl")) == 2


def test_a_run_has_a_page_and_two_a_leaderboard(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert call("show", str(run), "--out", str(page)).exit_code == 0
    text = page.read_text()
    for words in ("rltf-3", "complete", "Outcomes of training programs", "Throughput", "worst:",
                  "Settings that depart from the papers", "too small to learn from"):  # fmt: skip
        assert words in text
    assert 'class="t minus" data-i=' in text  # credit by token under the run's reward
    board = tmp_path / "board.html"
    done = call("show", str(run), str(run), "--out", str(board), "--csv")
    assert done.exit_code == 0 and done.stdout.startswith("run,kind,seeds,before,before_low")
    assert "data-kind" in board.read_text()


def test_a_kept_program_has_a_page(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "program.html"
    done = call("show", str(run / "programs.jsonl"), "--row", "2", "--out", str(page))
    assert done.exit_code == 0
    text = page.read_text()
    assert str(rows_of(run / "programs.jsonl")[1]["task_id"]) in text
    assert '{"values": {"reward": [' in text  # the credit of each token
    assert isinstance(
        call("show", str(run / "programs.jsonl"), "--row", "999").exception, ConfigError
    )


def test_a_served_page_follows_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[str] = []
    ready = threading.Event()

    def echo(text: str, **rest: object) -> None:
        addresses.append(text.split()[0])
        ready.set()

    class Server(show.ThreadingHTTPServer):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            servers.append(self)
            super().serve_forever(0.05)

    servers: list[Server] = []
    monkeypatch.setattr(show.click, "echo", echo)
    monkeypatch.setattr(show, "ThreadingHTTPServer", Server)
    version = iter(range(9))
    make: Callable[[int], str] = lambda refresh: f"version {next(version)} every {refresh}"  # noqa: E731
    thread = threading.Thread(target=show.serve_page, args=(make, 0, False, Output()))
    thread.start()
    assert ready.wait(10)
    try:
        assert addresses[0].startswith("http://127.0.0.1:")
        for number in range(2):
            with urllib.request.urlopen(addresses[0]) as answer:
                assert answer.read().decode() == f"version {number} every 5"
        request = urllib.request.Request(addresses[0], headers={"Host": "evil.example"})
        with pytest.raises(urllib.request.HTTPError, match="404"):
            urllib.request.urlopen(request)
    finally:
        servers[0].shutdown()
        thread.join()


@pytest.mark.parametrize("text", ["some", "0", "-1", "1.5"])
def test_other_choices_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="keep_programs is unusable"):
        TrainConfig.from_mapping({"updates": 1, "keep_programs": text})


class Episode:
    """What ``chosen`` reads of an episode."""

    def __init__(self, number: int, *, demonstration: bool = False) -> None:
        self.number, self.demonstration = number, demonstration
        self.passed = number % 2 == 0


def test_what_is_kept_of_an_update() -> None:
    episodes: list[object] = [Episode(number) for number in range(6)]
    episodes.append(Episode(9, demonstration=True))

    def kept(keep: str) -> list[int]:
        return [episode.number for episode in chosen(episodes, keep)]  # type: ignore[arg-type,attr-defined]

    assert kept("none") == [] and kept("all") == [0, 1, 2, 3, 4, 5] and kept("failed") == [1, 3, 5]
    assert kept("3") == [0, 2, 4] and kept("99") == kept("all")


def test_compressed_programs_are_read_and_cut(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    try:
        folder.append_all("training_programs", [{"a": 1}, {"a": 2}], zstd=True)
    except MissingExtraError as error:
        assert "[zstd]' brings it" in str(error)
        pytest.skip("no zstd here: Python before 3.14 without zstandard")
    sizes = folder.sizes()
    folder.append_all("training_programs", [{"a": 3}], zstd=True)
    path = tmp_path / "training_programs.jsonl.zst"
    assert [record.row["a"] for record in read_records(path)] == [1, 2, 3]
    folder.cut(sizes)
    assert [record.row["a"] for record in read_records(path)] == [1, 2]
    assert _zstd.decompress(path.read_bytes()) == b'{"a": 1}\n{"a": 2}\n'
