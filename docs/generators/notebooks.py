"""Notebooks: runs the cells of a lesson in one process, without Jupyter, and keeps what they show.

python docs/generators/notebooks.py LESSON.ipynb [--without TAG] prints the outputs as JSON.
"""

import argparse
import ast
import contextlib
import io
import json
import linecache
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a notebook.

    Attributes:
        kind: ``markdown`` or ``code``.
        source: Its text.
        tags: ``answer`` marks the answer of an exercise, ``check`` the test of it.
    """

    kind: str
    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """What a code cell showed: printed text, and the HTML of its last expression."""

    text: str = ""
    html: str = ""


def read(path: Path) -> list[Cell]:
    """Return the cells of a notebook."""
    book = json.loads(path.read_text())
    return [
        Cell(
            cell["cell_type"],
            "".join(cell["source"]),
            tuple(cell["metadata"].get("tags", ())),
        )
        for cell in book["cells"]
    ]


def run(path: Path, *, without: str = "") -> list[Output]:
    """Run the code cells in order, in one namespace, and return what each showed.

    Args:
        path: The notebook.
        without: Cells with this tag are left out; their output is empty.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outputs = []
    for number, cell in enumerate(read(path)):
        if cell.kind != "code":
            continue
        skipped = without in cell.tags
        name = f"{path.stem}, cell {number}"
        outputs.append(Output() if skipped else _run(cell.source, namespace, name))
    return outputs


def _run(source: str, namespace: dict[str, Any], name: str) -> Output:
    # Tracebacks, and the sandbox's own inspection of sources, look lines up here.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    as_html = getattr(value, "_repr_html_", None)
    if as_html is None and value is not None:
        printed.write(f"{value!r}\n")
    return Output(printed.getvalue(), as_html() if as_html is not None else "")


def main() -> None:
    """Run a notebook and print its outputs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", type=Path)
    parser.add_argument("--without", default="", help="leave out cells with this tag")
    options = parser.parse_args()
    outputs = run(options.lesson, without=options.without)
    json.dump([asdict(output) for output in outputs], sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
