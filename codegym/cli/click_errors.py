"""Click errors: what click says of a command line becomes one of codegym's errors."""

import click

from codegym.errors import CodegymError, ConfigError, UnknownNameError


def translated(error: click.ClickException) -> CodegymError:
    """Return an error of the command line in the words of codegym's errors.

    Args:
        error: What click raised.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "codegym"
    cure = f"{command} --help shows what there is"
    if isinstance(error, click.NoSuchOption):
        known = [name for name in _options(context) if name.startswith("--")]
        return UnknownNameError(f"option of {command}", error.option_name, known, cure=cure)
    if isinstance(error, click.MissingParameter):
        return ConfigError(f"{command} lacks {_named(error)}", cure=cure)
    if isinstance(error, click.BadParameter):
        return ConfigError(f"{_named(error)} of {command}: {_clause(error)}", cure=cure)
    return ConfigError(f"{command}: {_clause(error)}", cure=cure)


def _options(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [
        name
        for parameter in context.command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]


def _named(error: click.BadParameter) -> str:
    """Return a parameter as the user writes it."""
    if error.param is not None:
        if error.param.param_type_name == "argument":
            return f"argument {error.param.human_readable_name}"
        return f"option {error.param.opts[-1]}"
    return str(error.param_hint or "an argument")


def _clause(error: click.ClickException) -> str:
    """Return click's sentence as the part of another: without a full stop, in lower case."""
    text = error.message.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
