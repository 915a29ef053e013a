"""Comparison of wire trees: the documented rules, and robustness against forged trees."""

import datetime
import enum
import math
import time
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegym.grading.compare import same, show
from codegym.grading.text_rules import same_output
from codegym.sandbox import wire
from codegym.sandbox.inside.bounds import outsized, too_deep


def equal(got, expected, tolerance=1e-9, match="python"):
    return same(
        wire.loads(wire.dumps(wire.encode(got))),
        wire.loads(wire.dumps(wire.encode(expected))),
        tolerance,
        match,
    )


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1, 1),
        (2, 2.0),
        (0.1 + 0.2, 0.3),
        (1e9 + 0.5, 1e9),
        (math.nan, math.nan),
        ([math.nan], [math.nan]),
        (math.inf, math.inf),
        ({3, 1, 2}, {1, 2, 3}),
        ({1: "a", "b": 2}, {"b": 2, 1: "a"}),
        ({(1, 2): {3}}, {(1, 2): {3}}),
        ({0.1 + 0.2, 5.0}, {5.0, 0.3}),
        (1j + 1e-12, 1j),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal("nan"), Decimal("nan")),
        (Fraction(2, 4), Fraction(1, 2)),
        (deque([1, 2]), deque([1, 2])),
        (b"ab", b"ab"),
        ({1: 2}.keys(), {1: 3}.keys()),
        (iter([1, 2]), (x for x in (1, 2))),
        (datetime.timedelta(days=1), datetime.timedelta(hours=24)),
        ([10**5000], [10**5000]),
        (
            datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC),
            datetime.datetime(
                2024, 1, 1, 13, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
            ),
        ),
    ],
)
def test_same(got, expected):
    trees = wire.encode(got), wire.encode(expected)
    assert same(*trees, 1e-9) and same(*trees, 1e-9, "strict")


def test_two_ordered_dicts_have_an_order():
    one, other = OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)
    assert not equal(one, other) and equal(one, other, match="strict")
    assert equal(one, dict(other)) and equal(one, OrderedDict(a=1.0, b=2))


class Text(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Number(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Table(dict):
    pass


class Level(enum.IntEnum):
    LOW = 1


Point = namedtuple("Point", "x y")


# Python's == finds these equal, types or not.
ALIKE = [
    (True, 1),
    (1, True),
    (1.0, True),
    (2.0, 2),
    (Fraction(1, 2), 0.5),
    (0.5, Fraction(1, 2)),
    (Decimal("2"), 2),
    (2, Decimal("2.0")),
    (Decimal("0.5"), Fraction(1, 2)),
    (2 + 0j, 2),
    (2.0, 2 + 0j),
    (Fraction(2), 2),
    ({1}, frozenset({1})),
    (frozenset({1.0}), {True}),
    ({frozenset({1})}, {frozenset({1.0})}),
    ({True}, {1}),
    ({1.0: "a"}, {1: "a"}),
    ({Decimal(1), 2}, {1.0, Fraction(2)}),
    (b"a", bytearray(b"a")),
    ([bytearray(b"a")], [b"a"]),
    (Text("a"), "a"),
    ({Text("a"): Number(1)}, {"a": 1}),
    (Number(3), 3),
    (Table(a=1), {"a": 1}),
    (Level.LOW, 1),
    (Point(1, 2), (1, 2)),
    (Counter("aab"), {"a": 2, "b": 1}),
    (Counter(a=1, b=0), Counter(a=1)),
    (OrderedDict(a=1, b=2), dict(b=2, a=1)),
    (defaultdict(int, a=1), {"a": 1}),
    ({1: 2}.keys(), {1}),
    ({1: 2}.items(), {(1, 2)}),
    (range(0), range(5, 5)),
    (range(0, 3, 2), range(0, 4, 2)),
    ([Decimal("1.0")], [1]),
]


@pytest.mark.parametrize(("got", "expected"), ALIKE)
def test_equality_is_that_of_python_and_not_of_the_answer(got, expected):
    assert got == expected  # else the test itself would be wrong
    assert equal(got, expected)


STRICTER = [
    pair for pair in ALIKE if isinstance(pair[0], Text | Number | bool | Fraction | Decimal)
]


@pytest.mark.parametrize(("got", "expected"), [*STRICTER, ({1}, frozenset({1})), (2.0, 2)])
def test_strict_wants_the_same_types(got, expected):
    assert not equal(got, expected, match="strict")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("5", 5),
        (5, "5"),
        (None, 0),
        (0, None),
        (None, False),
        ("", None),
        ((1,), [1]),
        ([1], (1,)),
        (deque([1]), [1]),
        ("2 1", "1 2"),
        ([1, 2], [2, 1]),
        ([1, 2], [1, 2, 3]),
        ({1}, {1, 2}),
        ({1: 1}, {1: 2}),
        ({1: 1}, [[1, 1]]),
        ("a", b"a"),
        (math.inf, 1e300),
        (1e300, math.inf),
        (-math.inf, math.inf),
        (0.0, math.nan),
        (1.0 + 1e-8, 1.0),
        (2.0000000001, 2),
        ([10**400], [1.0]),
        (Decimal("0.1"), Fraction(1, 10**50)),
        (0.1, Decimal("0.1")),
        (1j, 1),
        ("1/2", Fraction(1, 2)),
        ([1], iter([1])),
        ([1], {1: 1}.keys()),
        ("I", [10**5000]),
        (Number(3), 4),
        (Text("b"), "a"),
        (Counter(a=1), Counter(a=2)),
        (range(3), [0, 1, 2]),
        (range(3), range(4)),
        (Point(1, 2), (1, 3)),
        (0.0, 6.6e-34),
        (6.7e-34, 6.6e-34),
        (1e-9, 2e-9),
    ],
)
def test_different(got, expected):
    assert not equal(got, expected) and not equal(got, expected, match="strict")


@pytest.mark.parametrize(
    ("match", "got", "expected", "agree"),
    [
        ("livecodebench", (1, 2), [1, 2], True),
        ("livecodebench", [(1, 2)], [[1, 2]], False),
        ("apps", (1, 2), [1, 2], True),
        ("apps", [5], 5, False),
        ("apps", 5, [5], True),
        ("apps", [5], [5], True),
        ("apps", [[5]], [5], False),
        ("apps", [(1, 2), (3, 4)], [[1, 2], [3, 4]], False),
        ("apps", [(1, 2), (3, 4)], [[[1, 2], [3, 4]]], True),
        ("apps", [[1, 2], (3, 4)], [[[1, 2], [3, 4]]], False),
        ("apps", [[(1, 2)]], [[[1, 2]]], False),
        ("apps", "5", [5], False),
        ("apps", 1, [1, 2], True),
        ("apps", 2, [1, 2], False),
        ("apps", [], [[]], True),
        ("apps", None, [], False),
        ("apps_rltf", "5", 5, True),
        ("apps_rltf", 5, "5", True),
        ("apps_rltf", "5.0", 5, True),
        ("apps_rltf", (1, 2), [1, 2], False),
        ("apps_rltf", (1, 2), [[1, 2]], True),
        ("apps_rltf", [(1, 2)], [[[1, 2]]], True),
        ("apps_rltf", ((1, 2), (3, 4)), [[[1, 2], [3, 4]]], True),
        ("apps_rltf", 1, [1, 2], True),
        ("apps_rltf", ["abc"], "abc", False),
        ("apps_rltf", [1, 2], "[1, 2]", True),
        ("apps_rltf", "[1, 2]", [1, 2], True),
        ("apps_rltf", 6, 5, False),
        ("apps_rltf", "yes", "Yes", False),
        ("python", (1, 2), [1, 2], False),
    ],
)
def test_the_rules_of_data_sets_for_values(match, got, expected, agree):
    assert equal(got, expected, 0.0, match) is agree


def test_tolerance_is_relative_with_an_absolute_floor():
    assert equal(100.05, 100.0, 1e-3) and not equal(100.2, 100.0, 1e-3)
    assert equal(0.0005, 0.0, 1e-3) and not equal(0.002, 0.0, 1e-3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("tdszIfcqrimFDMhLKWXTe"), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values, json_values)
def test_forged_trees_never_raise(got, other):
    for expected in (1, 1.5, "a", None, [1], (1,), {1: 2}, {1}, Decimal(1), b"", 1j):
        assert same(got, wire.encode(expected)) in (True, False)
    assert isinstance(show(got), str)


@settings(deadline=None)
@given(st.lists(st.integers() | st.floats(allow_nan=False) | st.text() | st.tuples(st.integers())))
def test_sets_and_dicts_do_not_depend_on_order(items):
    tree = wire.encode(set(items))
    assert same({"s": list(reversed(tree["s"]))}, tree)
    pairs = wire.encode(dict.fromkeys(items, 0))
    assert same({"d": list(reversed(pairs["d"]))}, pairs)


def test_colliding_numbers_are_sorted_not_hashed():
    numbers = [i * (2**61 - 1) for i in range(30_000)]
    assert same({"s": numbers[::-1]}, {"s": numbers})  # by hashing, minutes


@pytest.mark.parametrize(
    "body",
    [b'"' + b'\\"' * 50_000, b'"[' * 50_000, b'"' + b"\\" * 99_999, b'"\\' * 50_000, b'"' * 99_999],
)
def test_depth_is_seen_in_one_look(body):
    started = time.process_time()
    too_deep(b"[" * 400 + body)
    assert time.process_time() - started < 5.0  # quadratic: minutes


def test_depth_is_seen_without_parsing():
    assert too_deep(b"[" * 100_000)
    assert too_deep(b'{"t":[' * 400 + b"]}" * 400)
    assert not too_deep(wire.dumps(["[" * 10_000]))
    assert not too_deep(wire.dumps([[1]] * 10_000))


@pytest.mark.parametrize(
    ("rule", "got", "agree"),
    [
        ("trailing", "1 2 \n3\n\n", True),
        ("trailing", "1 2\n\n3\n", False),
        ("trailing", " 1 2\n3", False),
        ("trailing", "3\n1 2", False),
        ("exact", "1 2\n3\n", True),
        ("exact", "1 2\n3", False),
        ("tokens", "1\n2 3", True),
        ("tokens", "2 1 3", False),
    ],
)
def test_printed_text(rule, got, agree):
    assert same_output(got, "1 2\n3\n", rule) is agree


@pytest.mark.parametrize(
    ("rule", "got", "expected", "agree"),
    [
        ("decimals", "0.5\n", "0.50", True),
        ("decimals", "1", "1.0", True),
        ("decimals", " 1  2 ", "1 2.0", True),
        ("decimals", "1\n2", "1 2", False),
        ("decimals", "0.3333333333", ".333333333", False),
        ("decimals", "50000000000000000", "50000000000000001", False),
        ("decimals", "sNaN 1", "1 1", False),
        ("decimals", "yes", "YES", False),
        ("allclose", "0.3333333333", ".333333333", True),
        ("allclose", "0.5\n\n", "0.50", True),
        ("allclose", "1 0.5", "1.0 0.50", True),
        ("allclose", "1 2\n3", "3\n2 1", True),
        ("allclose", "1\n2", "1\n3", False),
        ("allclose", "yes", "Yes", False),
        ("numbers", "YES 0.333333", "yes\n.333333333", True),
        ("numbers", "1e-6", "0", True),
        ("numbers", "0.3334", "0.3333", False),
        ("numbers", "1 2", "1", False),
        ("numbers", "no", "yes", False),
        ("numbers", "1_0", "10", False),
        ("numbers", "inf 0.5", "inf 0.5", True),
        ("numbers", "inf 0.5", "inf 0.50", False),
        ("numbers", "a\xa0b", "a b", False),
        ("numbers", "\u0665", "5", False),
        ("numbers", "É", "é", False),
        ("apps_rltf", "0.3333333333", ".333333333", True),
        ("trailing", "0.5", "0.50", False),
    ],
)
def test_printed_numbers_by_the_rules_of_data_sets(rule, got, expected, agree):
    assert same_output(got, expected, rule) is agree


def test_far_more_values_than_expected_are_told_without_parsing():
    small, large = wire.dumps([1, 2]), wire.dumps([[]] * 60_000)
    assert outsized(large, small) and not outsized(large, large)
    assert not outsized(wire.dumps([[]] * 10_000), small)
    assert not outsized(large, wire.dumps([[]] * 30_000))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: [2.5, None]}, "{1: [2.5, None]}"),
        ({}, "{}"),
        ((1,), "(1,)"),
        ({"a"}, "{'a'}"),
        (b"a", "bytes.fromhex('61')"),
        (math.nan, "nan"),
        ("x" * 1000, "'" + "x" * 296 + "..."),
        (list(range(1000)), ""),
    ],
)
def test_answers_are_shown_as_text(value, text):
    shown = show(wire.encode(value))
    assert len(shown) <= 300
    assert shown == text or not text
