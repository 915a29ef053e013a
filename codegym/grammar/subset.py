"""The grammar of the Python that masks let a policy write, as productions of a LALR(1) parser.

It is a subset: whatever it derives, CPython parses. Left out are decorators, async, match, global
and nonlocal, walrus, prefixed strings (f, r, b), leading zeros of numbers, star imports, and
tuples as statements of their own. ``return`` and ``yield`` stand only in functions,
``break`` and ``continue`` only in loops: statements exist once for each such context.
"""

KEYWORDS = (
    "False None True and as assert break class continue def del elif else except finally for from "
    "if import in is lambda not or pass raise return try while with yield"
).split()
# Words that are no names and that no production uses.
FORBIDDEN_WORDS = "async await global nonlocal __debug__ __future__".split()

OPERATORS = {
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
    ":": "COLON",
    ",": "COMMA",
    ";": "SEMI",
    ".": "DOT",
    "=": "ASSIGN",
    "->": "ARROW",
    "|": "PIPE",
    "^": "CARET",
    "&": "AMPER",
    "<<": "LSHIFT",
    ">>": "RSHIFT",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "//": "DSLASH",
    "%": "PERCENT",
    "@": "AT",
    "~": "TILDE",
    "**": "DSTAR",
    "<": "LESS",
    ">": "MORE",
    "==": "EQUAL",
    "<=": "ATMOST",
    ">=": "ATLEAST",
    "!=": "UNEQUAL",
    "+=": "AUG",
    "-=": "AUG",
    "*=": "AUG",
    "/=": "AUG",
    "//=": "AUG",
    "%=": "AUG",
    "@=": "AUG",
    "&=": "AUG",
    "|=": "AUG",
    "^=": "AUG",
    "<<=": "AUG",
    ">>=": "AUG",
    "**=": "AUG",
}
# CPython's operators that no production uses; they are read whole all the same.
FOREIGN_OPERATORS = (":=", "...", "<>")
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}

_EXPRESSIONS = """
exprs: expr_list | expr_list COMMA
expr_list: expr | expr_list COMMA expr
expr: disjunction | disjunction IF disjunction ELSE expr | LAMBDA COLON expr
    | LAMBDA lparams COLON expr
disjunction: conjunction | disjunction OR conjunction
conjunction: inversion | conjunction AND inversion
inversion: comparison | NOT inversion
comparison: bitor | comparison comparator bitor
comparator: LESS | MORE | EQUAL | ATMOST | ATLEAST | UNEQUAL | IN | NOT IN | IS | IS NOT
bitor: bitxor | bitor PIPE bitxor
bitxor: bitand | bitxor CARET bitand
bitand: shift | bitand AMPER shift
shift: arith | shift LSHIFT arith | shift RSHIFT arith
arith: term | arith PLUS term | arith MINUS term
term: factor | term STAR factor | term SLASH factor | term DSLASH factor | term PERCENT factor
    | term AT factor
factor: power | PLUS factor | MINUS factor | TILDE factor
power: primary | primary DSTAR factor
primary: atom | primary DOT NAME | primary LPAR RPAR | primary LPAR args RPAR
    | primary LSQB slices RSQB
atom: NAME | NUMBER | strings | TRUE | FALSE | NONE
    | LPAR RPAR | LPAR expr_list RPAR | LPAR expr_list COMMA RPAR | LPAR expr comp RPAR
    | LSQB RSQB | LSQB elements RSQB | LSQB elements COMMA RSQB | LSQB expr comp RSQB
    | LBRACE RBRACE | LBRACE pairs RBRACE | LBRACE pairs COMMA RBRACE
    | LBRACE expr COLON expr comp RBRACE
    | LBRACE elements RBRACE | LBRACE elements COMMA RBRACE | LBRACE expr comp RBRACE
strings: STRING | strings STRING
elements: element | elements COMMA element
element: expr | STAR bitor
pairs: pair | pairs COMMA pair
pair: expr COLON expr | DSTAR bitor
comp: comp_for | comp comp_for
comp_for: FOR bindings IN disjunction | comp_for IF disjunction
bindings: binding_list | binding_list COMMA
binding_list: binding | binding_list COMMA binding
binding: NAME | LPAR bindings RPAR
slices: slice_list | slice_list COMMA
slice_list: slice | slice_list COMMA slice
slice: expr | bound COLON bound | bound COLON bound COLON bound
bound: | expr
args: listed | expr comp
listed: positional | positional COMMA | keywords | keywords COMMA
    | positional COMMA keywords | positional COMMA keywords COMMA
positional: argument | positional COMMA argument
argument: expr | STAR expr
keywords: keyword | keywords COMMA keyword
keyword: NAME ASSIGN expr | DSTAR expr
lparams: lplain | lplain COMMA | lplain COMMA ldefaults | ldefaults
    | lplain COMMA ldefaults COMMA | ldefaults COMMA
lplain: NAME | lplain COMMA NAME
ldefaults: NAME ASSIGN expr | ldefaults COMMA NAME ASSIGN expr
params: plain | plain COMMA | plain COMMA defaults | defaults | plain COMMA defaults COMMA
    | defaults COMMA
    | stars | plain COMMA stars | defaults COMMA stars | plain COMMA defaults COMMA stars
plain: param | plain COMMA param
defaults: param ASSIGN expr | defaults COMMA param ASSIGN expr
stars: STAR param | DSTAR param | STAR param COMMA DSTAR param
param: NAME | NAME COLON expr
"""

# The four kinds of target read alike, but each is followed by other terminals: as one symbol they
# would share parser states and clash with expressions.
_SIMPLE = """
small: expr | assignment | PASS | DEL deletions
    | ASSERT expr | ASSERT expr COMMA expr | RAISE | RAISE expr | RAISE expr FROM expr
    | IMPORT modules | FROM dotted IMPORT imports
assignment: first ASSIGN value | unpacking ASSIGN exprs | first AUG exprs
    | NAME COLON expr | NAME COLON expr ASSIGN exprs
value: exprs | linked ASSIGN value
unpacking: first COMMA | several | several COMMA | several COMMA STAR later | first COMMA STAR later
several: first COMMA later | several COMMA later
first: NAME | primary DOT NAME | primary LSQB slices RSQB
later: NAME | primary DOT NAME | primary LSQB slices RSQB
linked: NAME | primary DOT NAME | primary LSQB slices RSQB
deletions: deleted | deletions COMMA deleted
deleted: NAME | primary DOT NAME | primary LSQB slices RSQB
modules: module | modules COMMA module
module: dotted | dotted AS NAME
dotted: NAME | dotted DOT NAME
imports: imported | imports COMMA imported
imported: NAME | NAME AS NAME
definition: DEF NAME LPAR RPAR COLON suite_f | DEF NAME LPAR params RPAR COLON suite_f
    | DEF NAME LPAR RPAR ARROW expr COLON suite_f
    | DEF NAME LPAR params RPAR ARROW expr COLON suite_f
    | CLASS NAME COLON suite_m | CLASS NAME LPAR RPAR COLON suite_m
    | CLASS NAME LPAR listed RPAR COLON suite_m
with_items: with_item | with_items COMMA with_item
with_item: expr | expr AS NAME
"""

_STATEMENTS = """
statements_{c}: statement_{c} | statements_{c} statement_{c}
statement_{c}: line_{c} | definition
    | IF expr COLON suite_{c} orelse_{c}
    | WHILE expr COLON suite_{loop} else_{c}
    | FOR bindings IN exprs COLON suite_{loop} else_{c}
    | WITH with_items COLON suite_{c}
    | TRY COLON suite_{c} handlers_{c} else_{c} finally_{c}
    | TRY COLON suite_{c} FINALLY COLON suite_{c}
orelse_{c}: else_{c} | ELIF expr COLON suite_{c} orelse_{c}
else_{c}: | ELSE COLON suite_{c}
finally_{c}: | FINALLY COLON suite_{c}
handlers_{c}: typed_{c} | bare_{c} | typed_{c} bare_{c}
typed_{c}: handler_{c} | typed_{c} handler_{c}
handler_{c}: EXCEPT expr COLON suite_{c} | EXCEPT expr AS NAME COLON suite_{c}
bare_{c}: EXCEPT COLON suite_{c}
suite_{c}: line_{c} | NEWLINE INDENT statements_{c} DEDENT
line_{c}: smalls_{c} NEWLINE | smalls_{c} SEMI NEWLINE
smalls_{c}: small_{c} | smalls_{c} SEMI small_{c}
small_{c}: small{own}
"""

_IN_FUNCTION = " | RETURN | RETURN exprs | YIELD | YIELD exprs | YIELD FROM expr"
_IN_LOOP = " | BREAK | CONTINUE"
# Context: the context of a loop's body in it, and the statements it alone allows.
_CONTEXTS = {
    "m": ("g", ""),
    "f": ("l", _IN_FUNCTION),
    "g": ("g", _IN_LOOP),
    "l": ("l", _IN_FUNCTION + _IN_LOOP),
}


def grammar_text() -> str:
    """Return the grammar in lark's notation; every terminal is declared, none has a pattern."""
    statements = "".join(
        _STATEMENTS.format(c=context, loop=loop, own=own)
        for context, (loop, own) in _CONTEXTS.items()
    )
    rules = f"file: | statements_m\n{_EXPRESSIONS}{_SIMPLE}{statements}"
    return f"{rules}\n%declare {' '.join(terminals())}\n"


def terminals() -> list[str]:
    """Return the names of all terminals."""
    layout = ["NAME", "NUMBER", "STRING", "NEWLINE", "INDENT", "DEDENT"]
    return sorted({*layout, *OPERATORS.values(), *(word.upper() for word in KEYWORDS)})
