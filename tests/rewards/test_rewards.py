"""Rewards against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.rewards import make_reward
from codegym.rewards.credit import price
from codegym.tasks.answers import read_program
from codegym.tasks.task import Task
from codegym.tokenizers.lexemes import LexemeTokenizer

ORDER = [Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR, Outcome.TIMEOUT]
ORDER += [Outcome.MEMORY, Outcome.OUTPUT_LIMIT]


def cases(*outcomes):
    return Verdict.from_cases([CaseResult(outcome=one) for one in outcomes])


def passed(count, total=4):
    return cases(*[Outcome.PASSED] * count, *[Outcome.FAILED] * (total - count))


SYNTAX = Verdict.syntax_error(n_cases=4, error_type="SyntaxError", message="invalid", line=1)
EMPTY = Verdict.no_program(n_cases=4)
LINE = Feedback(granularity=Granularity.LINE, lines=(2, 2), tokens=(2, 5), n_tokens=10)
WHOLE = Feedback(granularity=Granularity.GLOBAL, tokens=(0, 10), n_tokens=10)
NOWHERE = Feedback(granularity=Granularity.IGNORE, n_tokens=10)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("binary", [1, 0, 0, 0, 0, 0, 0, 0]),
        ("pass_rate", [1, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 0]),
        ("coderl", [1, -0.3, -0.6, -0.6, -0.6, -0.6, -1, -1]),
        ("coderl(failed=-0.1)", [1, -0.1, -0.6, -0.6, -0.6, -0.6, -1, -1]),
        ("rltf", [1, 0.35, -0.6, -0.6, -0.6, -0.6, -1, -1]),
        ("rltf(adaptive=false)", [1, -0.3, -0.6, -0.6, -0.6, -0.6, -1, -1]),
        ("0.8*pass_rate+0.2*coderl", [1, 0.34, 0.28, 0.28, 0.28, 0.28, -0.2, -0.2]),
        ("-(binary - 2)*0.5", [0.5, 1, 1, 1, 1, 1, 1, 1]),
        ("pass_rate*pass_rate", [1, 0.25, 0.25, 0.25, 0.25, 0.25, 0, 0]),
        ("2*(binary - (1 - pass_rate))", [2, -1, -1, -1, -1, -1, -2, -2]),
        ("\t+.5 * binary\n  - -1e-1*pass_rate ", [0.6, *[0.05] * 5, 0, 0]),
    ],
)
def test_values_by_outcome(text, values):
    reward = make_reward(text)
    half = [cases(Outcome.PASSED, one) for one in ORDER]
    got = [reward(verdict) for verdict in [*half, SYNTAX, EMPTY]]
    assert got == pytest.approx(values)
    assert all(reward.low <= value <= reward.high for value in got)


@pytest.mark.parametrize(("count", "value"), [(0, -0.3), (1, 0.025), (2, 0.35), (4, 1.0)])
def test_adaptive(count, value):
    assert make_reward("rltf")(passed(count)) == pytest.approx(value)


def test_the_gravest_case_counts_whichever_came_first():
    verdict = cases(Outcome.FAILED, Outcome.RUNTIME_ERROR)
    assert make_reward("coderl")(verdict) == make_reward("rltf")(verdict) == -0.6


@pytest.mark.parametrize(
    ("text", "feedback", "weights"),
    [
        ("rltf", LINE, [0, 0, -1, -1, -1, 0, 0, 0, 0, 0]),  # alpha = 10 / 3
        ("rltf(alpha=false)", LINE, [0, 0, -0.3, -0.3, -0.3, 0, 0, 0, 0, 0]),
        ("rltf", WHOLE, [-0.3] * 10),
        ("rltf", NOWHERE, [0] * 10),
        ("rltf(fine=0)", LINE, [0] * 10),
        ("2*rltf + binary", LINE, [0, 0, -2, -2, -2, 0, 0, 0, 0, 0]),
        ("coderl", LINE, [0] * 10),
    ],
)
def test_fine_weights(text, feedback, weights):
    reward = make_reward(text)
    verdict = cases(Outcome.RUNTIME_ERROR)
    np.testing.assert_allclose(reward.fine(verdict, feedback), weights, rtol=1e-6)
    expected = np.array(weights) / 10
    expected[-1] += reward(verdict)
    np.testing.assert_allclose(reward.credit(verdict, feedback), expected, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 3, 7, 10])
def test_fine_weight_sums_to_a_whole_programs_for_any_length_of_line(length):
    feedback = Feedback(granularity=Granularity.LINE, tokens=(0, length), n_tokens=10)
    assert make_reward("rltf").fine(SYNTAX, feedback).sum() == pytest.approx(-3.0)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("coderl", -1, 1),
        ("0.5*coderl - binary", -1.5, 0.5),
        ("-coderl*pass_rate", -1, 1),
        ("2 - rltf", 1, 3),
    ],
)
def test_bounds(text, low, high):
    reward = make_reward(text)
    assert (reward.low, reward.high) == (low, high)


def test_a_composed_reward_can_be_read_back_from_its_text():
    texts = ("0.8*pass_rate+0.2*coderl(failed=-0.5)", "rltf(alpha=false)-2*binary")
    for text in (*texts, "coderl(failed=-0.123456789)*1.23456789"):
        reward = make_reward(text)
        again = make_reward(repr(reward))
        assert [again(one) for one in (SYNTAX, passed(1), passed(4))] == [
            reward(one) for one in (SYNTAX, passed(1), passed(4))
        ]


def test_bad_expressions_are_named():
    with pytest.raises(UnknownNameError, match="did you mean 'pass_rate'"):
        make_reward("pas_rate")
    with pytest.raises(UnknownNameError, match="did you mean 'failed'"):
        make_reward("coderl(faild=1)")
    with pytest.raises(UnknownNameError, match="did you mean 'binary'"):
        make_reward("0.5*BINARY")
    for text in ("", "binary +", "binary / 2", "binary(1)", "__import__('os')", "binary.x", "True"):
        with pytest.raises(ConfigError):
            make_reward(text)
    for text in ("1e999*binary", "1" + "0" * 400, "-" * 9999 + "binary", "binary" + "+1" * 9999):
        with pytest.raises(ConfigError):
            make_reward(text)
    for value in (None, 3, b"binary", ["binary"]):
        with pytest.raises(ConfigError, match="an expression, a Reward"):
            make_reward(value)


@pytest.mark.parametrize(
    "text",
    [
        "rltf(fine=open)",
        "rltf(fine=-0.2, fine=0)",
        "rltf(adaptive='no')",
        "rltf(alpha=0)",
        "rltf(fine=true)",
        "coderl(passed=1e999)",
        "length(full='all')",
    ],
)
def test_a_setting_is_of_its_defaults_kind(text):
    with pytest.raises(ConfigError, match="setting"):
        make_reward(text)


def test_rewards_compose_as_objects_too():
    rltf, half = make_reward("rltf"), passed(2)
    assert (1 - rltf)(half) == pytest.approx(0.65)
    assert (2 * rltf - 1)(half) == pytest.approx(-0.3)
    assert ((1 - rltf).low, (1 - rltf).high) == (0.0, 2.0)


RUNS = st.lists(st.sampled_from(ORDER), min_size=1, max_size=6).map(lambda run: cases(*run))
VERDICTS = st.one_of(RUNS, st.just(SYNTAX), st.just(EMPTY), RUNS.map(Verdict.as_cut))
NUMBERS = st.floats(-9, 9, allow_nan=False)
EXPRESSIONS = st.recursive(
    st.sampled_from(registry.names("rewards")) | NUMBERS.map(repr),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", " + -"]), inner).map(
            "({0[0]}{0[1]}{0[2]})".format
        )
        | inner.map("-{}".format)
    ),
    max_leaves=8,
)
PROGRAMS = st.sampled_from(
    ["", "return x", "    return x\n", "    y = x\n    return y\n", "    y = (\n"]
)


@given(text=EXPRESSIONS, verdict=VERDICTS, program=PROGRAMS, place=st.sampled_from([LINE, WHOLE]))
def test_nothing_leaves_the_declared_bounds(text, verdict, program, place):
    task = Task.from_calls("def f(x):\n", "f", [((1,), 1)], canonical_solution="    return x\n")
    reward = make_reward(text)
    bound = reward.bind(task, task.prompt + program)
    assert reward.low <= bound.low <= bound.high <= reward.high
    assert reward.low <= bound(verdict, place) <= reward.high
    assert make_reward(repr(reward)).bind(task, task.prompt + program)(verdict, place) == bound(
        verdict, place
    )
    credit = bound.credit(verdict, place)
    assert credit.shape == (place.n_tokens,)
    assert credit.sum() == pytest.approx(
        bound(verdict, place) + bound.fine(verdict, place).mean(), rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize("name", registry.names("rewards"))
def test_every_outcome_lies_within_the_bounds_alone_and_multiplied(name):
    task = Task.from_calls("def f(x):\n", "f", [((1,), 1)], canonical_solution="    return x\n")
    endings = [cases(*[outcome] * 3) for outcome in ORDER] + [cases(ORDER[0], ORDER[1]), SYNTAX]
    texts = [name, f"-{name}", *(f"{name}*({other}-0.5)" for other in registry.names("rewards"))]
    for text in texts:
        reward = make_reward(text)
        for program in ("    return x\n", "    y = (\n", ""):
            bound = reward.bind(task, task.prompt + program)
            for verdict in (*endings, *(one.as_cut() for one in endings)):
                assert reward.low <= bound(verdict, WHOLE) <= reward.high, (text, verdict.outcome)


def price_tokens(task, ids, verdict, reward, *, finished):
    """Price a program that was written in the tokens of the lexeme tokenizer."""
    tokens = LexemeTokenizer()
    program, start = read_program(task, tokens.decode(ids), "continuation")
    return price(
        task,
        program,
        verdict,
        reward,
        count=len(ids),
        spans=lambda: tokens.spans(ids),
        start=start,
        finished=finished,
    )


def test_price_joins_feedback_and_reward():
    task = Task.from_calls("def f(x):\n", "f", [((1,), 1), ((2,), 2)])
    tokens = LexemeTokenizer()
    ids = np.array([*tokens.encode("    y = x\n    return z"), tokens.end_id])
    error = CaseResult(outcome=Outcome.RUNTIME_ERROR, error_type="NameError", error_line=3)
    verdict = Verdict.from_cases([error, error])
    priced = price_tokens(task, ids, verdict, make_reward("rltf"), finished=True)
    assert priced.reward == -0.6
    assert tokens.decode(ids[slice(*priced.feedback.tokens)]) == "return z"
    # T tokens, two of them in the line: each -0.3 / 2 of the mean, the reward on the last.
    assert priced.credit.sum() == pytest.approx(-0.6 - 0.3)
    credited = [*range(*priced.feedback.tokens), len(ids) - 1]
    assert np.flatnonzero(priced.credit).tolist() == credited


def test_price_marks_what_the_budget_cut():
    task = Task.from_calls("def f(x):\n", "f", [((1,), 1)])
    tokens = LexemeTokenizer()
    ids = tokens.encode("    return (x")
    verdict = Verdict.syntax_error(
        n_cases=1, error_type="SyntaxError", message="'(' was never closed", line=2
    )
    reward = make_reward("rltf")
    cut = price_tokens(task, ids, verdict, reward, finished=False)
    ended = price_tokens(task, [*ids, tokens.end_id], verdict, reward, finished=True)
    assert cut.verdict.cut
    assert not ended.verdict.cut
    assert cut.feedback.granularity is Granularity.GLOBAL
    assert ended.feedback.granularity is Granularity.LINE


def priced(text, program, *, solution="    y = x\n    return y\n", finished=True):
    task = Task.from_calls("def f(x):\n", "f", [((1,), 1)], canonical_solution=solution)
    tokens = LexemeTokenizer()
    ids = [*tokens.encode(program), tokens.end_id]
    return price_tokens(task, ids, passed(4), make_reward(text), finished=finished).reward


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("    y = x\n    return y\n", 1.0),
        ("    other = x\n    return other\n", 1.0),  # names do not count
        ("    return x\n", 1 / 2),  # of (Assign Name Name), (Return Name)
        ("    print(1)\n", 0.0),
        ("    y = (\n", 0.0),
    ],
)
def test_ast_match(program, value):
    assert priced("ast_match", program) == value


@pytest.mark.parametrize(
    ("program", "value"),
    [
        # Edges of the reference: x from x, y computed from x, y from y.
        ("    y = x\n    return y\n", 1.0),
        ("    other = x\n    return other\n", 1.0),
        ("    return x\n", 1 / 3),
        ("    y = x\n    return 1\n", 2 / 3),
        ("    return 1\n", 0.0),
        ("    y = (\n", 0.0),
    ],
)
def test_dataflow_match(program, value):
    assert priced("dataflow_match", program) == pytest.approx(value)


def test_an_edge_of_the_program_answers_once():
    twice = "    return x + x\n"
    assert priced("dataflow_match", "    return x\n", solution=twice) == 0.5
    assert priced("dataflow_match", twice, solution="    return x\n") == 1.0


def test_matches_are_off_without_a_reference():
    assert priced("ast_match + dataflow_match", "    return x\n", solution=None) == 0.0


def test_length_and_cut():
    # Ten characters of indentation and words: "    ", "return", " x", newline, end.
    assert priced("length(full=10)", "    return x\n") == 0.5
    assert priced("length(full=2)", "    return x\n") == 1.0
    assert priced("binary - 0.5*cut", "    return x\n", finished=False) == 0.5
    with pytest.raises(ConfigError, match="full"):
        make_reward("length(full=0)")
