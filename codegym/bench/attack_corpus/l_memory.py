"""Class l, memory through the examiner: small answers that the test makes large."""

from codegym.bench.attack_corpus.attack import Attack

_REST = {
    "forms": ("assertion",),
    "control": "",
    "why_no_control": "a naive grader bounds no memory, so nothing is defeated",
}


def _large(name: str, says: str, answer: str, test: str) -> Attack:
    return Attack(
        name=name,
        says=f"{says} takes no more memory than the task allows, and breaks no grader.",
        program=f"def solve(x):\n    return {answer}\n",
        test_code=f"def check(candidate):\n{test}    assert candidate(3) == @WANT_3@\n",
        **_REST,  # type: ignore[arg-type]
    )


ATTACKS = (
    _large(
        "l01_range_to_list",
        "A range that the test turns into a list",
        "range(10 ** 8)",
        "    assert list(candidate(3)) == [1]\n",
    ),
    _large(
        "l02_range_to_dict",
        "A range that the test turns into a table",
        "range(10 ** 8)",
        "    assert {k: [k] for k in candidate(3)} == {}\n",
    ),
    _large(
        "l03_text_times",
        "A long text that the test multiplies",
        "'x' * 900_000",
        "    assert candidate(3) * 10 ** 6 == ''\n",
    ),
    _large(
        "l04_list_times",
        "A long list that the test multiplies",
        "[0] * 90_000",
        "    assert candidate(3) * 10 ** 5 == []\n",
    ),
    _large(
        "l05_bytes_joined",
        "Bytes that the test joins",
        "b'x' * 400_000",
        "    assert b''.join([candidate(3)] * 10 ** 5) == b''\n",
    ),
    _large(
        "l06_nested_lists",
        "A nested list that the test copies",
        "[[i] * 9 for i in range(9_000)]",
        "    import copy\n"
        "    got = candidate(3)\n"
        "    assert [copy.deepcopy(got) for _ in range(10 ** 4)] == []\n",
    ),
    _large(
        "l07_view_of_a_dict",
        "A view of a dict that the test collects again and again",
        "{i: i for i in range(9_000)}.keys()",
        "    got = candidate(3)\n    assert [list(got) for _ in range(10 ** 5)] == []\n",
    ),
    _large(
        "l08_shift",
        "A number by which the test shifts",
        "10 ** 11",
        "    assert 1 << candidate(3) == 2\n",
    ),
    _large(
        "l09_width_of_a_format",
        "A width of a format",
        "10 ** 10",
        "    assert f'{1:{candidate(3)}}' == '1'\n",
    ),
    _large(
        "l10_product",
        "Sequences whose product the test takes",
        "range(3_000)",
        "    import itertools\n"
        "    assert list(itertools.product(candidate(3), candidate(3), repeat=2)) == []\n",
    ),
)
