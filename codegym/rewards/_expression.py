"""Reward expressions: text becomes a Reward; it is parsed, never evaluated."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Constant, FunctionReward, Product, Reward, Sum

_EXPECTED = "names, numbers, +, -, * and settings, such as 0.8*pass_rate+0.2*coderl(failed=-0.5)"
# Larger numbers could overflow when they are multiplied.
_MOST = 1e100


def make_reward(text: "str | Reward | Callable[[Verdict], float]") -> Reward:
    """Make the reward of an expression or of a function; a Reward is returned unchanged.

    Args:
        text: Names of rewards and numbers, joined by ``+``, ``-`` and ``*``. Settings may follow a
            name: ``"rltf(fine=-0.2) - 0.1*length(full=256)"``. Or a function of a verdict; it has
            no name, so neither a run's settings nor the spec of an environment can hold it.

    Raises:
        UnknownNameError: The reward or the setting is unknown; the error holds the nearest known
            name.
        ConfigError: The text is not such an expression.

    Example:
        >>> make_reward("0.8*pass_rate + 0.2*binary").high
        1.0
    """
    if isinstance(text, Reward):
        return text
    if callable(text) and not isinstance(text, type):
        return FunctionReward(text)
    return _parsed(text)


def _parsed(text: Any) -> Reward:
    if not isinstance(text, str):
        expected = "an expression, a Reward, or a function of a Verdict"
        raise ConfigError("a reward is unusable", value=text, expected=expected)
    try:
        # Joined into a single line, so an expression may span several lines.
        tree = ast.parse(" ".join(text.split()), mode="eval")
        return _read(tree.body, text)
    except (SyntaxError, MemoryError, RecursionError):
        raise ConfigError("a reward is unreadable", value=text, expected=_EXPECTED) from None


def _read(node: ast.expr, text: str) -> Reward:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if abs(value) > _MOST:
                raise ConfigError("a number of a reward is too large", value=text)
            return Constant(value)
        case ast.Name(id=name):
            return _make(name, {}, text)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            settings = {keyword.arg or "**": _setting(keyword.value, text) for keyword in keywords}
            if len(settings) < len(keywords):
                raise ConfigError(f"a setting of reward {name!r} is given twice", value=text)
            return _make(name, settings, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Product(Constant(-1.0), _read(operand, text))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _read(operand, text)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Sum(_read(left, text), _read(right, text))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return Sum(_read(left, text), Product(Constant(-1.0), _read(right, text)))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return Product(_read(left, text), _read(right, text))
    raise ConfigError(
        f"part of a reward is unreadable: {ast.unparse(node)}", value=text, expected=_EXPECTED
    )


def _setting(node: ast.expr, text: str) -> Any:
    words = {"true": True, "false": False}
    if isinstance(node, ast.Name) and node.id in words:
        return words[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ConfigError(
            f"a setting of a reward is unreadable: {ast.unparse(node)}",
            value=text,
            expected="a number, true, false or a quoted text",
        ) from None


def _check_setting(name: str, key: str, value: object, default: object) -> None:
    """Check that a setting has the type of its default, if the default is a flag or a number."""
    if isinstance(default, bool):
        usable, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int | float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        usable, expected = number and abs(value) <= _MOST, "a finite number"  # type: ignore[arg-type]
    else:
        return
    if not usable:
        raise ConfigError(
            f"setting {key!r} of reward {name!r} is unusable", value=value, expected=expected
        )


def _make(name: str, settings: dict[str, Any], text: str) -> Reward:
    target = registry.get("rewards", name)
    known = inspect.signature(target).parameters
    for key, value in settings.items():
        if key not in known:
            raise UnknownNameError(f"setting of reward {name!r}", key, known)
        _check_setting(name, key, value, known[key].default)
    try:
        made = target(**settings) if isinstance(target, type) else target
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward {name!r} cannot be made: {error}", value=text) from error
    if not isinstance(made, Reward):
        raise ConfigError(f"the object registered as reward {name!r} is not a Reward", value=made)
    return made
