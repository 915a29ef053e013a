"""Setup objects: instances of classes that a test's set-up code defines, which both sides have.

They cross by value, with everything that they refer to, as ``{"J": [[class, state], ...]}``: the
first row is the object itself, and ``{"j": number}`` in a state refers to a row. So long chains and
circles cross, and each side has objects of its own class.
"""

from collections.abc import Collection
from typing import Any

from codegym.sandbox import wire

MAX_OBJECTS = 100_000


class SetupObjects:
    """The set-up classes of one side.

    Args:
        space: Namespace that holds the classes.
        names: Their names.
    """

    def __init__(self, space: dict[str, Any], names: Collection[str]) -> None:
        self._space, self._names = space, frozenset(names)

    def holds(self, value: Any) -> bool:
        """Say whether a value is an instance of a set-up class."""
        kind = type(value)
        return kind.__name__ in self._names and self._space.get(kind.__name__) is kind

    def encode(self, value: Any, hook: wire.Hook) -> dict[str, Any]:
        """Return the tree of an instance.

        Raises:
            UnencodableError: It refers to what cannot cross, or to too many objects.
        """
        order, numbers = [value], {id(value): 0}

        def refer(inner: Any) -> Any:
            if not self.holds(inner):
                return hook(inner)
            if id(inner) not in numbers:
                if len(order) >= MAX_OBJECTS:
                    raise wire.UnencodableError(f"more than {MAX_OBJECTS} objects")
                numbers[id(inner)] = len(order)
                order.append(inner)
            return {"j": numbers[id(inner)]}

        rows: list[Any] = []
        while len(rows) < len(order):
            item = order[len(rows)]
            rows.append([type(item).__name__, wire.encode(state(item), 0, refer)])
        return {"J": rows}

    def decode(self, rows: Any, hook: wire.TagHook) -> Any:
        """Build an instance from its tree.

        Raises:
            ValueError: It is no such tree.
        """
        if type(rows) is not list or not 0 < len(rows) <= MAX_OBJECTS:
            raise ValueError("not an object of the set-up")
        made = []
        for name, _ in rows:
            if name not in self._names:
                raise ValueError("not a class of the set-up")
            kind = self._space[name]
            made.append(kind.__new__(kind))

        def resolve(tag: str, body: Any) -> Any:
            return made[body] if tag == "j" and type(body) is int else hook(tag, body)

        for item, (_, tree) in zip(made, rows, strict=True):
            give(item, wire.decode(tree, 0, resolve))
        return made[0]


def state(value: Any) -> dict[str, Any]:
    """Return the attributes of an object."""
    found = dict(getattr(value, "__dict__", {}))
    for name in _slots(value):
        if hasattr(value, name):
            found[name] = getattr(value, name)
    return found


def give(value: Any, attributes: Any) -> None:
    """Give an object attributes."""
    slots = _slots(value)
    if type(attributes) is not dict:
        raise ValueError("not a state")
    for name, item in attributes.items():
        if name in slots:
            object.__setattr__(value, name, item)
        else:
            value.__dict__[name] = item


def _slots(value: Any) -> list[str]:
    names: list[str] = []
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
