"""Program assembly: joins a function and everything it needs into a single program.

Helper functions, classes and constants of its module are carried along, and those of other modules
of the same package; imports of the standard library stay imports. If two carried definitions share
a name, one of them is renamed.
"""

import ast
import builtins
import copy
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field

from codegym.mining.module_tree import PYTHON, Module
from codegym.mining.purity import SYS_CONSTANTS, impurity, is_pure_module
from codegym.mining.symbols import BUILTINS, Definition, free_names, symbols_of

MOST_CARRIED, MOST_CHARS = 40, 12_000
_PREFACE_CHARS = 1200
_FUTURE = "from __future__ import annotations"


class DependencyError(Exception):
    """The function needs something that cannot be carried along; the message names it."""


class ImpureError(Exception):
    """The function or its dependencies are impure; the message says how."""


@dataclass(frozen=True, slots=True)
class AssembledProgram:
    """A whole program, cut where a policy starts to write.

    Attributes:
        head: Imports, carried definitions, and the function's signature and docstring.
        body: The rest, starting with a line break.
        carried: Names of the carried definitions.
    """

    head: str
    body: str
    carried: tuple[str, ...]

    @property
    def program(self) -> str:
        """The whole text."""
        return self.head + self.body


@dataclass(slots=True)
class _Reference:
    """Meaning of a global name: an import's text, a definition, or a module of the tree."""

    text: str = ""
    home: Module | None = None
    name: str = ""
    node: Definition | None = None


@dataclass(slots=True)
class ProgramAssembler:
    """Assembles programs from functions of a set of modules.

    Args:
        world: Dotted name -> module, for imports within the tree.
    """

    world: Mapping[str, Module]
    _bound: dict[str, str] = field(default_factory=dict)
    _texts: list[str] = field(default_factory=list)
    placed: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _emitted: set[int] = field(default_factory=set)
    _deferred: bool = False

    def assemble(
        self, module: Module, node: ast.FunctionDef, *, preface: bool = False
    ) -> AssembledProgram:
        """Return a function as a complete program.

        Args:
            module: Module of the function.
            node: The function.
            preface: Whether the program starts with the module's docstring, for a function whose
                docstring alone says too little.

        Raises:
            DependencyError: The function needs something that cannot be carried along.
            ImpureError: The text of the function or of its dependencies shows that it is impure.
        """
        self._bound, self._texts, self.placed, self._taken = {}, [], {}, {node.name}
        self._emitted = set()
        self._deferred = False
        self.placed[module.name, node.name] = node.name
        text, docstring_end = self._emit(module, node, is_entry=True)
        carried = tuple(
            f"{home}.{name}"
            for home, name in self.placed
            if (home, name) != (module.name, node.name)
        )
        lines = text.split("\n")
        blocks = [
            "\n".join([*([_FUTURE] if self._deferred else []), *sorted(set(self._bound.values()))])
        ]
        blocks += self._texts
        if preface:
            blocks[:0] = [_module_docstring(module)]
        before = _joined([block for block in blocks if block])
        head = (before + "\n\n\n" if before else "") + "\n".join(lines[:docstring_end])
        body = "\n" + "\n".join(lines[docstring_end:]).rstrip() + "\n"
        if len(head) + len(body) > MOST_CHARS:
            raise DependencyError("too long")
        return AssembledProgram(head, body, carried)

    def _emit(self, module: Module, node: Definition, *, is_entry: bool = False) -> tuple[str, int]:
        """Carry a definition's dependencies; return its text and the line its docstring ends."""
        reason = impurity(node)
        if reason:
            raise ImpureError(reason)
        code, noted = free_names(node)
        names = {name: self._place(module, name) for name in sorted(code)}
        for name in sorted(noted):
            try:
                names[name] = self._place_annotation_name(module, name)
            except (DependencyError, ImpureError):
                self._deferred = True
        rewriter = _Rewriter(self, module, names)
        changed = rewriter.visit(copy.deepcopy(node))
        if not rewriter.changed and all(names[name] == name for name in names):
            return _source(module, node, is_entry)
        return _unparsed(changed, is_entry)

    def _place_annotation_name(self, module: Module, name: str) -> str:
        reference = self.resolve(module, name)
        if reference.node is not None and not isinstance(reference.node, ast.Assign):
            raise DependencyError("a class only annotations name")
        return self._place(module, name)

    def _place(self, module: Module, name: str) -> str:
        """Make a global name available; return its name in the program."""
        reference = self.resolve(module, name)
        if reference.text:
            if self._bound.setdefault(name, reference.text) != reference.text or (
                name in self._taken
            ):
                raise DependencyError(f"two things are called {name}")
            return name
        if reference.home is None or reference.node is None:
            return name  # a built-in, or a module of the tree: see _Rewriter
        return self.place_definition(reference.home, reference.name, reference.node)

    def place_definition(self, home: Module, name: str, node: Definition) -> str:
        """Carry a definition along; return its name in the program."""
        key = (home.name, name)
        if key in self.placed:
            return self.placed[key]
        if len(self.placed) > MOST_CARRIED:
            raise DependencyError("needs too many helpers")
        called = name
        if name in self._taken or name in self._bound or name in vars(builtins):
            called = f"{home.name.rpartition('.')[2].strip('_')}_{name.strip('_')}"
        if (
            called in self._taken
            or called in self._bound
            or (called != name and isinstance(node, ast.Assign | ast.AnnAssign))
        ):
            raise DependencyError(f"two things are called {name}")
        self.placed[key] = called
        self._taken.add(called)
        if id(node) not in self._emitted:  # a statement may define several names
            self._emitted.add(id(node))
            self._texts.append(self._emit(home, node)[0])
        return called

    def resolve(self, module: Module, name: str, depth: int = 0) -> _Reference:
        """Find the meaning of a module's global name.

        Raises:
            DependencyError: The name means nothing that can be carried along.
        """
        symbols = symbols_of(module)
        if name in symbols.repeated:
            raise DependencyError(f"a name bound more than once or under a condition: {name}")
        if name in symbols.defined:
            return _Reference(home=module, name=name, node=symbols.defined[name])
        if name in symbols.imported:
            return self._follow(module, name, depth)
        for source in symbols.starred:
            home = self.world.get(source)
            if home is not None and depth < 5:
                try:
                    return self.resolve(home, name, depth + 1)
                except DependencyError:
                    continue
        if name in BUILTINS:
            return _Reference()
        raise DependencyError(f"an unknown name: {name}")

    def _follow(self, module: Module, name: str, depth: int) -> _Reference:
        imported = symbols_of(module).imported[name]
        full = f"{imported.module}.{imported.name}" if imported.name else imported.module
        if is_pure_module(imported.module) and (
            module.origin.name == PYTHON or imported.module not in self.world
        ):
            return _Reference(text=_import_text(imported.module, imported.name, name))
        if full in self.world:
            return _Reference(home=self.world[full])
        home = self.world.get(imported.module)
        if home is not None and imported.name and home is not module:
            if depth > 5:
                raise DependencyError("imports in a circle")
            return self.resolve(home, imported.name, depth + 1)
        if imported.module == "typing_extensions" and imported.name in vars(typing):
            return _Reference(text=_import_text("typing", imported.name, name))
        if imported.module == "sys" and imported.name in ("", *SYS_CONSTANTS):
            return _Reference(text=_import_text("sys", imported.name, name))
        root = imported.module.partition(".")[0]
        raise DependencyError(f"imports {root}")


class _Rewriter(ast.NodeTransformer):
    """Replaces the module's names by the program's names."""

    def __init__(self, assembler: ProgramAssembler, module: Module, names: dict[str, str]) -> None:
        self.changed = False
        self._assembler = assembler
        self._module = module
        self._names = names

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Rename a definition that shares its name with another."""
        called = self._assembler.placed.get((self._module.name, node.name))
        self.generic_visit(node)
        if called is not None and called != node.name and node.col_offset == 0:
            node.name, self.changed = called, True
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Rename a reference; a module of the tree cannot be carried as a value."""
        called = self._names.get(node.id, node.id)
        if node.id in self._names and self._module_of(node) is not None:
            raise DependencyError("uses a module of the package as a value")
        own = self._assembler.placed.get((self._module.name, node.id))
        if own is not None and node.id not in self._names and own != node.id:
            called = own  # a recursive call of a renamed function
        if called != node.id:
            self.changed = True
            return ast.copy_location(ast.Name(id=called, ctx=node.ctx), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Replace ``module.name`` by its definition, carried along."""
        home = self._module_of(node.value)
        if home is None:
            return self.generic_visit(node)
        reference = self._assembler.resolve(home, node.attr)
        self.changed = True
        if reference.text:
            raise DependencyError("reaches an import through another module")
        if reference.home is None or reference.node is None:
            raise DependencyError("reaches into a sub-module")
        called = self._assembler.place_definition(reference.home, reference.name, reference.node)
        return ast.copy_location(ast.Name(id=called, ctx=ast.Load()), node)

    def _module_of(self, node: ast.expr) -> Module | None:
        if not isinstance(node, ast.Name) or node.id not in self._names:
            return None
        reference = self._assembler.resolve(self._module, node.id)
        return reference.home if reference.node is None else None


def _module_docstring(module: Module) -> str:
    docstring = (ast.get_docstring(module.tree) or "")[:_PREFACE_CHARS].strip()
    if not docstring or '"""' in docstring:
        return ""
    return f'r"""{docstring}\n"""' if "\\" in docstring else f'"""{docstring}\n"""'


def _joined(blocks: list[str]) -> str:
    """Join definitions in the usual layout: constants line by line, others two lines apart."""
    text = ""
    for before, block in zip(["", *blocks], blocks, strict=False):
        plain = [
            not part.startswith(("def ", "class ", "@", '"', "import", "from", 'r"'))
            for part in (before, block)
        ]
        text += (("\n" if all(plain) else "\n\n\n") if text else "") + block
    return text


def _import_text(module: str, name: str, local: str) -> str:
    if not name:
        return f"import {module}" + (f" as {local}" if local != module.partition(".")[0] else "")
    return f"from {module} import {name}" + (f" as {local}" if local != name else "")


def _source(module: Module, node: Definition, is_entry: bool) -> tuple[str, int]:
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    text = "\n".join(module.lines[first - 1 : node.end_lineno])
    if not is_entry:
        return _shortened(text), 0
    end = _docstring_end(node) - first + 1
    second = node.body[1] if isinstance(node, ast.FunctionDef) and len(node.body) > 1 else None
    if second is not None and second.lineno == _docstring_end(node):
        raise DependencyError("the docstring shares a line with code")
    return text, end


def _unparsed(node: Definition, is_entry: bool) -> tuple[str, int]:
    text = ast.unparse(ast.fix_missing_locations(node))
    if not is_entry:
        return _shortened(text), 0
    again = ast.parse(text).body[0]
    assert isinstance(again, ast.FunctionDef)
    return text, _docstring_end(again)


def _shortened(text: str) -> str:
    """Cut the docstrings of carried functions to their first line, to keep prompts short."""
    lines = text.split("\n")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda function: -function.lineno):
        docstring = ast.get_docstring(node)
        first, end = node.body[0].lineno, node.body[0].end_lineno or 0
        if docstring is None or end == first or (len(node.body) > 1 and node.body[1].lineno == end):
            continue
        summary = docstring.split("\n")[0].replace("\\", "").replace('"', "'")
        indent = " " * node.body[0].col_offset
        lines[first - 1 : end] = [f'{indent}"""{summary}"""']
    return "\n".join(lines)


def _docstring_end(node: Definition) -> int:
    assert isinstance(node, ast.FunctionDef)
    return node.body[0].end_lineno or 0
