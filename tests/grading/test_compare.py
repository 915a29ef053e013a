"""Comparison of wire trees: the documented rules, and robustness against forged trees."""

import datetime
import math
import time
from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegym.grading.compare import same, same_output, show
from codegym.sandbox import wire
from codegym.sandbox.inside.bounds import outsized, too_deep


def equal(got, expected, tolerance=1e-9):
    return same(
        wire.loads(wire.dumps(wire.encode(got))),
        wire.loads(wire.dumps(wire.encode(expected))),
        tolerance,
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
    assert equal(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("5", 5),
        (5, "5"),
        (True, 1),
        (1, True),
        (1.0, True),
        (2.0, 2),
        (None, 0),
        (0, None),
        (None, False),
        ((1,), [1]),
        ([1], (1,)),
        ("2 1", "1 2"),
        ([1, 2], [2, 1]),
        ([1, 2], [1, 2, 3]),
        ({1}, frozenset({1})),
        ({1}, {1, 2}),
        ({1: 1}, {1: 2}),
        ({1: 1}, [[1, 1]]),
        ({True}, {1}),
        ("a", b"a"),
        (b"a", bytearray(b"a")),
        (math.inf, 1e300),
        (1e300, math.inf),
        (-math.inf, math.inf),
        (0.0, math.nan),
        (1.0 + 1e-8, 1.0),
        ([10**400], [1.0]),
        (Decimal("1"), 1),
        (Fraction(1), 1),
        (1, Decimal("1")),
        ("1/2", Fraction(1, 2)),
        ([1], iter([1])),
        ([1], {1: 1}.keys()),
        ("I", [10**5000]),
    ],
)
def test_different(got, expected):
    assert not equal(got, expected)


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
