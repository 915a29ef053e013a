"""Reward expressions: a line of text becomes a Reward. Parsed, never evaluated."""

import ast
import inspect
from typing import Any

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.rewards.base import Constant, Product, Reward, Sum

_EXPECTED = "names, numbers, +, -, * and settings, such as 0.8*pass_rate+0.2*coderl(failed=-0.5)"


def make_reward(text: "str | Reward") -> Reward:
    """Make the reward that an expression names; a Reward is returned unchanged.

    Args:
        text: Names of rewards and numbers, joined by ``+``, ``-`` and ``*``; a name may be
            followed by its settings: ``"rltf(fine=-0.2) - 0.1*length(full=256)"``.

    Raises:
        UnknownNameError: A reward or a setting of that name does not exist; names the nearest.
        ConfigError: The text is no such expression.

    Example:
        >>> make_reward("0.8*pass_rate + 0.2*binary").high
        1.0
    """
    if isinstance(text, Reward):
        return text
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, AttributeError):
        raise ConfigError("a reward is unreadable", value=text, expected=_EXPECTED) from None
    return _read(tree.body, text)


def _read(node: ast.expr, text: str) -> Reward:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Constant(value)
        case ast.Name(id=name):
            return _make(name, {}, text)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            return _make(
                name, {one.arg or "**": _setting(one.value, text) for one in keywords}, text
            )
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Product(Constant(-1.0), _read(operand, text))
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


def _make(name: str, settings: dict[str, Any], text: str) -> Reward:
    target = registry.get("rewards", name)
    known = inspect.signature(target).parameters
    for key in settings:
        if key not in known:
            raise UnknownNameError(f"setting of reward {name!r}", key, known)
    try:
        made = target(**settings) if isinstance(target, type) else target
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward {name!r} cannot be made: {error}", value=text) from error
    if not isinstance(made, Reward):
        raise ConfigError(f"what is registered as reward {name!r} is no Reward", value=made)
    return made
