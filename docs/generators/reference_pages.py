"""Reference pages: the public interface, the command line, and the examples."""

import ast
from pathlib import Path

import click

import codegym
from codegym.cli import root

# Every public name stands in exactly one group.
GROUPS = {
    "Tasks": ("Task", "TestSuite", "CallCase", "StdioCase", "AssertionCase", "TaskSource"),
    "Grading": (
        *("judge", "judge_many", "AsyncJudge", "Judge", "GraderClient"),
        *("Verdict", "CaseResult", "Outcome"),
    ),
    "Sandbox": ("make_sandbox", "Sandbox", "Limits"),
    "Environments and rewards": ("make_env", "make_reward", "Reward"),
    "Policies": ("make_policy", "Policy"),
    "Playing": ("collect", "Request", "Decoding", "Trajectory", "Batch"),
    "Agents": ("make_agent", "Agent"),
    "Training and measuring": (
        "train",
        "resume",
        "evaluate",
        "TrainConfig",
        "TrainingReport",
        "StoppedTrainingWarning",
        "EvaluationReport",
    ),
    "Sources of tasks": ("load_tasks",),
    "Errors": ("CodegymError",),
}


def public_paths() -> dict[str, str]:
    """Return every public name -> the path of its definition.

    Raises:
        ValueError: A public name is in no group, or a group names what is not public.
    """
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(codegym.__all__):
        difference = set(grouped) ^ set(codegym.__all__)
        raise ValueError(f"GROUPS and codegym.__all__ differ in {sorted(difference)}")
    found = {}
    for name in grouped:
        value = getattr(codegym, name)
        found[name] = f"{value.__module__}.{value.__qualname__}"
    return found


def interface() -> str:
    """Return the page of the public interface; mkdocstrings fills it in."""
    paths = public_paths()
    parts = [
        "# Python interface\n",
        "What `import codegym` offers. Names are imported at first use, so the grader and the\n"
        "environments need no torch.\n",
    ]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [
            f"::: {paths[name]}\n    options:\n      heading: codegym.{name}\n"
            f"      toc_label: {name}\n"
            for name in names
        ]
    return "\n".join(parts)


def commands() -> str:
    """Return the page of the command line: what ``--help`` prints."""
    parts = ["# Command line\n", "What `codegym COMMAND --help` prints.\n"]
    context = click.Context(root, info_name="codegym")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is None:
            raise ValueError(f"the command line lists {name} and does not have it")
        parts += _help(command, context, name, 2)
    return "\n".join(parts)


def _help(command: click.Command, parent: click.Context, name: str, level: int) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=96)
    context.terminal_width = 96
    path = context.command_path
    parts = [f"{'#' * level} {path}\n", f"```text\n{command.get_help(context).strip()}\n```\n"]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                parts += _help(found, context, child, level + 1)
    return parts


def example(path: Path) -> str:
    """Return an example as a page: what it says of itself, and its code."""
    code = path.read_text()
    summary = (ast.get_docstring(ast.parse(code)) or "").split("\n\n")[0].replace("\n", " ")
    return f"# {path.name}\n\n{summary}\n\n```python\n{code}```\n"


def example_folder(folder: Path) -> str:
    """Return a folder of examples as a page: what it says of itself, and its files."""
    parts = [(folder / "README.md").read_text()]
    for path in sorted(folder.rglob("*")):
        kind = {".py": "python", ".toml": "toml", ".yaml": "yaml"}.get(path.suffix)
        if kind and path.stem != "__init__":
            parts.append(f"`{path.relative_to(folder)}`\n\n```{kind}\n{path.read_text()}```\n")
    return "\n".join(parts)


def example_folders(folder: Path) -> list[Path]:
    """Return the folders among the examples."""
    return sorted(path.parent for path in folder.glob("*/README.md"))


def examples(folder: Path) -> str:
    """Return the list of examples, each with the first sentence of what it says of itself."""
    rows = []
    for path in sorted(folder.glob("*.py")):
        words = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
        rows.append(f"- [{path.name}](examples/{path.stem}.md): {words.replace(chr(10), ' ')}")
    for path in example_folders(folder):
        words = (path / "README.md").read_text().split("\n\n")[1].replace("\n", " ")
        rows.append(f"- [{path.name}](examples/{path.name}.md): {words}")
    return "# Examples\n\n" + "\n".join(rows) + "\n"
