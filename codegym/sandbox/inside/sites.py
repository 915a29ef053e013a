"""Sites: what the graders of data sets do around a program, by name.

A grader's imports go before every program, reference and sample alike. Only those whose names a
program uses are carried out, since importing a dozen modules takes longer than most programs.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple

_FUNCTION = "__whole_program__"


class Site(NamedTuple):
    """What a data set's own grader does around a program.

    Attributes:
        imports: Names that a program may use without importing them: name -> (module, attribute),
            with the attribute "" for a module.
        digits: Longest decimal text of an integer, 0 for any length; None for the interpreter's
            own limit of 4,300 digits.
        wrapped: Whether the grader runs the program as the body of a function, so that a
            ``return`` outside functions ends it.
        recursion: Recursion limit; 0 for the interpreter's own.
        load_is_syntax: Whether an exception while the program is loaded counts as a syntax error
            (call form).
        exit_ends: Whether ``sys.exit`` with any status ends a program without an error (stdio
            form).
    """

    imports: Mapping[str, tuple[str, str]] = MappingProxyType({})
    digits: int | None = None
    wrapped: bool = False
    recursion: int = 0
    load_is_syntax: bool = False
    exit_ends: bool = False


def _names(table: dict[str, str], modules: str) -> dict[str, tuple[str, str]]:
    found = {name: (home, name) for home, names in table.items() for name in names.split()}
    return found | {name: (name, "") for name in modules.split()}


# Source: APPS, ``eval/testing_util.py``; numpy only where the sandbox offers it.
_APPS = _names(
    {
        "itertools": "accumulate product permutations combinations",
        "collections": "Counter OrderedDict deque defaultdict ChainMap",
        "functools": "lru_cache",
        "math": "sqrt sin cos tan ceil fabs floor gcd exp log log2",
        "typing": "List Tuple",
        "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    },
    "sys time itertools collections math fractions random heapq",
) | {"np": ("numpy", "")}
# Names that APPS's solutions of LeetCode problems use, which that site imports.
_LEETCODE = _names(
    {
        "bisect": "bisect bisect_left bisect_right insort",
        "copy": "deepcopy",
        "functools": "cache cmp_to_key reduce",
        "itertools": "chain count cycle groupby islice zip_longest",
        "math": "comb factorial hypot inf isqrt lcm log10 pi",
        "string": "ascii_letters ascii_lowercase ascii_uppercase digits",
        "typing": "Any Callable Deque DefaultDict Dict Iterable Iterator Optional Set Union",
    },
    "copy datetime functools operator re string typing",
)
# Source: LiveCodeBench, ``lcb_runner/evaluation/testing_util.py``: its star imports, in order, and
# then its modules.
_LIVECODEBENCH = _names(
    {
        "bisect": ("bisect_left bisect_right insort insort_left insort_right "),
        "collections": ("UserDict UserList UserString defaultdict deque namedtuple "),
        "copy": ("Error deepcopy "),
        "datetime": ("MAXYEAR MINYEAR UTC date time timedelta timezone tzinfo "),
        "functools": (
            "WRAPPER_ASSIGNMENTS WRAPPER_UPDATES cache cached_property cmp_to_key lru_cache "
            "partial partialmethod reduce singledispatch singledispatchmethod total_ordering "
            "update_wrapper wraps "
        ),
        "heapq": ("heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest "),
        "io": (
            "BufferedIOBase BufferedRWPair BufferedRandom BufferedReader BufferedWriter BytesIO "
            "DEFAULT_BUFFER_SIZE FileIO IOBase IncrementalNewlineDecoder RawIOBase SEEK_CUR "
            "SEEK_END SEEK_SET StringIO TextIOBase TextIOWrapper UnsupportedOperation open_code "
            "text_encoding "
        ),
        "itertools": (
            "accumulate chain combinations combinations_with_replacement compress count cycle "
            "dropwhile filterfalse groupby islice pairwise permutations product repeat starmap "
            "takewhile tee zip_longest "
        ),
        "json": ("JSONDecodeError JSONDecoder JSONEncoder dump dumps load loads "),
        "math": (
            "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist "
            "e erf erfc exp exp2 expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf "
            "isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan "
            "nextafter perm pi prod radians remainder sin sinh sqrt tan tanh tau trunc ulp "
        ),
        "operator": (
            "add and_ attrgetter call concat contains countOf delitem eq floordiv ge getitem gt "
            "iadd iand iconcat ifloordiv ilshift imatmul imod imul index indexOf inv invert ior "
            "ipow irshift is_ is_not isub itemgetter itruediv ixor le length_hint lshift lt "
            "matmul methodcaller mod mul ne neg not_ or_ pos rshift setitem sub truediv truth xor "
        ),
        "random": (
            "Random SystemRandom betavariate choice choices expovariate gammavariate gauss "
            "getrandbits getstate lognormvariate normalvariate paretovariate randbytes randint "
            "randrange sample seed setstate shuffle triangular uniform vonmisesvariate "
            "weibullvariate "
        ),
        "re": (
            "A ASCII DOTALL I IGNORECASE L LOCALE M MULTILINE NOFLAG RegexFlag S U UNICODE "
            "VERBOSE X error escape findall finditer fullmatch match purge search split subn "
            "template "
        ),
        "statistics": (
            "NormalDist StatisticsError correlation covariance fmean geometric_mean harmonic_mean "
            "linear_regression mean median median_grouped median_high median_low mode multimode "
            "pstdev pvariance quantiles stdev variance "
        ),
        "string": (
            "Formatter Template ascii_letters ascii_lowercase ascii_uppercase capwords digits "
            "hexdigits octdigits printable punctuation whitespace "
        ),
        "sys": (
            "argv exc_info getrecursionlimit getsizeof intern maxsize modules path platform "
            "setrecursionlimit stderr stdin stdout version version_info "
        ),
        "typing": (
            "AbstractSet Annotated Any AnyStr AsyncContextManager AsyncGenerator AsyncIterable "
            "AsyncIterator Awaitable BinaryIO ByteString Callable ChainMap ClassVar Collection "
            "Concatenate Container ContextManager Coroutine Counter DefaultDict Deque Dict Final "
            "ForwardRef FrozenSet Generator Generic Hashable IO ItemsView Iterable Iterator "
            "KeysView List Literal LiteralString Mapping MappingView Match MutableMapping "
            "MutableSequence MutableSet NamedTuple Never NewType NoReturn NotRequired Optional "
            "OrderedDict ParamSpec ParamSpecArgs ParamSpecKwargs Pattern Protocol Required "
            "Reversible Self Sequence Set Sized SupportsAbs SupportsBytes SupportsComplex "
            "SupportsFloat SupportsIndex SupportsInt SupportsRound TYPE_CHECKING Text TextIO "
            "Tuple Type TypeAlias TypeGuard TypeVar TypeVarTuple TypedDict Union Unpack "
            "ValuesView assert_never assert_type cast clear_overloads dataclass_transform final "
            "get_args get_origin get_overloads get_type_hints is_typeddict no_type_check "
            "no_type_check_decorator overload reveal_type runtime_checkable "
        ),
    },
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json",
)
SITES: dict[str, Site] = {
    "": Site(),
    "python3": Site(digits=0),
    "apps": Site(imports=_LEETCODE | _APPS, digits=0, wrapped=True, exit_ends=True),
    "apps_rltf": Site(imports=_APPS, digits=0, wrapped=True, load_is_syntax=True),
    "livecodebench": Site(
        imports=_LIVECODEBENCH, digits=50_000, wrapped=True, recursion=50_000, exit_ends=True
    ),
}


def prepare(site: Site, code: CodeType, space: dict[str, Any]) -> None:
    """Give a program's namespace the imports of its site that the program uses."""
    if site.digits is not None:
        sys.set_int_max_str_digits(site.digits)
    if site.recursion:
        sys.setrecursionlimit(site.recursion)
    if not site.imports:
        return
    for name in _used(code) & site.imports.keys():
        home, attribute = site.imports[name]
        try:
            module = importlib.import_module(home)
            space[name] = getattr(module, attribute) if attribute else module
        except (ImportError, AttributeError):
            continue  # numpy is only offered on request; a name may come with a later Python


def _used(code: CodeType) -> set[str]:
    return {name for part in _parts(code) for name in part.co_names}


def _parts(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def compile_wrapped(text: str, filename: str) -> CodeType:
    """Compile a program as the body of a function that it calls; its imports stay outside.

    Raises:
        SyntaxError: It does not compile in this form either.
    """
    import ast  # loaded for few programs: modules in the zygote slow down its forks

    tree = ast.parse(text, filename)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    whole = ast.parse(f"def {_FUNCTION}():\n    pass\n{_FUNCTION}()\n", filename)
    function = whole.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = rest or function.body
    whole.body[:0] = imports
    return compile(whole, filename, "exec", dont_inherit=True)
