"""Wire codec: values survive the round trip, and invalid trees are refused."""

import collections
import datetime
import decimal
import enum
import fractions
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegym.sandbox import wire

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
) | st.binary()
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
    ),
    max_leaves=20,
)


def there_and_back(value):
    return wire.decode(wire.loads(wire.dumps(wire.encode(value))))


@settings(deadline=None)
@given(values)
def test_plain_values_come_back_with_their_types(value):
    back = there_and_back(value)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, set | frozenset | dict | list | tuple)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        [10**5000],
        -0.0,
        1e-320,
        1j,
        bytearray(b"\x00\xff"),
        range(3, 1 << 70, 5),
        collections.deque([1, (2,)]),
        decimal.Decimal("1.500"),
        fractions.Fraction(-1, 3),
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=datetime.UTC),
        datetime.time(1, 2, 3),
        datetime.timedelta(-1, 2, 3),
        int,
        type(None),
        ValueError,
        ...,
        {1: 2}.keys(),
        {(1,): [2]}.items(),
        [1] * 20 + [1 << 5000],
        [True] * 20 + [1],
        [1.5] * 20,
    ],
)
def test_library_values_come_back(value):
    back = there_and_back(value)
    assert back == value and type(back) is type(value)
    if isinstance(value, list):
        assert [type(item) for item in back] == [type(item) for item in value]


def test_floats_that_json_lacks():
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert b"NaN" not in wire.dumps(wire.encode(math.nan))
    assert wire.decode({"f": (0.1).hex()}) == 0.1


class LyingInt(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class LyingList(list):
    def __iter__(self):
        return iter("lies")


class LyingText(str):
    def __str__(self):
        return "a lie"


class FakeFields(tuple):
    _fields = ("x", "lambda")


class Colour(enum.Enum):
    RED = "red"


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (LyingInt(3), 3),
        (LyingList([1]), [1]),
        (LyingText("a"), "a"),
        (FakeFields((1, 2)), (1, 2)),
    ],
)
def test_relatives_cross_as_their_base(value, plain):
    back = there_and_back(value)
    assert back == plain and type(back) is type(plain)


def test_containers_of_the_library_keep_their_kind():
    point = there_and_back(Point(1, [2]))
    assert point == (1, [2]) and point.x == 1 and point._fields == ("x", "y")
    counter = there_and_back(collections.Counter("aab"))
    assert counter.most_common(1) == [("a", 2)] and counter["z"] == 0
    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert list(there_and_back(ordered)) == ["b", "a"]
    table = there_and_back(collections.defaultdict(list, a=[1]))
    assert table["b"] == [] and table["a"] == [1]
    assert there_and_back(collections.defaultdict(lambda: 1)).default_factory is None


def test_iterators_cross_as_their_items_up_to_a_bound():
    for value in ((x for x in "ab"), map(str.lower, "AB"), iter("ab"), itertools.chain("a", "b")):
        assert list(there_and_back(value)) == ["a", "b"]
    with pytest.raises(wire.UnencodableError, match="more than 10000 items"):
        wire.encode(itertools.count())
    decoded = there_and_back(iter([1, 2, 3]))
    next(decoded)
    assert [wire.encode(decoded), wire.encode(decoded)] == [{"i": [2, 3]}] * 2


deep: list = []
for _ in range(wire.MAX_DEPTH + 2):
    deep = [deep]
circle: list = []
circle.append(circle)


REFUSED = [object(), len, lambda: 0, Colour, deep, circle, {1: [{}.get]}]


@pytest.mark.parametrize("value", REFUSED)
def test_what_cannot_cross_is_refused(value):
    with pytest.raises(wire.UnencodableError):
        wire.encode(value)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"x": 1},
        {"t": 1},
        {"d": [[1]]},
        {"d": [[[], 1]]},
        {"s": [[1]]},
        {"I": "zz"},
        {"I": 5},
        {"f": "one"},
        {"b": "0"},
        {"r": [1]},
        {"r": [0, 1, 0]},
        {"c": [1]},
        {"F": [1, 0]},
        {"m": "one"},
        {"D": "tomorrow"},
        {"L": [10**20, 0, 0]},
        {"T": "eval"},
        {"N": ["P", ["x"], []]},
        {"N": ["P", ["x", "import"], [1, 2]]},
        {"N": ["P, *", ["x"], [1]]},
        {"G": [1, []]},
        {"C": [1]},
        {"t": [], "s": []},
    ],
)
def test_forged_trees_are_value_errors(tree):
    with pytest.raises(ValueError):
        wire.decode(tree)


def test_a_tree_nested_too_deeply_is_refused():
    tree: object = 1
    for _ in range(wire.MAX_DEPTH + 5):
        tree = [tree]
    with pytest.raises(ValueError, match="deeply"):
        wire.decode(tree)


def test_hooks_see_what_the_codec_does_not_know():
    tree = wire.encode([(x for x in "a"), 1], 0, lambda value: {"@": type(value).__name__})
    assert tree == [{"@": "generator"}, 1]
    assert wire.decode(tree, 0, lambda tag, body: (tag, body)) == [("@", "generator"), 1]
