"""``codegym new``: writes a small package that holds a plug-in."""

from pathlib import Path

import click

from codegym import registry
from codegym.cli.package_templates import KINDS, files_of
from codegym.errors import ConfigError, UnknownNameError
from codegym.measuring.output import Output, with_output

_GROUPS = {"agent": "agents", "reward": "rewards", "source": "sources"}


@click.command()
@click.argument("kind")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the package.  [default: NAME]",
)
@with_output
def command(kind: str, name: str, out: Path | None, output: Output) -> None:
    """Write a package with a plug-in that works, to change.

    KIND is agent, reward, source or env. NAME becomes the name of the package and of the plug-in.
    The package has a pyproject.toml with the entry point, a README and a test, and passes codegym
    check once it is installed.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of plug-in to write", kind, KINDS)
    if not (name.isidentifier() and name == name.lower()) or name.startswith("_"):
        raise ConfigError(
            "the name of a plug-in is unusable",
            value=name,
            expected="letters in lower case, digits and underscores, such as my_reward",
        )
    if kind in _GROUPS and name in registry.names(_GROUPS[kind]):
        raise ConfigError(f"there is a {kind} of this name", value=name, cure="choose another")
    folder = out or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            "the folder of the package is not empty", value=str(folder), cure="choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files_of(kind, name).items():
        (folder / file).write_text(text)
        output.line(str(folder / file))
    output.field(folder=str(folder), files=sorted(files_of(kind, name)))
    output.remark(f"then: pip install -e {folder}; {folder / 'README.md'} says how it is used")
