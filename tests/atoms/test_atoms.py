"""Atoms: complete, typed and documented, with two forms that agree."""

import ast
import copy
import doctest
import importlib
import importlib.util
import inspect
import re
from random import Random

import pytest

from codegym.atoms import TOPICS, Atom, by_topic, catalogue
from codegym.atoms.atom import NAMES, read_atoms
from codegym.atoms.inputs import BOUNDARIES, RANDOM, sample
from codegym.errors import ConfigError, UnknownNameError
from codegym.synthesis.pairs import fingerprints

ATOMS = list(catalogue().values())
each_atom = pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)


def test_one_hundred_atoms_in_ten_topics_of_ten():
    assert len(ATOMS) == 100
    assert [len(by_topic(topic)) for topic in TOPICS] == [10] * 10


def test_the_domains_hold_34_59_and_100_atoms():
    sizes = [sum(atom.level <= level for atom in ATOMS) for level in (1, 2, 3)]
    assert sizes == [34, 59, 100]
    small = {kind for atom in ATOMS if atom.level == 1 for kind in (*atom.arguments, atom.returns)}
    assert small == {"int", "list[int]"}


def test_every_type_is_taken_and_returned_by_some_atom():
    assert {kind for atom in ATOMS for kind in atom.arguments} == set(NAMES)
    assert {atom.returns for atom in ATOMS} == set(NAMES)
    assert set(NAMES) == set(BOUNDARIES) == set(RANDOM)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_example_in_the_docstrings_holds(topic):
    found = doctest.testmod(importlib.import_module(f"codegym.atoms.{topic}"))
    assert (found.failed, found.attempted >= 10) == (0, True)


def inlined(atom: Atom, values: dict[str, object]):
    """Compile an atom's one-line form, as a function of its arguments."""
    slots = {name: repr(value) for name, value in values.items()}
    expression = atom.expression.format(a="a", b="b", **slots)
    return eval(f"lambda a, b=None: {expression}")


@each_atom
def test_function_and_one_line_form_agree_and_change_nothing(atom):
    rng = Random(atom.name)
    for _ in range(12):
        values = atom.draw(rng)
        line = inlined(atom, values)
        for args in sample(atom.arguments, rng, n=10, atom=atom):
            before = copy.deepcopy(args)
            result = atom.function(*args, *values.values())
            assert repr(line(*args)) == repr(result), (values, args)
            assert args == before


@each_atom
def test_function_answers_every_boundary_value_with_its_type(atom):
    rng = Random(0)
    edges = [BOUNDARIES[kind] for kind in atom.arguments]
    rows = (
        [(a,) for a in edges[0]]
        if len(edges) == 1
        else [(a, b) for a in edges[0] for b in edges[1]]
    )
    kind = atom.returns.partition("[")[0]
    for args in rows:
        result = atom.function(*args, *atom.draw(rng).values())
        assert type(result).__name__ == kind, (args, result)


@each_atom
def test_atom_is_documented_and_worded(atom):
    document = inspect.getdoc(atom.function)
    assert document.split("\n")[0].endswith(".") and ">>>" in document
    slots = {f"{{{name}}}" for name in atom.parameters}
    if len(atom.arguments) == 2:
        slots |= {"{a}", "{b}"}
    for phrase in atom.phrases:
        assert set(re.findall(r"\{.*?\}", phrase)) == slots
        assert phrase[0].islower() and phrase[-1] != "." and len(phrase) <= 64
    assert len(set(atom.phrases)) == len(atom.phrases) >= 3


@each_atom
def test_the_one_line_form_is_short_and_uses_every_parameter(atom):
    assert "\n" not in atom.expression and len(atom.expression) <= 72
    assert "{a}" in atom.expression
    for name in atom.parameters:
        assert f"{{{name}}}" in atom.expression


def test_all_atoms_differ_in_code_and_in_behaviour():
    trees = [(atom.arguments, ast.dump(ast.parse(atom.source).body[0].body[-1])) for atom in ATOMS]
    assert len(set(trees)) == 100
    behaviours: dict[tuple, str] = {}
    for atom in ATOMS:
        for fingerprint in set(fingerprints(atom)):
            assert behaviours.setdefault(fingerprint, atom.name) == atom.name


def test_the_vocabulary_of_all_prompts_is_modest():
    def words(level: int) -> set[str]:
        texts = [phrase for atom in ATOMS if atom.level <= level for phrase in atom.phrases]
        return set(re.findall(r"[a-z]+", re.sub(r"\{.\}", "", " ".join(texts))))

    assert len(words(1)) < 90 and len(words(3)) < 250


def test_no_phrase_says_two_things_of_arguments_of_the_same_types():
    said: dict[tuple, str] = {}
    for atom in ATOMS:
        for phrase in atom.phrases:
            assert said.setdefault((phrase, atom.arguments), atom.name) == atom.name


def test_samples_are_seeded_different_and_hold_boundaries():
    first = sample(("list[int]",), Random(3), n=60)
    assert first == sample(("list[int]",), Random(3), n=60)
    assert len({repr(row) for row in first}) == 60
    assert any(row[0] in BOUNDARIES["list[int]"] for row in first)
    assert len(sample(("bool",), Random(0), n=8)) == 2


def test_unknown_topic_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'strings'"):
        by_topic("string")


def write_module(tmp_path, body: str):
    path = tmp_path / "lesson.py"
    path.write_text(f"from codegym.atoms.atom import atom\n\n\n{body}")
    spec = importlib.util.spec_from_file_location("lesson", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_atom_of_a_strange_type_is_refused(tmp_path):
    module = write_module(
        tmp_path, '@atom("x")\ndef f(x: set) -> int:\n    """F."""\n    return 1\n'
    )
    with pytest.raises(ConfigError, match="'f' has a type outside the known types"):
        read_atoms(module)


def test_an_atom_without_a_one_line_form_is_refused(tmp_path):
    body = '@atom("x")\ndef f(n: int) -> int:\n    """F."""\n    n += 1\n    return n\n'
    with pytest.raises(ConfigError, match="no one-line form"):
        read_atoms(write_module(tmp_path, body))


def test_braces_and_texts_survive_the_template(tmp_path):
    body = (
        '@atom("x", draw={"k": (1,)}, inline="{c: k for c in [n]}[n] + len(\'{k}n\')")\n'
        'def f(n: int, k: int) -> int:\n    """F."""\n    return n\n'
    )
    (atom,) = read_atoms(write_module(tmp_path, body))
    assert atom.expression == "{{c: {k} for c in [{a}]}}[{a}] + len('{{k}}n')"


def test_a_one_line_form_that_rebinds_an_argument_is_refused(tmp_path):
    body = '@atom("x")\ndef f(n: int) -> int:\n    """F."""\n    return sum(n for n in [n])\n'
    with pytest.raises(ConfigError, match="binds the name of an argument"):
        read_atoms(write_module(tmp_path, body))
