"""Objects in the assertion form: what plain Python accepts crosses, and lies still do not."""

import pytest

import codegym
from codegym import Task

HONEST = [
    (
        "named",
        """\
from collections import namedtuple
P=namedtuple('P','x y')
def f(): return P(1,2)
""",
        """\
r=f()
assert r.x==1 and r._asdict()=={'x':1,'y':2}
assert r==(1,2)
""",
        "",
    ),
    (
        "counter",
        """\
from collections import Counter
def f(s): return Counter(s)
""",
        """\
c=f('aab')
assert c.most_common(1)==[('a',2)]
assert c['zz']==0
""",
        "",
    ),
    (
        "ddict",
        """\
from collections import defaultdict
def f(): return defaultdict(list,a=[1])
""",
        """\
d=f()
assert d['q']==[]
assert d['a']==[1]
""",
        "",
    ),
    (
        "odict",
        """\
from collections import OrderedDict
def f(): return OrderedDict(a=1,b=2)
""",
        """\
d=f()
d.move_to_end('a')
assert list(d)==['b','a']
assert d.popitem()==('a',1)
""",
        "",
    ),
    (
        "factory",
        """\
def f():
    class S:
        def __init__(s): s.v=[]
        def push(s,x): s.v.append(x)
        def pop(s): return s.v.pop()
        def __len__(s): return len(s.v)
    return S()
""",
        """\
s=f()
s.push(3)
assert len(s)==1
assert s.pop()==3
""",
        "",
    ),
    (
        "iterator",
        """\
class It:
    def __init__(s,n): s.n=n
    def __iter__(s): return s
    def __next__(s):
        if s.n==0: raise StopIteration
        s.n-=1
        return s.n
def f(n): return It(n)
""",
        """\
assert list(f(3))==[2,1,0]
it=f(2)
assert next(it)==1
""",
        "",
    ),
    (
        "ctx",
        """\
class C:
    def __enter__(s): return 5
    def __exit__(s,*a): return False
def f(): return C()
""",
        """\
with f() as v:
    assert v==5
""",
        "",
    ),
    (
        "ctx2",
        """\
from contextlib import contextmanager
@contextmanager
def f():
    yield 5
""",
        """\
with f() as v:
    assert v==5
""",
        "",
    ),
    (
        "exc",
        """\
class Bad(ValueError):
    def __init__(s,code):
        super().__init__('bad %d'%code); s.code=code
def f(x):
    raise Bad(x)
""",
        """\
try:
    f(3)
    assert False
except Bad as e:
    assert e.code==3 and str(e)=='bad 3'
try:
    f(3)
    assert False
except ValueError as e:
    assert True
""",
        "",
    ),
    (
        "exc base",
        """\
class Base(Exception): pass
class Bad(Base): pass
def f(x):
    raise Bad('x')
""",
        """\
try:
    f(3)
    assert False
except Base as e:
    assert e.args==('x',)
""",
        "",
    ),
    (
        "keyargs",
        """\
def f(d): return d['k']
""",
        """\
try:
    f({})
    assert False
except KeyError as e:
    assert e.args==('k',)
""",
        "",
    ),
    (
        "is",
        """\
def f(x):
    x.append(1)
    return x
""",
        """\
a=[3]
assert f(a) is a
assert a==[3,1]
""",
        "",
    ),
    (
        "sig",
        """\
def f(a,b=2,*c,d=3): pass
""",
        """\
import inspect
assert list(inspect.signature(f).parameters)==['a','b','c','d']
assert inspect.signature(f).parameters['b'].default==2
""",
        "",
    ),
    (
        "async",
        """\
async def f(x):
    return x+1
""",
        """\
import asyncio
assert asyncio.run(f(1))==2
""",
        "",
    ),
    (
        "async check",
        """\
import asyncio
async def f(x):
    await asyncio.sleep(0)
    return x+1
""",
        """\
import asyncio
async def main():
    return [await f(1), await f(2)]
assert asyncio.run(main())==[2,3]
""",
        "",
    ),
    (
        "setup cls",
        """\
def f(n):
    s=0
    while n: s+=n.val; n=n.next
    return s
""",
        """\
n=None
for i in range(300): n=Node(i,n)
assert f(n)==sum(range(300))
""",
        """\
class Node:
    def __init__(self,val,next=None): self.val=val; self.next=next
""",
    ),
    (
        "setup ret",
        """\
def f(a):
    return Node(a, Node(a+1))
""",
        """\
n=f(1)
assert n.val==1 and n.next.val==2
assert n==Node(1,Node(2))
""",
        """\
class Node:
    def __init__(self,val,next=None): self.val=val; self.next=next
    def __eq__(s,o): return isinstance(o,Node) and s.val==o.val and s.next==o.next
""",
    ),
    (
        "setup mut",
        """\
def f(n): n.val=9
""",
        """\
n=Node(1)
f(n)
assert n.val==9
""",
        """\
class Node:
    def __init__(self,val,next=None): self.val=val; self.next=next
""",
    ),
    (
        "setup dc",
        """\
def f(p): return Point(p.y,p.x)
""",
        """\
assert f(Point(1,2))==Point(2,1)
""",
        """\
from dataclasses import dataclass
@dataclass
class Point:
    x:int
    y:int
""",
    ),
    (
        "deco",
        """\
import functools
def f(g):
    @functools.wraps(g)
    def h(*a): return g(*a)+1
    return h
""",
        """\
def k(x): return x
assert f(k)(2)==3
""",
        "",
    ),
    (
        "intenum",
        """\
import enum
class E(enum.IntEnum):
    A=1
def f(): return E.A
""",
        """\
assert f()==1
""",
        "",
    ),
    (
        "strsub",
        """\
class T(str): pass
def f(): return T('a')
""",
        """\
assert f()=='a'
""",
        "",
    ),
    (
        "listsub",
        """\
class L(list): pass
def f(): return L([1])
""",
        """\
assert f()==[1]
assert len(f())==1
""",
        "",
    ),
    (
        "class",
        """\
class f:
    def __init__(s): s.x=1
    def get(s): return s.x
    def __eq__(s,o): return s.x==o.x
""",
        """\
o=f()
assert o.get()==1
assert f()==f()
""",
        "",
    ),
]


@pytest.mark.parametrize(("name", "program", "test", "setup"), HONEST)
def test_an_honest_program_passes_as_its_own_reference(name, program, test, setup):
    task = Task.from_assertions("Write f.", "f", test, setup, canonical_solution=program)
    verdict = codegym.judge(program, task)
    assert verdict.passed, [(case.error_type, case.error_message) for case in verdict.cases]


@pytest.mark.parametrize(
    "program",
    [
        "class L(list):\n    def __eq__(self, other): return True\n"
        "    def __len__(self): return 1\ndef f(x): return L([2, 3])\n",
        "class L:\n    def __eq__(self, other): return True\n"
        "    def __len__(self): return 1\n    def __getitem__(self, at): return 1\n"
        "def f(x): return L()\n",
        "class T(str): pass\ndef f(x): return T('[1]')\n",
    ],
)
def test_an_object_that_lies_is_not_the_answer(program):
    for reference in ("def f(x): return [1]", "class C: pass\ndef f(x): return [1]"):
        task = Task.from_assertions(
            "Write f.", "f", "assert f(1) == [1]", canonical_solution=reference
        )
        assert codegym.judge(reference, task).passed
        assert not codegym.judge(program, task).passed


def test_a_stranger_is_no_container_where_the_reference_has_no_class():
    program = "class L:\n    def __len__(self): return 1\ndef f(x): return L()\n"
    task = Task.from_assertions(
        "Write f.", "f", "assert len(f(1)) == 1", canonical_solution="def f(x): return [1]"
    )
    assert not codegym.judge(program, task).passed


def test_an_argument_that_is_claimed_but_was_not_returned_stays_what_it_is():
    program = "def f(x):\n    x.append(9)\n    return x\n"
    task = Task.from_assertions("Write f.", "f", "a = [1]\nassert f(a) == [1]\nassert a == [1]")
    assert not codegym.judge(program, task).passed
