"""Each render mode shows the program, its rewards and its tests."""

import re

import gymnasium as gym
import numpy as np
import pytest

from codegym.envs import picture, terminal
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.errors import EpisodeOverError, UnknownNameError
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.pages.episode_view import EpisodeView, pieces_of
from codegym.tokenizers.lexemes import LexemeTokenizer

ERROR = CaseResult(
    outcome=Outcome.RUNTIME_ERROR, error_type="NameError", error_message="<no z>", error_line=3
)
VIEW = EpisodeView(
    task_id="tiny/3",
    prompt="def f(x):\n",
    pieces=("    ", "y", " =", " x", "\n    ", "return", " <z>", ""),
    credit=(0.0, 0.0, 0.0, 0.0, 0.0, -0.25, -0.5, -0.6),
    values=(0.1,) * 8,
    probabilities=(0.5,) * 8,
    reward=-0.6,
    verdict=Verdict.from_cases([CaseResult(outcome=Outcome.PASSED), ERROR]).as_cut(),
)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*[mHJ]", "", text)


def written(env, text, *, end=True):
    env.reset(options={"task_id": "tiny/3"})
    tokens = env.unwrapped.tokenizer
    for token in tokens.encode(text) + [tokens.end_id] * end:
        env.step(token)
    return env.render()


def test_the_terminal_shows_program_rewards_and_tests():
    text = terminal.draw(VIEW)
    assert "def f(x):\n    y = x\n    return <z>" in plain(text)
    assert "reward -0.600" in plain(text)
    assert "✓ test 1: passed" in plain(text)
    assert "✗ test 2: runtime error (NameError: <no z>) on line 3" in plain(text)
    assert "cut by the token budget" in plain(text)
    # Only what earned something is coloured, and the stronger the more.
    shades = re.findall(r"\x1b\[30;48;5;(\d+)m(.*?)\x1b", text)
    assert [piece for _, piece in shades] == ["return", " <z>", "\N{END OF PROOF}"]
    assert len({shade for shade, _ in shades}) == 2  # the end token has a scale of its own


def test_the_picture_shows_blame_in_red():
    pytest.importorskip("PIL")
    pixels = picture.draw(VIEW)
    assert (pixels.shape, pixels.dtype) == ((480, 800, 3), np.dtype(np.uint8))
    blamed = (pixels[..., 0] == 250) & (pixels[..., 1] < 200) & (pixels[..., 1] == pixels[..., 2])
    assert blamed.sum() > 500
    calm = EpisodeView(task_id="t", prompt="x = 1\n", pieces=("y",) * 3)
    assert not ((picture.draw(calm)[..., 0] == 250) & (picture.draw(calm)[..., 1] < 200)).any()


@pytest.mark.parametrize("mode", ["ansi", "html", "rgb_array"])
def test_modes_through_gymnasium(tiny, mode):
    pytest.importorskip("PIL")
    env = gym.make("codegym:CodeGym/Synthesis-v0", render_mode=mode, **tiny)
    early = written(env, "    return", end=False)
    late = written(env, "    return x+3")
    if mode == "rgb_array":
        assert early.shape == late.shape
        assert (early != late).any()
    else:
        assert "return" in plain(early)
        assert "reward +1.000" in plain(late)
        assert "passed" not in plain(early)


def test_the_live_terminal_draws_every_step(tiny, capsys):
    env = SynthesisEnv(**tiny, render_mode="human")
    written(env, "    return x+3")
    frames = capsys.readouterr().out.split(terminal.CLEAR)[1:]
    assert len(frames) == 1 + len(env.tokenizer.encode("    return x+3")) + 1 + 1
    assert "passed" in plain(frames[-1])


def test_a_vector_env_draws_every_episode(tiny):
    vector = SynthesisVectorEnv(3, **tiny, render_mode="ansi")
    vector.reset(seed=0)
    vector.step(np.array(vector.tokenizer.encode(" x") * 3))
    frames = vector.render()
    assert len(frames) == 3
    assert all("1 tokens" in plain(frame) for frame in frames)


def test_a_video_can_be_recorded(tiny, tmp_path):
    pytest.importorskip("moviepy")
    env = gym.make("codegym:CodeGym/Synthesis-v0", render_mode="rgb_array", **tiny)
    video = gym.wrappers.RecordVideo(env, str(tmp_path / "videos"), disable_logger=True)
    written(video, "    return x+3")
    video.close()
    assert list(tmp_path.glob("videos/*.mp4"))


def test_pieces_of_shared_characters_stand_once():
    tokens = LexemeTokenizer([])
    ids = [*tokens.encode("aé"), tokens.end_id]
    assert pieces_of(tokens, ids) == ("a", "é", "", "", "", "")


def test_bad_modes_are_named(tiny):
    with pytest.raises(UnknownNameError, match="did you mean 'ansi'"):
        SynthesisEnv(**tiny, render_mode="ansii")
    with pytest.raises(EpisodeOverError, match="reset"):
        SynthesisEnv(**tiny, render_mode="ansi").render()
