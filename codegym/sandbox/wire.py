"""Wire codec: turns plain Python values into JSON trees with type tags, and back.

It carries arguments and results across the sandbox boundary, and tasks into files. It never calls,
hashes, evaluates or unpickles the data that it reads. It imports the standard library only: the
same file is loaded inside the sandbox.

``None, bool, str``, small ``int`` and finite ``float`` are written as such and ``list`` is a JSON
array; every other value is an object with one key, the tag::

    f float (nan, inf; hex accepted)  I int, as hex         c complex [re, im]   b bytes, as hex
    t tuple                           d dict, as pairs      s set                z frozenset
    B bytearray, as hex               q deque               r range [a, b, c]    i iterator
    K W X views of a dict: keys, values, items              T a built-in type, by name
    m Decimal, as text                F Fraction [n, d]     D date   M datetime  h time (ISO 8601)
    L timedelta [days, seconds, microseconds]               e Ellipsis
    N named tuple [name, fields, items]                     C Counter, as pairs
    O OrderedDict, as pairs                                 G defaultdict [factory, pairs]
    S instance of a subclass of the plain value that follows

An instance of a subclass crosses as the plain value that it holds, which is read by the methods of
its built-in base: its own methods, which may lie, are not called. A member of an Enum crosses as
its value, a generator or other built-in iterator as its items.
"""

import builtins
import collections
import itertools
import json
import keyword
import sys
from collections.abc import Callable
from types import GeneratorType, NoneType
from typing import Any

MAX_DEPTH = 90
MAX_ITERATOR_ITEMS = 10_000
SMALL_INT = 1 << 4000
KEPT_NAMED_TUPLES = 256

Hook = Callable[[Any], Any]
TagHook = Callable[[str, Any], Any]


class UnencodableError(TypeError):
    """A value's type cannot cross; the message is the name of the type."""


def encode(value: Any, depth: int = 0, hook: Hook | None = None) -> Any:
    """Turn a plain value into a JSON tree.

    Args:
        value: The value.
        depth: Depth of the value in the outermost value.
        hook: Makes the tree of a value that is not plain, iterators included, or raises
            UnencodableError.

    Raises:
        UnencodableError: ``value`` contains a value that cannot cross.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -SMALL_INT < value < SMALL_INT else {"I": hex(value)}
    if kind is float:
        return value if value - value == 0.0 else {"f": value.hex()}
    if depth > MAX_DEPTH:
        raise UnencodableError("nested too deeply")
    if kind is list:
        return _items(value, depth, hook)
    if kind is tuple:
        return {"t": _items(value, depth, hook)}
    if kind is dict:
        return _dict(value, depth, hook)
    special = _ENCODERS.get(kind)
    if special is not None and (hook is None or special is not encode_iterator):
        return special(value, depth, hook)
    if hook is not None:
        return hook(value)
    try:
        return encode_library(value, depth, None)
    except UnencodableError:
        plain = plain_base(value)
        if plain is None:
            raise
        return {"S": encode(plain, depth + 1)}


def plain_base(value: Any) -> Any:
    """Return the plain value that an instance of a subclass holds, None if it holds none.

    The methods of the built-in base read it, never those of the subclass.
    """
    ancestry = type.mro(type(value)) if type(value) is not type else []
    for base, read in _BASES.items():
        if base in ancestry:
            return read(value)
    return None


def _items(values: Any, depth: int, hook: Hook | None) -> list[Any]:
    # Long flat lists are common and a call per item is slow: check the types at C speed first.
    if len(values) > 8:
        kinds = set(map(type, values))
        if kinds <= _SCALARS:
            return list(values)
        if kinds == _INT and -SMALL_INT < min(values) and max(values) < SMALL_INT:
            return list(values)
    depth += 1
    return [encode(item, depth, hook) for item in values]


def _dict(value: Any, depth: int, hook: Hook | None) -> dict[str, Any]:
    depth += 1
    return {"d": [[encode(k, depth, hook), encode(v, depth, hook)] for k, v in dict.items(value)]}


def _pairs(tag: str) -> Callable[[Any, int, Hook | None], dict[str, Any]]:
    return lambda value, depth, hook: {tag: _dict(value, depth, hook)["d"]}


def _default_dict(value: Any, depth: int, hook: Hook | None) -> dict[str, Any]:
    try:
        factory = encode(value.default_factory, depth + 1, hook)
    except UnencodableError:
        factory = None
    return {"G": [factory, _dict(value, depth, hook)["d"]]}


def encode_iterator(value: Any, depth: int, hook: Hook | None) -> dict[str, Any]:
    """Turn a built-in iterator into the tree of its items, which consumes it."""
    if type(value) is _LIST_ITERATOR:
        # decode returns this form: read a copy, so that a task can be written twice.
        reduced: Any = value.__reduce__()
        _, (items,), *state = reduced
        value = items[state[0] :] if state else items
    taken = list(itertools.islice(value, MAX_ITERATOR_ITEMS + 1))
    if len(taken) > MAX_ITERATOR_ITEMS:
        raise UnencodableError(f"an iterator of more than {MAX_ITERATOR_ITEMS} items")
    return {"i": _items(taken, depth, hook)}


def _tagged(tag: str) -> Callable[[Any, int, Hook | None], dict[str, Any]]:
    return lambda value, depth, hook: {tag: _items(list(value), depth, hook)}


def _type(value: Any, depth: int, hook: Hook | None) -> Any:
    if value in TYPES.values():
        return {"T": value.__name__}
    if hook is not None:
        return hook(value)
    raise UnencodableError(f"class {value.__qualname__}")


def encode_library(value: Any, depth: int, hook: Hook | None) -> Any:
    """Turn a value of a few library types into a JSON tree; see the module's docstring.

    Raises:
        UnencodableError: ``value`` is of another type.
    """
    kind = type(value)
    if kind.__module__ in _LIBRARY_MODULES:
        # The name only leads to the class; the identity of the class decides.
        home = sys.modules.get(kind.__module__)
        if getattr(home, kind.__name__, None) is kind:
            tree = _LIBRARY[kind.__name__](value) if kind.__name__ in _LIBRARY else None
            if tree is not None:
                return tree
            if kind.__module__ == "itertools":
                return encode_iterator(value, depth, hook)
    ancestry = type.mro(kind) if kind is not type else []
    enum = sys.modules.get("enum")
    if enum is not None and enum.Enum in ancestry:
        return encode(value._value_, depth + 1, hook)
    fields = getattr(kind, "_fields", None) if tuple in ancestry else None
    if type(fields) is tuple:
        items = list(tuple.__iter__(value))
        if len(fields) == len(items) and _are_names((kind.__name__, *fields)):
            return {"N": [kind.__name__, list(fields), _items(items, depth + 1, hook)]}
        return {"t": _items(items, depth, hook)}
    raise UnencodableError(f"{kind.__module__}.{kind.__qualname__}")


def decode(tree: Any, depth: int = 0, hook: TagHook | None = None) -> Any:
    """Build a value from its tree.

    Args:
        tree: A tree that ``encode`` made, or untrusted JSON.
        depth: Depth of the tree in the outermost tree.
        hook: Reads tags that this codec does not define: (tag, body) -> value.

    Raises:
        ValueError: ``encode`` makes no such tree.
    """
    kind = type(tree)
    if kind in _PLAIN:
        return tree
    if depth > MAX_DEPTH + 1:
        raise ValueError("nested too deeply")
    depth += 1
    if kind is list:
        return [decode(item, depth, hook) for item in tree]
    if kind is dict and len(tree) == 1:
        ((tag, body),) = tree.items()
        try:
            if tag == "t":
                return tuple([decode(item, depth, hook) for item in body])
            if tag == "d":
                return {decode(k, depth, hook): decode(v, depth, hook) for k, v in body}
            if tag in _MAPPINGS:
                pairs = [(decode(k, depth, hook), decode(v, depth, hook)) for k, v in body]
                return _MAPPINGS[tag](pairs)
            if tag == "N":
                return _named_tuple(body, depth, hook)
            if tag == "G":
                factory, pairs = body
                made = [(decode(k, depth, hook), decode(v, depth, hook)) for k, v in pairs]
                return collections.defaultdict(decode(factory, depth, hook), made)
            if tag == "S":
                return decode(body, depth, hook)
            if tag in _SEQUENCES:
                return _SEQUENCES[tag]([decode(item, depth, hook) for item in body])
            if tag in _DECODERS:
                return _DECODERS[tag](body)
        except (TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise ValueError(f"not a wire tree: {tag!r} with {str(body)[:80]}") from error
        if hook is not None:
            return hook(tag, body)
    raise ValueError(f"not a wire tree: {str(tree)[:80]}")


def _are_names(names: Any) -> bool:
    return all(
        type(name) is str
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("_")
        for name in names
    )


def _named_tuple(body: Any, depth: int, hook: TagHook | None) -> Any:
    name, fields, trees = body
    if not _are_names((name, *fields)) or len(fields) != len(trees):
        raise ValueError("not a named tuple")
    key = (name, *fields)
    if key not in _named_tuples:
        if len(_named_tuples) >= KEPT_NAMED_TUPLES:
            _named_tuples.clear()
        _named_tuples[key] = collections.namedtuple(name, fields)
    return _named_tuples[key](*[decode(tree, depth, hook) for tree in trees])


def dumps(tree: Any) -> bytes:
    """Write a tree as compact JSON bytes."""
    return "".join(_WRITE(tree, 0)).encode()


def loads(data: bytes) -> Any:
    """Read a tree from JSON bytes, without white space around it.

    Raises:
        ValueError: They are not JSON.
    """
    text = data.decode()
    try:
        tree, end = _READ(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return tree


def _writer() -> Callable[[Any, int], Any]:
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)
    make = vars(json.encoder)["c_make_encoder"]
    if make is None:  # an interpreter without json's C half
        return lambda tree, level: (encoder.encode(tree),)
    quote = json.encoder.encode_basestring_ascii
    writer: Callable[[Any, int], Any] = make(
        None, encoder.default, quote, None, ":", ",", False, False, True
    )
    return writer


def _float(body: str) -> float:
    return float.fromhex(body)


def _range(body: list[int]) -> range:
    start, stop, step = body
    return range(start, stop, step)


def _complex(body: list[Any]) -> complex:
    real, imaginary = (decode(part) for part in body)
    return complex(float(real), float(imaginary))


def _decimal(body: str) -> Any:
    import decimal

    return decimal.Decimal(body)


def _fraction(body: list[Any]) -> Any:
    import fractions

    numerator, denominator = (decode(part) for part in body)
    return fractions.Fraction(numerator, denominator)


def _calendar(name: str) -> Callable[[Any], Any]:
    def build(body: Any) -> Any:
        import datetime

        if name == "timedelta":
            days, seconds, microseconds = body
            return datetime.timedelta(days, seconds, microseconds)
        return getattr(datetime, name).fromisoformat(body)

    return build


# The C halves of the json module, made once: json.loads and json.dumps build them for every call,
# and in a new fork each object that is touched costs a page fault.
_READ = vars(json.JSONDecoder())["scan_once"]
_WRITE = _writer()
_SCALARS = frozenset({NoneType, bool, str})
_PLAIN = _SCALARS | {int, float}
_INT = {int}
_LIST_ITERATOR: type = type(iter([]))
TYPES: dict[str, type] = {"NoneType": NoneType} | {
    name: value for name, value in vars(builtins).items() if type(value) is type
}
_ENCODERS: dict[type, Callable[[Any, int, Hook | None], Any]] = {
    set: _tagged("s"),
    frozenset: _tagged("z"),
    collections.deque: _tagged("q"),
    type({}.keys()): _tagged("K"),
    type({}.values()): _tagged("W"),
    type({}.items()): _tagged("X"),
    collections.Counter: _pairs("C"),
    collections.OrderedDict: lambda value, depth, hook: {
        "O": [[encode(item, depth + 1, hook) for item in pair] for pair in value.items()]
    },
    collections.defaultdict: _default_dict,
    bytes: lambda value, depth, hook: {"b": value.hex()},
    bytearray: lambda value, depth, hook: {"B": value.hex()},
    range: lambda value, depth, hook: {"r": [value.start, value.stop, value.step]},
    complex: lambda value, depth, hook: {"c": [encode(value.real), encode(value.imag)]},
    type(...): lambda value, depth, hook: {"e": 0},
    type: _type,
    GeneratorType: encode_iterator,
    _LIST_ITERATOR: encode_iterator,
}
for _maker in (map, filter, zip, enumerate, reversed):
    _ENCODERS[_maker] = encode_iterator
_SAMPLES: tuple[Any, ...] = (
    *((), "", b"", range(0), range(1 << 70), bytearray()),
    *(set(), {}, {}.values(), {}.items()),
)
for _sample in _SAMPLES:
    _ENCODERS[type(iter(_sample))] = encode_iterator
_ENCODERS[type(reversed([]))] = _ENCODERS[type(reversed({}))] = encode_iterator
_LIBRARY_MODULES = {"decimal", "fractions", "datetime", "itertools"}
_LIBRARY: dict[str, Callable[[Any], Any]] = {
    "Decimal": lambda value: {"m": str(value)},
    "Fraction": lambda value: {"F": [encode(value.numerator), encode(value.denominator)]},
    "date": lambda value: {"D": value.isoformat()},
    "datetime": lambda value: {"M": value.isoformat()},
    "time": lambda value: {"h": value.isoformat()},
    "timedelta": lambda value: {"L": [value.days, value.seconds, value.microseconds]},
}
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "s": set,
    "z": frozenset,
    "q": collections.deque,
    "i": iter,
    "K": lambda items: dict.fromkeys(items).keys(),
    "W": lambda items: dict(enumerate(items)).values(),
    "X": lambda items: dict(items).items(),
}
_MAPPINGS: dict[str, Callable[[list[Any]], Any]] = {
    "C": lambda pairs: collections.Counter(dict(pairs)),
    "O": collections.OrderedDict,
}
_named_tuples: dict[tuple[str, ...], Any] = {}
_BASES: dict[type, Callable[[Any], Any]] = {
    str: lambda value: str.__str__(value),
    int: lambda value: int.__int__(value),
    float: lambda value: float.__float__(value),
    complex: lambda value: complex.__complex__(value),
    bytes: lambda value: bytes.fromhex(bytes.hex(value)),
    bytearray: lambda value: bytearray.fromhex(bytearray.hex(value)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    collections.deque: lambda value: collections.deque(collections.deque.__iter__(value)),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "f": _float,
    "I": lambda body: int(body, 16),
    "b": bytes.fromhex,
    "B": bytearray.fromhex,
    "r": _range,
    "c": _complex,
    "T": lambda body: TYPES[body],
    "e": lambda body: ...,
    "m": _decimal,
    "F": _fraction,
    "D": _calendar("date"),
    "M": _calendar("datetime"),
    "h": _calendar("time"),
    "L": _calendar("timedelta"),
}
