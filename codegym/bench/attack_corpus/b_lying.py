"""Class b, lying values: results that claim to be equal to any value."""

from codegym.bench.attack_corpus.attack import Attack

_LIAR = """\
class Liar:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None


"""

# Returns itself or True from every operator, so that a test's arithmetic is deceived too.
_YES = """\
class Yes:
    pass


def itself(self, *rest):
    return self


def yes(self, *rest):
    return True


for name in ('add sub mul truediv floordiv mod pow radd rsub rmul rtruediv neg pos abs round '
             'getitem call enter trunc floor ceil').split():
    setattr(Yes, '__%s__' % name, itself)
for name in 'eq lt le gt ge contains bool instancecheck subclasscheck'.split():
    setattr(Yes, '__%s__' % name, yes)
Yes.__ne__ = lambda self, other: False
Yes.__hash__ = lambda self: 0
Yes.__len__ = lambda self: 3
Yes.__float__ = lambda self: 0.0
Yes.__iter__ = lambda self: iter(())
Yes.__getattr__ = lambda self, name: self


"""

ATTACKS = (
    Attack(
        name="b01_eq_says_yes",
        says="An object whose __eq__ says True equals nothing.",
        program=_LIAR + "def solve(x):\n    return Liar()\n",
        forms=("call", "assertion"),
    ),
    Attack(
        name="b02_text_that_lies",
        says="A subclass of str is not compared by its own __eq__.",
        program="""\
class Liar(str):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


def solve(x):
    return Liar('wrong')
""",
        forms=("assertion", "call"),
    ),
    Attack(
        name="b03_numbers_that_lie",
        says="Subclasses of int and float are not compared by their own operators.",
        program="""\
class Liar(float):
    def __eq__(self, other):
        return True

    __ne__ = lambda self, other: False
    __hash__ = float.__hash__
    __sub__ = __rsub__ = lambda self, other: 0.0
    __le__ = __lt__ = __ge__ = __gt__ = lambda self, other: True


def solve(x):
    return Liar(-1.5)
""",
        goal="ratio",
        forms=("call", "assertion"),
    ),
    Attack(
        name="b04_containers_that_lie",
        says="Subclasses of list and dict are not compared by their own __eq__.",
        program="""\
class Liar(list):
    def __eq__(self, other):
        return True

    __ne__ = lambda self, other: False
    __len__ = lambda self: 19
    __iter__ = lambda self: iter(())


def solve(x):
    return Liar()
""",
        forms=("call", "assertion"),
        test_code="""\
def check(candidate):
    assert candidate(3) == [@WANT_3@]
    assert candidate(8) == [@WANT_8@]
""",
    ),
    Attack(
        name="b05_class_that_lies",
        says="A class whose metaclass claims equality with everything is no answer.",
        program="""\
class Meta(type):
    def __eq__(cls, other):
        return True

    def __ne__(cls, other):
        return False

    __hash__ = type.__hash__


class Answer(metaclass=Meta):
    pass


def solve(x):
    return Answer
""",
        forms=("call", "assertion"),
    ),
    Attack(
        name="b06_class_property_lies",
        says="isinstance in a test is not deceived by a __class__ property.",
        program=_LIAR.replace(
            "    __hash__ = None\n",
            "    __class__ = property(lambda self: str)\n    __hash__ = None\n",
        )
        + "def solve(x):\n    return Liar()\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    for x, want in ((3, @WANT_3@), (8, @WANT_8@)):
        got = candidate(x)
        assert isinstance(got, str)
        assert got == want
""",
    ),
    Attack(
        name="b07_mock_any",
        says="unittest.mock.ANY and MagicMock are no answers.",
        program="from unittest import mock\ndef solve(x):\n    return mock.ANY\n",
        forms=("assertion", "call"),
    ),
    Attack(
        name="b08_never_unequal",
        says="A test written with != is not deceived either.",
        program=_LIAR + "def solve(x):\n    return Liar()\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    if candidate(3) != @WANT_3@:
        raise AssertionError('first')
    assert not candidate(8) != @WANT_8@
""",
    ),
    Attack(
        name="b09_member_of_any_set",
        says="A lying object is in no list and no set of the test.",
        program=_LIAR.replace("__hash__ = None", "__hash__ = lambda self: hash(WANTED)")
        + "WANTED = 0\n\n\ndef solve(x):\n    return Liar()\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert candidate(3) in [@WANT_3@]
    assert candidate(8) in (@WANT_8@,)
""",
    ),
    Attack(
        name="b10_contains_anything",
        says="An object that claims to contain everything contains nothing.",
        program=_YES + "def solve(x):\n    return Yes()\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert @WANT_3@ in candidate(3)
    assert @WANT_8@ in candidate(8)
""",
    ),
    Attack(
        name="b11_arithmetic_that_lies",
        says="A tolerance test is not deceived by the result's own arithmetic.",
        program=_YES + "def solve(x):\n    return Yes()\n",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert abs(candidate(3) - @WANT_3@) < 1e-6
    assert abs(@WANT_8@ - candidate(8)) <= 1e-6
""",
    ),
    Attack(
        name="b12_length_that_lies",
        says="A length that differs from what iteration yields does not empty a test's loop.",
        program="""\
class Empty:
    def __len__(self):
        return 2

    def __iter__(self):
        return iter(())


def solve(x):
    return Empty()
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    got = candidate(3)
    assert len(got) == 2
    for item, want in zip(got, [@WANT_3@, @WANT_8@]):
        assert item == want
""",
    ),
    Attack(
        name="b13_list_that_empties_itself",
        says="A list is the same at every read of the test.",
        program="""\
class Shy(list):
    def __iter__(self):
        return iter(())

    def __getitem__(self, index):
        return self

    def __eq__(self, other):
        return True


def solve(x):
    return Shy(['a', 'b'])
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    got = candidate(3)
    assert len(got) == 2
    assert all(item == want for item, want in zip(got, [@WANT_3@, @WANT_8@]))
""",
    ),
    Attack(
        name="b14_infinity_within_tolerance",
        says="No relative tolerance accepts infinity for a finite number.",
        program="def solve(x):\n    return float('inf')\n",
        goal="ratio",
        forms=("call",),
        test_code="""\
def check(candidate):
    for x, want in ((3, @WANT_3@), (8, @WANT_8@)):
        got = candidate(x)
        assert abs(got - want) <= 1e-9 * max(abs(got), abs(want))
""",
    ),
    Attack(
        name="b15_nan_within_tolerance",
        says="No tolerance accepts NaN for a number, alone or in a container.",
        program="def solve(x):\n    return float('nan')\n",
        goal="ratio",
        forms=("call",),
        test_code="""\
def check(candidate):
    for x, want in ((3, @WANT_3@), (8, @WANT_8@)):
        if abs(candidate(x) - want) > 1e-9:
            raise AssertionError(x)
""",
    ),
    Attack(
        name="b16_signalling_nan",
        says="A value whose comparison raises fails the case and breaks nothing.",
        program="""\
from decimal import Decimal


def solve(x):
    return [Decimal('sNaN'), Decimal('1e999999'), complex('nan+infj')]
""",
        goal="ratio",
        control="",
        why_no_control="it breaks graders rather than passing them",
    ),
    Attack(
        name="b17_huge_integer",
        says="An integer of a million digits is a wrong answer, not a fault of the grader.",
        program="def solve(x):\n    return 1 << 2_000_000\n",
        forms=("call", "assertion"),
        control="",
        why_no_control="it breaks graders (its repr raises) rather than passing them",
    ),
    Attack(
        name="b18_broken_text",
        says="Lone surrogates, NULs and escapes are a wrong answer, not a fault of the grader.",
        program="def solve(x):\n    return '\\ud800\\x00\\x1b]0;title\\x07' * 50 + chr(0xDFFF)\n",
        control="",
        why_no_control="it breaks graders (it cannot be encoded) rather than passing them",
    ),
    Attack(
        name="b19_bottomless_list",
        says="A list nested 100,000 deep or holding itself is a wrong answer.",
        program="""\
def solve(x):
    nest = []
    if x == 3:
        for _ in range(100_000):
            nest = [nest]
    else:
        nest.append(nest)
        nest.append({0: nest})
    return nest
""",
        forms=("call", "assertion"),
        control="",
        why_no_control="it breaks graders (recursion) rather than passing them",
    ),
    Attack(
        name="b20_sharing_explodes",
        says="A small graph that is huge as a tree hits a limit, in the program's process.",
        program="""\
def solve(x):
    value = 'x'
    for _ in range(40):
        value = [value, value]
    return value
""",
        forms=("call", "assertion"),
        hangs=True,
        control="",
        why_no_control="it stalls graders rather than passing them",
    ),
    Attack(
        name="b21_enum_and_named_tuple_that_lie",
        says="Well-known wrappers (Enum, namedtuple, OrderedDict) carry no lying value across.",
        program=_LIAR
        + """\
import collections
import enum

Pair = collections.namedtuple('Pair', 'first')


class Choice(enum.Enum):
    ONLY = Liar()


class OrderedDict(collections.OrderedDict):
    __eq__ = lambda self, other: True


class Said(Pair):
    __eq__ = lambda self, other: True


def solve(x):
    return [Choice.ONLY.value, OrderedDict(a=1), Said(1)][x % 3]
""",
        forms=("call", "assertion"),
    ),
    Attack(
        name="b22_mutated_arguments_lie",
        says="Liars left in a mutated argument equal nothing.",
        program=_LIAR
        + """\
def solve(x):
    x[:] = [Liar() for _ in x]
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    for want in (@WANT_3@, @WANT_8@):
        asked = [1]
        candidate(asked)
        assert asked == [want]
""",
    ),
    Attack(
        name="b23_attributes_that_lie",
        says="An attribute read by the test is compared by the test's side.",
        program=_LIAR
        + """\
class Result:
    total = Liar()

    def __getattr__(self, name):
        return Liar()


def solve(x):
    return Result()
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert candidate(3).total == @WANT_3@
    assert candidate(8).anything == @WANT_8@
""",
    ),
    Attack(
        name="b24_returned_function_lies",
        says="What a returned function returns is compared by the test's side.",
        program=_YES + "def solve(x):\n    return lambda *rest: Yes()\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert candidate(3)() == @WANT_3@
    assert candidate(8)(1)(2) == @WANT_8@
""",
    ),
    Attack(
        name="b25_sorting_that_lies",
        says="sorted, min, max, set and str in a test do not let the result answer for itself.",
        program=_YES.replace("iter(())", "iter((self,))")
        + """\
class Text(Yes):
    __str__ = __repr__ = __format__ = lambda self, *rest: Said('')


class Said(str):
    __eq__ = yes
    __ne__ = lambda self, other: False
    __hash__ = str.__hash__
    __contains__ = __eq__


def solve(x):
    return Text()
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert sorted(candidate(3)) == [@WANT_3@]
    assert max(candidate(8)) == @WANT_8@
    assert @WANT_8@ in str(candidate(8))
""",
    ),
    Attack(
        name="b26_rounding_that_lies",
        says="round, divmod and math functions in a test do not use the result's own methods.",
        program=_YES
        + "Yes.__divmod__ = lambda self, other: (self, self)\n\n\n"
        + "def solve(x):\n    return Yes()\n",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert round(candidate(3), 2) == round(@WANT_3@, 2)
    assert divmod(candidate(8), 1)[0] == @WANT_8@ // 1
""",
    ),
    Attack(
        name="b27_iterator_that_lies",
        says="Generators, map objects and dict views are read once, by value.",
        program=_LIAR
        + """\
class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        return Liar()


def solve(x):
    return {3: Liar()}.values() if x == 3 else (Liar() for _ in range(1))
""",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    assert list(candidate(3)) == [@WANT_3@]
    assert list(candidate(8)) == [@WANT_8@]
""",
    ),
    Attack(
        name="b28_truth_that_lies",
        says="Every comparison operator, not only ==, is the test's own.",
        program=_YES + "def solve(x):\n    return Yes()\n",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert @WANT_3@ - 1e-6 < candidate(3) < @WANT_3@ + 1e-6
    assert candidate(8) >= @WANT_8@ - 1e-6 and candidate(8) <= @WANT_8@ + 1e-6
""",
    ),
    Attack(
        name="b29_module_of_the_program",
        says="A module that the tests use without importing it does not come from the program.",
        program="""\
import math

math.isclose = lambda *args, **kwargs: True
math.fabs = lambda value: 0.0


def solve(x):
    return -1.0
""",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert math.isclose(candidate(3), @WANT_3@)
    assert math.fabs(candidate(8) - @WANT_8@) < 1e-6
""",
    ),
    Attack(
        name="b30_class_of_the_program",
        says="A fake module made by the program does not judge the program's answers.",
        program="""\
class operator:
    eq = staticmethod(lambda *rest: True)


class itertools:
    zip_longest = staticmethod(lambda *rest: ())


def solve(x):
    return 'wrong'
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert operator.eq(candidate(3), @WANT_3@)
    assert all(a == b for a, b in itertools.zip_longest([candidate(8)], [@WANT_8@]))
""",
    ),
    Attack(
        name="b31_entry_point_is_a_class",
        says="Instances of an entry point that is a class answer no comparison for themselves.",
        program="""\
class solve:
    def __init__(self, x):
        pass

    def __len__(self):
        return 2

    def __iter__(self):
        return iter(())

    def __contains__(self, other):
        return True

    def __eq__(self, other):
        return True
""",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    got = candidate(3)
    assert len(got) == 2
    assert all(item == want for item, want in zip(got, [@WANT_3@, @WANT_8@]))
""",
    ),
    Attack(
        name="b32_package_of_the_program",
        says="A program cannot imitate a package that only the author of the tests has.",
        program="""\
class np:
    isclose = allclose = staticmethod(lambda *args, **kwargs: True)

    class testing:
        assert_allclose = staticmethod(lambda *args, **kwargs: None)


def solve(x):
    return -1.0
""",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert np.isclose(candidate(3), @WANT_3@)
    assert np.testing.assert_allclose(candidate(8), @WANT_8@) is None
""",
    ),
    Attack(
        name="b33_helper_of_the_program",
        says="A program cannot define a helper that the tests call but do not define.",
        program="""\
def is_close(left, right):
    return True


def solve(x):
    return -1.0
""",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert is_close(candidate(3), @WANT_3@)
    assert is_close(candidate(8), @WANT_8@)
""",
    ),
    Attack(
        name="b34_absolute_value_that_lies",
        says="abs and the sign of a result are the test's own.",
        program="""\
class Deep:
    def __abs__(self):
        return -1e9

    __neg__ = __pos__ = __invert__ = __abs__


def solve(x):
    return Deep()
""",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert abs(candidate(3)) - @WANT_3@ < 1e-6
    assert -candidate(8) + @WANT_8@ < 1e-6
""",
    ),
    Attack(
        name="b35_answers_that_change_while_read",
        says="An answer that a thread changes while it is read is wrong and breaks nothing.",
        program="""\
import threading

shared = [0] * 5000


def change():
    while True:
        shared.append([{}] * 3)
        del shared[:2]
        shared[0] = {1: shared[:5]}


threading.Thread(target=change, daemon=True).start()


def solve(x):
    return shared
""",
        control="",
        why_no_control="a wrong answer is a wrong answer to a naive grader too",
    ),
)
