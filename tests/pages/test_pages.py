"""Pages: safe, self-contained, readable; in Chromium at three widths, light and dark."""

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.pages import episode_page, leaderboard_page, run_page
from codegym.pages.charts import Series, line_chart, share_chart, ticks
from codegym.pages.episode_view import EpisodeView, describe_cases, strengths
from codegym.pages.html_page import frame

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
LONG = "composites/small/d2/test/0/7/" + "a_very_long_chain_of_atoms." * 6


def point(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": max(0.0, mean - 0.1), "high": mean + 0.1}


VIEW = EpisodeView(
    task_id=LONG,
    prompt="def f(x):\n" + f'    """{"Say much. " * 30}"""\n',
    pieces=("    ", "y", " =", " x", "\n    ", "return", " z", ""),
    credit=(0.0, 0.0, 0.0, 0.0, -0.005, -0.005, -0.005, -0.6),
    values=(0.1,) * 8,
    probabilities=(0.5,) * 8,
    reward=-0.6,
    verdict=Verdict.from_cases(
        [CaseResult(outcome=Outcome.RUNTIME_ERROR, error_type="NameError", error_line=4)] * 7
    ),
)
RUN = run_page.RunContent(
    name="rltf-0" + "-long" * 20,
    config={"agent": "rltf", "policy": "gpt:tiny", "seed": 0, "tasks": "a" * 300},
    metrics=[
        {"phase": phase, "programs": 100 * update, "train_s": 3.0 * update, "loss": 1.0 / update,
         "entropy": 0.0, "approx_kl": 0.01, "programs_per_s": 30.0, "pass_rate": 0.0,
         "outcome/passed": 0.25, "outcome/syntax_error": 0.75}
        for phase in ("warm start", "rltf") for update in range(1, 6)
    ],
    curve=[
        {"moment": moment, "programs": 250.0 * place, "train_s": 1.0,
         **{kind: {"pass_at": {"1": point(0.1 * place)}, "hidden_gap": point(0.05 * place)}
            for kind in ("greedy", "sampled")}}
        for place, moment in enumerate(("curve", "before", "after"))
    ],
    departures={"rltf": {"lr": (0.1, 0.2)}},
    notes=["The warm start was too small to learn from."],
    worst=[VIEW],
    refresh_s=600,  # no frame of the test lives as long
)  # fmt: skip
ROWS = [
    {"label": f"{agent} reward=" + "x" * 60, "agent": agent, "kind": kind, "seeds": [0, 1],
     "tasks": 300, "programs": 25600.0, "minutes": 3.5, "before": point(0.2), "after": point(0.4),
     "gain": {"mean": 0.2 - place / 10, "low": -0.1, "high": 0.3},
     "hidden_gap": point(0.25) if agent == "rft" else None}
    for kind in ("greedy", "sampled") for place, agent in enumerate(("rft", "rltf", "ppo"))
]  # fmt: skip
PAGES = {
    "episode": episode_page.draw(VIEW),
    "run": run_page.draw(RUN),
    "leaderboard": leaderboard_page.draw(ROWS),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file_that_can_be_read_aloud(name: str) -> None:
    text = PAGES[name]
    assert not re.search(r"(?:src|@import|url)\s*[=(][^#]", text.replace("url(#", ""))
    assert re.findall(r'href="([^"]*)"', text) == ["data:,"]
    assert '<html lang="en">' in text and "<title>" in text and text.count("<h1>") == 1
    for svg in re.findall(r"<svg[^>]*>", text):
        assert 'aria-hidden="true"' in svg or ('role="img"' in svg and "aria-label=" in svg)
    for field in re.findall(r"(.{20})<(?:input|select) ", text):
        assert "<label>" in text and field


def test_what_a_program_says_is_never_run() -> None:
    hostile = "</script><script>alert(1)</script>"
    view = EpisodeView(task_id=hostile, prompt=hostile, pieces=(hostile,))
    assert "<script>alert" not in episode_page.draw(view)
    assert "<script>alert" not in frame("x", "", script="1", data=hostile)
    rows = [{**ROWS[0], "label": hostile}]
    assert "<script>alert" not in leaderboard_page.draw(rows)


def test_tokens_besides_the_last_are_seen() -> None:
    # Under rltf a token at fault has a hundredth of what the end token has.
    shades = strengths(VIEW.credit)
    assert shades[:4] == [0.0] * 4 and shades[4:] == [-1.0] * 4
    assert strengths((0.0, 0.0, 1.0)) == [0.0, 0.0, 1.0]
    assert strengths((0.001, -1.0, 0.5)) == [0.2, -1.0, 0.5]
    assert strengths(()) == []


def test_the_line_at_fault_is_marked_once_as_a_whole() -> None:
    text = episode_page.program(VIEW)
    marked = re.findall(r'<span class="l fault" data-n="(\d+)">(.*?)\n</span>', text)
    assert [number for number, _ in marked] == ["4"]
    assert "return" in re.sub("<[^>]*>", "", marked[0][1])
    assert re.findall(r'data-n="(\d+)"', text) == ["1", "2", "3", "4"]


def test_tests_with_the_same_end_share_a_line() -> None:
    broken = Verdict.syntax_error(n_cases=9, error_type="SyntaxError", message="no", line=2)
    assert describe_cases(broken) == [
        (False, "all 9 tests: syntax error (SyntaxError: no) on line 2")
    ]
    ends = [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
    mixed = Verdict.from_cases([CaseResult(outcome=outcome) for outcome in ends])
    assert describe_cases(mixed) == [(True, "tests 1 to 2: passed"), (False, "test 3: failed")]


def test_a_line_of_zeros_is_above_the_axis() -> None:
    drawn = line_chart("t", [Series("zero", [0, 1], [0.0, 0.0])], x_label="x", bounds=(0.0, 1.0))
    points = re.findall(r'<polyline points="([^"]*)"', drawn)[0].split()
    axis = float(re.findall(r'y2="([\d.]+)" stroke="var\(--soft\)"', drawn)[0])
    assert all(float(pair.split(",")[1]) < axis - 5 for pair in points)
    assert line_chart("t", [Series("none", [], [])], x_label="x") == ""
    assert "passed 100%" in share_chart("t", [1.0], {"passed": [1.0]}, x_label="x")
    assert share_chart("t", [], {}, x_label="x") == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.04, 1.04, [0, 0.25, 0.5, 0.75, 1]),
        (0, 7, [0, 2, 4, 6]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    shares = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_contrast() -> None:
    light, dark = re.findall(r":root\{(.*?)\}", PAGES["run"], re.S)
    for style in (light, dark):
        colours = dict(re.findall(r"--(\w+):(#[0-9a-f]+)", style))
        for name, least in [(name, 4.5) for name in ("ink", "soft", "good", "bad")] + [
            (f"s{number}", 3.0) for number in range(7)
        ]:
            for back in ("paper", "card", *(["fault"] if name == "ink" else [])):
                pair = sorted((luminance(colours[name]), luminance(colours[back])))
                contrast = (pair[1] + 0.05) / (pair[0] + 0.05)
                assert contrast >= least, f"{name} on {back}: {contrast:.2f}"


# Measures a page inside a frame of each width, which no window of Chromium's can have.
MEASURE = """<!doctype html><body style="margin:0">{frames}<script>
onload = () => setTimeout(() => {{
  const said = [...document.querySelectorAll("iframe")].map((frame) => {{
    const root = frame.contentDocument.documentElement;
    const inner = [...frame.contentDocument.querySelectorAll("h1,h2,p,figure,details")];
    const out = inner.filter((each) => each.getBoundingClientRect().right > frame.clientWidth + 1);
    return `${{frame.clientWidth}}:${{root.scrollWidth - frame.clientWidth}}:${{out.length}}`;
  }});
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.title = `measured ${{dark ? "dark" : "light"}}: ` + said.join(" ");
}}, 200);
</script>"""


def chromium(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--enable-logging=stderr", *arguments],
        capture_output=True, text=True, timeout=110, check=True,
    )  # fmt: skip


def test_the_gap_of_hidden_tests_is_shown_where_it_was_measured() -> None:
    chart = "Passed the tests but not the hidden ones"
    assert f"{chart} by thousand programs: held-out, greedy ends at 0.1" in PAGES["run"]
    board = PAGES["leaderboard"]
    assert "hidden-test gap</button>" in board and board.count("<td>-</td>") == 4
    plain = [{name: cell for name, cell in row.items() if name != "hidden_gap"} for row in ROWS]
    assert "hidden-test gap" not in leaderboard_page.draw(plain)
    curve = [
        {**row, "greedy": {"pass_at": {"1": point(0.1)}}, "sampled": {"pass_at": {"1": point(0.1)}}}
        for row in RUN.curve
    ]
    assert chart not in run_page.draw(replace(RUN, curve=curve))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: pages were not looked at")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_widths_and_complain_of_nothing(scheme: str, tmp_path: Path) -> None:
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{html.escape(text)}">'
        "</iframe>"
        for text in PAGES.values()
        for width in (400, 1000, 1600)
    )
    path = tmp_path / "measure.html"
    path.write_text(MEASURE.format(frames=frames))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    picture = tmp_path / "pages.png"
    done = chromium(*dark, "--window-size=1600,1200", f"--screenshot={picture}", path.as_uri())
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
    assert "CONSOLE" not in done.stderr, done.stderr
    measured = chromium(*dark, "--virtual-time-budget=3000", "--dump-dom", path.as_uri())
    assert "CONSOLE" not in measured.stderr, measured.stderr
    said = re.search(r"<title>measured (\w+): ([^<]*)</title>", measured.stdout)
    assert said is not None, measured.stdout[-400:]
    assert said[1] == scheme
    each = [tuple(map(int, part.split(":"))) for part in said[2].split()]
    assert [width for width, _, _ in each] == [400, 1000, 1600] * len(PAGES)
    assert all(over <= 0 and out == 0 for _, over, out in each), each


USE = """<script>{
const gain = [...document.querySelectorAll("th button")].find((b) => b.textContent === "gain");
const first = () => document.querySelector("tbody tr").cells[3].dataset.v;
const said = [];
gain.click(); said.push(first()); gain.click(); said.push(first());
const text = document.getElementById("text");
text.value = "ppo"; text.oninput();
said.push([...document.querySelectorAll("tbody tr")].filter((row) => !row.hidden).length);
document.title = "used " + said.join(" ");}
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the leaderboard was not used")
def test_a_leaderboard_is_sorted_and_filtered(tmp_path: Path) -> None:
    path = tmp_path / "board.html"
    path.write_text(PAGES["leaderboard"].replace("</body>", USE + "</body>"))
    done = chromium("--virtual-time-budget=2000", "--dump-dom", path.as_uri())
    assert "<title>used 0.2 0.0 2</title>" in done.stdout, done.stderr
