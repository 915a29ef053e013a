"""Gallery: scripted episodes, played and drawn by the environments' own rendering."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym

import codegym  # noqa: F401 - registers the environments

_TASKS = "composites?domain=small&depth=2&split=train"
_RIGHT = "    return [(3 * x) ** 2 for x in xs]"
_HEAD = "def f(xs: list[int]) -> list[int]:\n"


@dataclass(frozen=True, slots=True)
class Exhibit:
    """An episode of the gallery.

    Attributes:
        name: Its file, without the ending.
        title: Its heading.
        words: What to look at.
        play: Plays it, and returns what ``env.render()`` does.
        mode: The render mode: ``html``, a page, or ``ansi``, a text.
    """

    name: str
    title: str
    words: str
    play: Callable[[], str]
    mode: str = "html"


def _by_token(text: str, *, budget: int | None = None, ended: bool = True) -> Callable[[], str]:
    """Write a text token by token, and the end token if the program is to end."""

    def play() -> str:
        env = gym.make(
            "codegym:CodeGym/Synthesis-v0",
            tasks=_TASKS,
            reward="rltf",
            budget=budget,
            render_mode="html",
        )
        env.reset(seed=0)
        tokenizer = env.unwrapped.episodes.tokenizer
        tokens = [*tokenizer.encode(text), *([tokenizer.end_id] if ended else [])]
        for token in tokens[:budget]:
            env.step(token)
        return str(env.render())

    return play


def _by_text(env_id: str, texts: list[str]) -> Callable[[], str]:
    """Write texts: programs, or lines."""

    def play() -> str:
        env = gym.make(f"codegym:{env_id}", tasks=_TASKS, reward="rltf", render_mode="ansi")
        env.reset(seed=0)
        for text in texts:
            env.step(text)
        return re.sub(r"\x1b\[[0-9;]*m", "", str(env.render()))

    return play


EXHIBITS = (
    Exhibit(
        "passed",
        "A program that passes",
        "The reward is on the last token, the end of the program.",
        _by_token(_RIGHT),
    ),
    Exhibit(
        "wrong-answer",
        "A wrong answer",
        "Some tests pass. Under `rltf` the program earns -0.3 + 1.3 times their share.",
        _by_token("    return [3 * x for x in xs]"),
    ),
    Exhibit(
        "exception",
        "An exception",
        "Fine-grained feedback: the tokens of the line that raised share -0.3.",
        _by_token("    xs = [3 * x for x in xs]\n    return [y ** 2 for x in xs]"),
    ),
    Exhibit(
        "syntax-error",
        "No Python",
        "The text does not compile; its line is blamed.",
        _by_token("    return [(3 * x) ** 2 for in xs]"),
    ),
    Exhibit(
        "endless",
        "A program that does not end",
        "The sandbox stops it at its limit of processor time.",
        _by_token("    while xs:\n        pass\n    return xs"),
    ),
    Exhibit(
        "cut",
        "Cut by the budget",
        "The budget of eight tokens ends the program in the middle of a line.",
        _by_token(_RIGHT, budget=8),
    ),
    Exhibit(
        "under-way",
        "Under way",
        "An episode may be drawn before it ends.",
        _by_token(_RIGHT[: _RIGHT.index(" for")], ended=False),
    ),
    Exhibit(
        "lines",
        "Line by line",
        "`CodeGym/Line-v0`: an action is a line, and the empty line ends the program.",
        _by_text(
            "CodeGym/Line-v0",
            ["    xs = [3 * x for x in xs]", "    return [x ** 2 for x in xs]", ""],
        ),
        "ansi",
    ),
    Exhibit(
        "repair",
        "Repaired",
        "`CodeGym/Repair-v0`: the first program raises, the second passes and earns the reward.",
        _by_text(
            "CodeGym/Repair-v0",
            [
                f"{_HEAD}    return [(3 * y) ** 2 for x in xs]\n",
                f"{_HEAD}{_RIGHT}\n",
            ],
        ),
        "ansi",
    ),
)


def exhibits() -> str:
    """Return the episodes in Markdown: pages in frames, texts as they are."""
    parts = []
    for exhibit in EXHIBITS:
        parts += [f"## {exhibit.title}\n", f"{exhibit.words}\n"]
        if exhibit.mode == "html":
            # The page lies beside this one's folder.
            parts.append(
                f'<iframe class="episode" title="{exhibit.title}" '
                f'src="../gallery/{exhibit.name}.html" loading="lazy"></iframe>\n'
            )
        else:
            parts.append(f"```text\n{exhibit.play().strip()}\n```\n")
    return "\n".join(parts)
