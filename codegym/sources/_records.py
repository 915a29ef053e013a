"""Records: the rows of a data set's files, each with its file and line.

They come from JSON Lines, a JSON array, gzip of both, and Hugging Face data sets (extra
``datasets``). Each task source decides what the fields of a row mean.
"""

import ast
import gzip
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codegym.errors import ConfigError, MissingExtraError, TaskError, UnknownNameError
from codegym.grading.call_form import call_forms
from codegym.sources._zstd import decompress
from codegym.tasks.cases import take
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource
from codegym.tasks.unpassable import warn_if_unpassable

HUGGING_FACE = "hf/"
FORMS = ("assertion", "call")
_DIGITS = 4000
_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet")
_UNPACK = {".gz": gzip.decompress, ".zst": decompress}


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a data set.

    Attributes:
        row: The JSON object.
        path: File or data set of the row.
        line: Line of that file, or number of the element, counted from 1.
    """

    row: Mapping[str, Any]
    path: str
    line: int

    def error(self, message: str, **details: Any) -> TaskError:
        """Return an error that names this row."""
        return TaskError(message, path=self.path, line=self.line, **details)

    def text(self, *names: str) -> str:
        """Return the first of some fields that is present; it must be text.

        Raises:
            TaskError: No field is present, or the first present field is not text.
        """
        value = self.get(*names)
        if value is None:
            raise self.error("missing", field=names[0])
        if not isinstance(value, str):
            raise self.error("wrong type", field=names[0], value=value, expected="text")
        return value.replace("\r\n", "\n")

    def texts(self, *names: str) -> list[str]:
        """Return a field that is a list of texts, or such a list as text; [] if absent.

        Raises:
            TaskError: The field is not a list of texts.
        """
        value = self.get(*names)
        value = [] if value is None else value
        if isinstance(value, str) and value.strip().startswith("["):
            try:
                value = ast.literal_eval(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                pass  # refused below
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self.error("wrong type", field=names[0], value=value, expected="a list of texts")
        return [text.replace("\r\n", "\n") for text in value]

    def packed(self, name: str) -> Any:
        """Return a field that holds a JSON value, or the value as text.

        Raises:
            TaskError: The text is not JSON.
        """
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            return value if value != "" else None
        return self.parse(value, name)

    def parse(self, text: str, name: str) -> Any:
        """Return the value of a field's JSON text.

        Raises:
            TaskError: The text is not JSON.
        """
        try:
            return parse_json(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self.error(f"not JSON ({error})", field=name, value=str(text)[:80]) from None

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return a field that holds an object, or an object as JSON text; {} if absent.

        Raises:
            TaskError: The field holds something else.
        """
        value = self.packed(name)
        if not isinstance(value, Mapping | None):
            raise self.error("wrong type", field=name, value=value, expected="an object")
        return value or {}

    def optional(self, name: str) -> str:
        """Return a text field, or "" if it is absent.

        Raises:
            TaskError: The field is present but not text.
        """
        return "" if self.get(name) is None else self.text(name)

    def number(self, name: str, default: float) -> float:
        """Return a number field, or the default if it is absent or 0.

        Raises:
            TaskError: The field is present but not a number.
        """
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise self.error("wrong type", field=name, value=value, expected="a number")
        return float(value or default)

    def take(self, name: str, kind: type[Any]) -> Any:
        """Return a field of a type.

        Raises:
            TaskError: The field is missing or of another type.
        """
        try:
            return take(self.row, name, kind)
        except TaskError as error:
            raise error.at(path=self.path, line=self.line) from None

    def get(self, *names: str) -> Any:
        """Return the first of some fields that is present, or None."""
        return next((self.row[name] for name in names if self.row.get(name) is not None), None)


def read_records(path: Path, *, cure: str = "") -> list[Record]:
    """Read every row of a file, or of the data files of a folder.

    Args:
        path: A file ending in ``.jsonl``, ``.json``, either with ``.gz`` or ``.zst`` (extra
            ``zstd`` before Python 3.14), or ``.parquet`` (extra ``datasets``), or a folder of such
            files.
        cure: Advice for the error about a missing file.

    Raises:
        TaskError: The file is missing, or a line of it is not a JSON object.
        MissingExtraError: The file is in parquet, and the package ``pyarrow`` is not installed.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES))
        if not found:
            raise TaskError(
                "a folder without data files",
                path=str(path),
                expected="files that end in " + ", ".join(_SUFFIXES),
                cure=cure,
            )
        return [record for file in found for record in read_records(file, cure=cure)]
    if not path.is_file():
        raise TaskError("no such file", path=str(path), cure=cure)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    try:
        unpack = _UNPACK.get(path.suffix, bytes)
        data = unpack(path.read_bytes())
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"unreadable ({error})", path=str(path)) from None
    if path.name.removesuffix(path.suffix if path.suffix in _UNPACK else "").endswith(".json"):
        return _read_array(text, str(path))
    return [
        Record(_object(line, str(path), number), str(path), number)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def parse_json(text: str) -> Any:
    """Parse JSON with integers of any length: some in APPS exceed Python's limit on digits.

    Raises:
        ValueError: The text is not JSON.
    """
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    if len(digits) <= _DIGITS:
        return int(digits)
    value = 0
    for start in range(digits.startswith("-"), len(digits), _DIGITS):
        part = digits[start : start + _DIGITS]
        value = value * 10 ** len(part) + int(part)
    return -value if digits.startswith("-") else value


def load_hugging_face(name: str, split: str) -> list[Record]:
    """Read a split of a Hugging Face data set.

    Raises:
        MissingExtraError: The package ``datasets`` is not installed.
    """
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise MissingExtraError("datasets", "datasets") from error
    rows = load_dataset(name, split=split or "test")
    return [Record(dict(row), f"{HUGGING_FACE}{name}", line) for line, row in enumerate(rows, 1)]


class RecordSource(TaskSource):
    """Tasks read from records, at most one task for each record.

    Args:
        records: The rows.

    Attributes:
        skipped: Number of rows that yield no task, for example because they hold no test.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._tasks: list[Task] = []
        self._numbers: dict[str, int] = {}
        self.skipped = 0
        for record in records:
            try:
                task = self.read(record)
            except TaskError as error:
                raise (
                    error if error.path else error.at(path=record.path, line=record.line)
                ) from None
            if task is None:
                self.skipped += 1
                continue
            if task.task_id in self._numbers:
                raise record.error("a second task of this id", field="task_id", value=task.task_id)
            warn_if_unpassable(task)
            self._numbers[task.task_id] = len(self._tasks)
            self._tasks.append(task)
        if not self._tasks:
            raise TaskError(
                "no task left" if records else "a source without tasks",
                path=records[0].path if records else None,
                cure="another split, or another file",
            )

    def to_call_form(self) -> None:
        """Convert tasks to call form where possible; see ``codegym.grading.call_form``."""
        self._tasks = call_forms(self._tasks)

    @abstractmethod
    def read(self, record: Record) -> Task | None:
        """Return the task of a row; None if the row holds no test.

        Raises:
            TaskError: The row does not follow the data set's format.
        """

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Task:
        return self._tasks[index]

    def find(self, task_id: str) -> Task:
        """Return the task of that id, without a search through all tasks."""
        number = self._numbers.get(task_id)
        return super().find(task_id) if number is None else self._tasks[number]


def records_of(path: str, *, split: str = "", cure: str = "") -> list[Record]:
    """Read the records of a source's path: a file, a folder, or ``hf/<data set>``.

    Raises:
        ConfigError: No path was given.
        TaskError: The file is missing or malformed.
        MissingExtraError: The path names a Hugging Face data set, and ``datasets`` is missing.
    """
    if not path:
        raise ConfigError("this task source needs a path", cure=cure)
    if path.startswith(HUGGING_FACE):
        return load_hugging_face(path.removeprefix(HUGGING_FACE), split)
    return read_records(Path(path).expanduser(), cure=cure)


def one_of(kind: str, value: str, known: Sequence[str]) -> str:
    """Return ``value`` if it is a known name.

    Raises:
        UnknownNameError: The name is unknown; the error holds the nearest known name.
    """
    if value not in known:
        raise UnknownNameError(kind, value, known)
    return value


def _read_parquet(path: Path) -> list[Record]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "datasets") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise TaskError(f"unreadable ({error})", path=str(path)) from None
    return [Record(row, str(path), number) for number, row in enumerate(rows, 1)]


def _read_array(text: str, path: str) -> list[Record]:
    try:
        rows = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"not JSON ({error})", path=path) from None
    if isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values()):
        rows = list(rows.values())
    if not isinstance(rows, list):
        raise TaskError("not an array of JSON objects", path=path)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise TaskError("not a JSON object", path=path, line=number, value=row)
    return [Record(row, path, number) for number, row in enumerate(rows, 1)]


def _object(line: str, path: str, number: int) -> Mapping[str, Any]:
    try:
        row = parse_json(line)
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"not JSON ({error})", path=path, line=number, value=line[:80], expected="one object"
        ) from None
    if not isinstance(row, dict):
        raise TaskError("not a JSON object", path=path, line=number, value=row)
    return row
