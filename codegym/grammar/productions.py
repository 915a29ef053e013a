"""Productions: the grammar of Python 3.11 for a LALR(1) parser.

CPython parses every text that the grammar derives. CPython resolves two ambiguities by
backtracking, which this grammar resolves by the shape of its rules. First, expressions are sorted
by whether they can be assigned to, so that at an ``=`` the parser knows the sort of the expression
before it: ``s`` is a single target (a name, an attribute, a subscript), ``d`` a target that may
also be deleted as part of a list, ``g`` a target with a starred target inside, and ``..._n`` not a
target. Second, words and brackets with two readings (``match``, ``with (``) are read both ways at
once; see ``codegym.grammar.parser``.

The grammar also holds those rules of CPython's compiler that a rule's shape can express: no second
star in a target, no bare starred expression, and a ``case`` that always matches comes last, as does
a bare ``except``. Rules about where a word may occur (``return``, ``await``) are in ``parser``.
"""

from collections.abc import Iterable
from itertools import product

from codegym.grammar.word_tokens import KEYWORDS, LAYOUT, OPERATORS

# Binary operators from loosest to tightest: level, level of the right operand, signs.
_BINARY = (
    ("disjunction", "conjunction", ("OR",)),
    ("conjunction", "inversion", ("AND",)),
    ("bitor", "bitxor", ("PIPE",)),
    ("bitxor", "bitand", ("CARET",)),
    ("bitand", "shift", ("AMPER",)),
    ("shift", "arith", ("LSHIFT", "RSHIFT")),
    ("arith", "term", ("PLUS", "MINUS")),
    ("term", "factor", ("STAR", "SLASH", "DSLASH", "PERCENT", "AT")),
)
_LEVELS = (*(level for level, _, _ in _BINARY), "inversion", "comparison", "factor")

# Sort of a sequence after a further element. Elements: d, g, a starred target (st), another
# expression (n), another starred expression (ns), an assignment expression (w). Sequences of two
# or more: of deletable targets (D), of targets without a star (G) and with a star (H), of other
# elements (N), with assignment expressions among them (W).
_SORTS = {"d": "D", "g": "G", "st": "H", "n": "N", "ns": "N", "w": "W"}
_JOIN = {("D", "D"): "D", ("H", "D"): "H", ("D", "H"): "H", ("H", "G"): "H", ("G", "H"): "H"}
_JOIN |= {("D", "G"): "G", ("G", "D"): "G", ("G", "G"): "G"}

_EXPRESSIONS = """
name: NAME | UNDERSCORE
s: NAME | UNDERSCORE | primary DOT name | primary LSQB slices RSQB | LPAR s RPAR
d: s | l
t: d | g
st: STAR t
ns: STAR bitor_n
n: disjunction_n | disjunction IF disjunction ELSE expr | lambda_head expr
w: name WALRUS expr
expr: t | n
named: t | n | w
starred: st | ns
lambda_head: LAMBDA COLON | LAMBDA lparams COLON
inversion_n: comparison_n | NOT inversion
comparison_n: bitor_n | comparison comparator bitor
comparator: LESS | MORE | EQUAL | ATMOST | ATLEAST | UNEQUAL | IN | NOT IN | IS | IS NOT
factor_n: power_n | PLUS factor | MINUS factor | TILDE factor
power_n: awaited_n | awaited DSTAR factor
awaited: t | awaited_n
awaited_n: primary_n | AWAIT primary
primary: t | primary_n
primary_n: atom | primary LPAR RPAR | primary LPAR args RPAR | primary LPAR named comp RPAR
atom: NUMBER | IMAGINARY | strings | bytes | TRUE | FALSE | NONE | ELLIPSIS | DEBUG
    | LPAR n RPAR | LPAR w RPAR | LPAR yielding RPAR | LPAR named comp RPAR
    | LSQB named comp RSQB
    | LBRACE RBRACE | LBRACE pairs RBRACE | LBRACE pairs COMMA RBRACE
    | LBRACE expr COLON expr comp RBRACE
    | LBRACE listed RBRACE | LBRACE listed COMMA RBRACE | LBRACE named comp RBRACE | display
strings: string | strings string
string: STRING | FSTART fields FEND | FLONG fields FLONGEND
bytes: BYTES | bytes BYTES
fields: | fields field
field: FOPEN inner FCLOSE | FOPEN inner FCOLON fields FCLOSE
inner: content | content FEQUAL | content FCONVERSION | content FEQUAL FCONVERSION
content: bare | yielding | expr comp
listed: element | listed COMMA element
element: named | starred
pairs: pair | pairs COMMA pair
pair: expr COLON expr | DSTAR bitor
comp: comp_for | comp comp_for
comp_for: FOR bindings IN disjunction | ASYNC FOR bindings IN disjunction | comp_for IF disjunction
slices: slice | starred | slice COMMA | starred COMMA | slice_list | slice_list COMMA
slice_list: slice COMMA sliced | starred COMMA sliced | slice_list COMMA sliced
sliced: slice | starred
slice: named | bound COLON bound | bound COLON bound COLON bound
bound: | expr
args: plain_args | plain_args COMMA | named_args | named_args COMMA
    | double_args | double_args COMMA
plain_args: argument | plain_args COMMA argument
argument: named | STAR expr
named_args: keyword | plain_args COMMA keyword | named_args COMMA keyword
    | named_args COMMA STAR expr
double_args: DSTAR expr | plain_args COMMA DSTAR expr | named_args COMMA DSTAR expr
    | double_args COMMA DSTAR expr | double_args COMMA keyword
keyword: name ASSIGN expr
yielding: YIELD | YIELD bare | YIELD FROM expr
"""

_STATEMENTS = """
file: | statements
statements: statement | statements statement
statement: line | definition | decorators definition
    | IF named COLON suite elifs otherwise | loop otherwise
    | WITH with_items COLON suite | ASYNC WITH with_items COLON suite
    | attempt handlers otherwise finally | attempt group_handlers otherwise finally
    | attempt FINALLY COLON suite
    | MATCH subject COLON NEWLINE INDENT cases DEDENT
suite: line | NEWLINE INDENT statements DEDENT
line: smalls NEWLINE | smalls SEMI NEWLINE
smalls: small | smalls SEMI small
small: right | assigned right | s AUG right | s COLON expr
    | s COLON expr ASSIGN right
    | PASS | BREAK | CONTINUE | RETURN | RETURN bare | DEL deleted
    | ASSERT expr | ASSERT expr COMMA expr | RAISE | RAISE expr | RAISE expr FROM expr
    | GLOBAL names | NONLOCAL names
    | IMPORT modules | FROM origin IMPORT imports | FROM origin IMPORT STAR
    | FROM origin IMPORT LPAR imports RPAR | FROM origin IMPORT LPAR imports COMMA RPAR
deleted: d | d COMMA | many_d | many_d COMMA
assigned: targets ASSIGN | assigned targets ASSIGN
right: bare | yielding
names: name | names COMMA name
modules: module | modules COMMA module
module: dotted | dotted AS name
dotted: name | dotted DOT name
origin: dotted | dots | dots dotted
dots: DOT | ELLIPSIS | dots DOT | dots ELLIPSIS
imports: imported | imports COMMA imported
imported: name | name AS name
decorators: decorator | decorators decorator
decorator: AT named NEWLINE
definition: def_head suite | async_head suite | class_head suite
def_head: DEF signature
async_head: ASYNC DEF signature
signature: name LPAR RPAR returns COLON | name LPAR params RPAR returns COLON
returns: | ARROW expr
class_head: CLASS name COLON | CLASS name LPAR RPAR COLON | CLASS name LPAR args RPAR COLON
elifs: | elifs ELIF named COLON suite
otherwise: | ELSE COLON suite
loop: loop_head suite
loop_head: WHILE named COLON | FOR bindings IN bare COLON | ASYNC FOR bindings IN bare COLON
with_items: items | ITEMS LPAR items RPAR | ITEMS LPAR items COMMA RPAR
items: item | items COMMA item
item: expr | expr AS t
attempt: TRY COLON suite
finally: | FINALLY COLON suite
handlers: typed | anything | typed anything
typed: handler | typed handler
handler: EXCEPT expr COLON suite | EXCEPT expr AS name COLON suite
anything: EXCEPT COLON suite
group_handlers: group_handler | group_handlers group_handler
group_handler: group_head suite
group_head: EXCEPT STAR expr COLON | EXCEPT STAR expr AS name COLON
"""

# Patterns that always match (any) are separate from those that may fail.
_PATTERNS = """
subject: named | element COMMA | subjects | subjects COMMA
subjects: element COMMA element | subjects COMMA element
cases: sure | unsure | unsure sure
unsure: unsure_case | unsure unsure_case
unsure_case: CASE pattern COLON suite | CASE pattern guard COLON suite
    | CASE any_pattern guard COLON suite
sure: CASE any_pattern COLON suite
guard: IF named
pattern: alternatives | alternatives AS NAME | open_sequence
any_pattern: any_alternatives | any_alternatives AS NAME
inner_pattern: alternatives | alternatives AS NAME
alternatives: closed | alternatives PIPE closed
any_alternatives: any_closed | alternatives PIPE any_closed
any_closed: NAME | UNDERSCORE | LPAR any_pattern RPAR
closed: constant | attribute | LPAR inner_pattern RPAR | LPAR RPAR | LPAR open_sequence RPAR
    | LSQB RSQB | LSQB sub RSQB | LSQB STAR name RSQB | LSQB open_sequence RSQB
    | LBRACE RBRACE | LBRACE entries RBRACE | LBRACE entries COMMA RBRACE
    | LBRACE DSTAR NAME RBRACE | LBRACE DSTAR NAME COMMA RBRACE
    | LBRACE entries COMMA DSTAR NAME RBRACE | LBRACE entries COMMA DSTAR NAME COMMA RBRACE
    | class_name LPAR RPAR | class_name LPAR subs RPAR | class_name LPAR subs COMMA RPAR
    | class_name LPAR subs COMMA fields_of RPAR | class_name LPAR subs COMMA fields_of COMMA RPAR
    | class_name LPAR fields_of RPAR | class_name LPAR fields_of COMMA RPAR
class_name: NAME | attribute
attribute: class_name DOT name
sub: inner_pattern | any_pattern
subs: sub | subs COMMA sub
fields_of: field_of | fields_of COMMA field_of
field_of: name ASSIGN sub
entries: entry | entries COMMA entry
entry: constant COLON sub | attribute COLON sub
open_sequence: sub COMMA | STAR name COMMA | plain_subs | plain_subs COMMA
    | star_subs | star_subs COMMA
plain_subs: sub COMMA sub | plain_subs COMMA sub
star_subs: sub COMMA STAR name | plain_subs COMMA STAR name | STAR name COMMA sub
    | star_subs COMMA sub
constant: number | TRUE | FALSE | NONE | plain_strings | bytes
plain_strings: STRING | plain_strings STRING
number: signed | IMAGINARY | MINUS IMAGINARY | signed PLUS IMAGINARY | signed MINUS IMAGINARY
signed: NUMBER | MINUS NUMBER
"""


def grammar_text() -> str:
    """Return the grammar in lark's notation; terminals are declared and have no pattern."""
    rules = [_EXPRESSIONS, _STATEMENTS, _PATTERNS, *_levels(), *_sequences()]
    rules += [_parameters("params", "param", "star_param"), _parameters("lparams", "name", "name")]
    rules += ["param: name | name COLON expr", "star_param: param | name COLON starred"]
    declared = f"%declare {' '.join(terminals())}"
    return "\n".join([*rules, declared, ""])


def terminals() -> list[str]:
    """Return the names of all terminals."""
    return sorted({*LAYOUT, *OPERATORS.values(), *(word.upper() for word in KEYWORDS)})


def _levels() -> Iterable[str]:
    for level, tighter, signs in _BINARY:
        yield f"{level}_n: {tighter}_n" + "".join(f" | {level} {sign} {tighter}" for sign in signs)
    for level in _LEVELS:
        yield f"{level}: t | {level}_n"


def _sequences() -> Iterable[str]:
    """Return the rules of sequences, displays, targets and expressions without brackets."""
    rules = {f"many_{sort.lower()}": _longer("many", sort) for sort in "DGHNW"}
    # Targets before `in` have their own symbols: shared symbols would share parser states with
    # comparisons.
    rules |= {f"bound_{sort.lower()}": _longer("bound", sort) for sort in "DGH"}
    single = {sort: [element for element, its in _SORTS.items() if its == sort] for sort in "DGHNW"}
    tuples = {sort: _tuples("many", sort) for sort in "DGHNW"}
    rules["l"] = ["LPAR RPAR", "LPAR l RPAR", "LSQB RSQB"]
    rules["g"] = ["LPAR g RPAR"]
    for sort, home in zip("DGHNW", ("l", "g", "g", "display", "display"), strict=True):
        more = rules.setdefault(home, [])
        more += [f"LPAR {body} RPAR" for body in tuples[sort]]
        more += [f"LSQB {body} RSQB" for body in (*tuples[sort], *single[sort])]
    rules["targets"] = ["t", *tuples["D"], *tuples["G"], *tuples["H"]]
    rules["bindings"] = ["t", *(body for sort in "DGH" for body in _tuples("bound", sort))]
    rules["bare"] = ["t", "n", *(body for sort in "DGHN" for body in tuples[sort])]
    yield from (f"{name}: {' | '.join(bodies)}" for name, bodies in rules.items())


def _longer(kind: str, sort: str) -> list[str]:
    """Return the ways to make a sequence of a sort: a shorter sequence plus an element."""
    shorter = [*_SORTS.items(), *((f"{kind}_{longer.lower()}", longer) for longer in "DGHNW")]
    return [
        f"{start} COMMA {element}"
        for (start, first), (element, second) in product(shorter, _SORTS.items())
        if sort == ("W" if "W" in (first, second) else _JOIN.get((first, second), "N"))
    ]


def _tuples(kind: str, sort: str) -> list[str]:
    """Return the ways to write a sequence of a sort that contains a comma."""
    many = f"{kind}_{sort.lower()}"
    return [
        many,
        f"{many} COMMA",
        *(f"{element} COMMA" for element, its in _SORTS.items() if its == sort),
    ]


def _parameters(whole: str, parameter: str, starred: str) -> str:
    """Return the rules of a parameter list, from left to right.

    States: plain (``p``), after a slash (``ps``), with defaults (``d``, ``ds``), after a star.
    """
    p, ps, d, ds, star, bare, double = (
        f"{whole}_{part}" for part in ("p", "ps", "d", "ds", "star", "bare", "double")
    )
    default = f"{parameter} ASSIGN expr"
    either = [parameter, default]
    leads = ["", *(f"{state} COMMA " for state in (p, ps, d, ds))]
    rules = {
        p: [parameter, f"{p} COMMA {parameter}"],
        ps: [f"{p} COMMA SLASH", f"{ps} COMMA {parameter}"],
        d: [default, f"{p} COMMA {default}", f"{d} COMMA {default}"],
        ds: [f"{d} COMMA SLASH", f"{ps} COMMA {default}", f"{ds} COMMA {default}"],
        bare: [f"{lead}STAR" for lead in leads],
        star: [
            *(f"{lead}STAR {starred}" for lead in leads),
            *(f"{state} COMMA {each}" for state in (bare, star) for each in either),
        ],
        double: [f"{lead}DSTAR {parameter}" for lead in (*leads, f"{star} COMMA ")],
    }
    rules[whole] = [
        body for state in (p, ps, d, ds, star, double) for body in (state, f"{state} COMMA")
    ]
    return "\n".join(f"{name}: {' | '.join(bodies)}" for name, bodies in rules.items())
