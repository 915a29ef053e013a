"""Bad requests: each gets a typed error with what was expected, and none a reward or a 500."""

import json

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegym import Task
from codegym.service.served_tasks import Bounds

TASK = Task.from_calls("", "f", [((1,), 2)], task_id="mine").to_json()
RIGHT = {"task_id": "tiny/0", "program": "def f(x):\n    return x+0"}

TEXTS = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[1]",
    "NaN": b'{"programs": NaN}',
    "infinity": b'{"programs": -Infinity}',
    "a float beyond all bounds": b'{"programs": 1e999}',
    "an integer of 5,000 digits": b'{"programs": ' + b"9" * 5000 + b"}",
    "nested lists": b'{"programs": ' + b"[" * 100_000,
    "closed nested lists": b'{"programs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nested objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "Latin-1": b'{"programs": "\xff"}',
    "encoded surrogate": b'{"programs": "\xed\xa0\x80"}',
    "lone surrogate": b'{"programs": [{"task_id": "tiny/0", "program": "\\ud800"}]}',
    "surrogate in a key": b'{"\\uDfff": 1}',
    "UTF-16": '{"programs": []}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"programs": []}',
}
BODIES = {
    "no programs": {},
    "programs of another type": {"programs": "text"},
    "no program": {"programs": []},
    "too many programs": {"programs": [RIGHT] * 5},
    "a program that is a number": {"programs": [7]},
    "a program that is null": {"programs": [{"task_id": "tiny/0", "program": None}]},
    "a text that is true": {"programs": [{"task_id": "tiny/0", "program": True}]},
    "no text": {"programs": [{"task_id": "tiny/0"}]},
    "two texts": {"programs": [dict(RIGHT, answer="x")]},
    "an unknown id": {"programs": [dict(RIGHT, task_id="tiny/99")]},
    "an id that is a number": {"programs": [dict(RIGHT, task_id=3)]},
    "an unknown field": {"programs": [RIGHT], "prgrams": []},
    "an unknown field of a program": {"programs": [dict(RIGHT, taskid="x")]},
    "a stream that is a number": {"programs": [RIGHT], "stream": 1},
    "an oversized program": {"programs": [dict(RIGHT, program="x" * 2000)]},
    "a task that is a text": {"programs": [RIGHT], "tasks": ["x"]},
    "an empty task": {"programs": [RIGHT], "tasks": [{}]},
    "a task with an unknown field": {"programs": [RIGHT], "tasks": [dict(TASK, extra=1)]},
}


def changed(**tests):
    return dict(TASK, tests=TASK["tests"] | tests)


def limited(**limits):
    return changed(limits=TASK["tests"]["limits"] | limits)


TASKS = {
    "no tests": dict(TASK, tests=None),
    "no cases": changed(cases=[]),
    "cases of another type": changed(cases=7),
    "a case that is a number": changed(cases=[7]),
    "a value of an unknown wire form": changed(cases=[{"args": [{"$what": 1}], "expected": 1}]),
    "a tolerance that is a text": changed(float_tolerance="x"),
    "an unknown rule": changed(match="vaguely"),
    "an unknown form": changed(form="song"),
    "a form that is a list": changed(form=[]),
    "limits that are a list": changed(limits=[1]),
    "a negative time": limited(wall_s=-1),
    "a time of a year": limited(wall_s=3e7),
    "an endless time": limited(cpu_s=10**400),
    "all memory": limited(memory_bytes=1 << 50),
    "too little memory to start": limited(memory_bytes=1),
    "no output at all": limited(output_bytes=0),
    "an entry point that is no name": dict(TASK, entry_point="1f"),
    "test code that does not parse": dict(
        TASK, tests={"form": "assertion", "test_code": "assert ("}
    ),
    "test code nested too deeply": dict(
        TASK, tests={"form": "assertion", "test_code": "assert " + "(" * 900 + "1" + ")" * 900}
    ),
    "test code that is too long": dict(
        TASK, tests={"form": "assertion", "test_code": "assert f(1) == 2\n" * 100}
    ),
    "a checker without check": dict(
        TASK,
        entry_point="",
        tests={
            "form": "stdio",
            "cases": [{"stdin": "", "expected_stdout": ""}],
            "checker": "x = 1",
        },
    ),
}


def refused(answer):
    """Check that an answer is a typed error; return the error."""
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    assert error["type"].endswith("Error") or error["type"] == "Refused"
    assert error["message"] and error["text"]
    json.dumps(answer.json(), ensure_ascii=False).encode()
    return error


@pytest.fixture
def small(serve):
    return serve(bounds=Bounds(batch=4, program_bytes=1000, body_bytes=200_000))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("path", ["/v1/grade", "/run_code", "/submit"])
def test_text_that_is_no_plain_json(small, name, path):
    refused(small.send(path, text=TEXTS[name]))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_the_wrong_form(small, name):
    refused(small.send("/v1/grade", BODIES[name]))


@pytest.mark.parametrize("name", TASKS)
def test_a_malformed_task(small, name):
    body = {"programs": [{"task_id": "mine", "program": "x"}], "tasks": [TASKS[name]]}
    refused(small.send("/v1/grade", body))


def test_the_error_of_a_task_names_its_place_field_and_cure(small):
    body = {"programs": [RIGHT], "tasks": [TASK, limited(wall_s=1e6)]}
    error = refused(small.send("/v1/grade", body))
    assert error["field"] == "tests.limits.wall_s" and error["message"].startswith("tasks[1]")
    assert "0.001 to 120" in error["expected"] and "codegym serve" in error["cure"]


def test_a_misspelt_field_gets_the_nearest_name(small):
    error = refused(small.send("/v1/grade", {"programs": [RIGHT], "strem": True}))
    assert "did you mean 'stream'?" in error["cure"]


def test_nothing_is_graded_where_one_program_is_malformed(small):
    refused(small.send("/v1/grade", {"programs": [RIGHT, dict(RIGHT, task_id="nobody")]}))
    assert small.service.metrics.verdicts == 0


@pytest.mark.parametrize("claims_length", [True, False])
def test_a_body_above_the_bound_is_refused_before_it_is_parsed(small, claims_length):
    async def parts():
        for _ in range(30):
            yield b"x" * 10_000

    content = b"x" * 300_000 if claims_length else parts()
    headers = {"Content-Type": "application/json"}
    answer = small.run(lambda client: client.post("/v1/grade", content=content, headers=headers))
    assert refused(answer) and answer.status_code == 413


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=9999", "offset=1e3", "source=no"])
def test_a_page_of_the_wrong_form(small, query):
    refused(small.send(f"/v1/tasks?{query}"))


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/grade", 405), ("GET", "/nowhere", 404)]
)
def test_a_wrong_route(small, method, path, status):
    answer = small.run(lambda client: client.request(method, path))
    assert answer.status_code == status and refused(answer)


RUN = {"code": "print(1)", "language": "python"}
RUNS = {
    "no code": {"language": "python"},
    "another language": dict(RUN, language="cpp"),
    "a language that is a list": dict(RUN, language=["python"]),
    "files": dict(RUN, files={"a.txt": "YQ=="}),
    "files to fetch": dict(RUN, fetch_files=["a.txt"]),
    "a time that is a text": dict(RUN, run_timeout="10"),
    "no time": dict(RUN, run_timeout=0),
    "a time of a year": dict(RUN, run_timeout=3e7),
    "all memory": dict(RUN, memory_limit_MB=1 << 40),
    "too little memory to start": dict(RUN, memory_limit_MB=1),
    "an input that is a number": dict(RUN, stdin=3),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_not_offered(small, name):
    refused(small.send("/run_code", RUNS[name]))


SUBMIT = {"dataset": "tiny", "id": "tiny/0", "completion": "x", "config": {}}
CASES = [{"input": {"stdin": "1"}, "output": {"stdout": "1"}}]
SUBMITS = {
    "no id": {"dataset": "tiny", "completion": "x", "config": {}},
    "an unknown id": dict(SUBMIT, id="nobody"),
    "an unknown data set": dict(SUBMIT, dataset="nowhere"),
    "an id that is true": dict(SUBMIT, id=True),
    "no config": dict(SUBMIT, config=None),
    "another language": dict(SUBMIT, config={"language": "java"}),
    "logic of extraction": dict(SUBMIT, config={"custom_extract_logic": "x"}),
    "another form of data": dict(
        SUBMIT, config={"dataset_type": "AutoEvalDataset", "provided_data": {"test": CASES}}
    ),
    "data without tests": dict(SUBMIT, config={"provided_data": {"id": "tiny/0"}}),
    "tests that are no JSON": dict(SUBMIT, config={"provided_data": {"test": "{"}}),
    "tests without input": dict(SUBMIT, config={"provided_data": {"test": [{"output": {}}]}}),
    "too many tests": dict(SUBMIT, config={"provided_data": {"test": CASES * 5}}),
    "a time that is a text": dict(
        SUBMIT, config={"run_timeout": "x", "provided_data": {"test": CASES}}
    ),
}


@pytest.mark.parametrize("name", SUBMITS)
def test_a_submission_that_is_not_offered(small, name):
    refused(small.send("/submit", SUBMITS[name]))


# A small alphabet: making the table of all characters takes seconds.
NAMES = st.text("ab$\u00e9\n\0", max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES
    | st.sampled_from(
        ["tiny/0", "mine", "call", "stdio", "assertion", "python", "$tuple", "$float"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.sampled_from(["$", "args", "cases"]), inner, max_size=3)
    ),
    max_leaves=6,
)
VALID = {
    "/v1/grade": {
        "programs": [{"task_id": "mine", "program": "x"}, {"task_id": "tiny/1", "answer": "y"}],
        "tasks": [
            TASK,
            Task.from_stdio("p", [("1", "2")], task_id="other").to_json(),
            Task.from_assertions("", "f", "assert f(1) == [2, (3,)]", task_id="third").to_json(),
        ],
        "stream": False,
    },
    "/run_code": {"code": "x", "language": "python", "stdin": "", "run_timeout": 1, "files": {}},
    "/submit": {
        "dataset": "tiny",
        "id": 7,
        "completion": "x",
        "config": {"language": "python", "provided_data": {"id": 7, "test": CASES}, "extra": {}},
    },
}


@st.composite
def spoiled(draw):
    """A valid request with values somewhere in it replaced, left out or added."""
    path = draw(st.sampled_from(sorted(VALID)))
    body = json.loads(json.dumps(VALID[path]))
    for _ in range(draw(st.integers(1, 3))):
        at = body
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(at[key], dict | list) and at[key] and draw(st.booleans()):
                at = at[key]
                continue
            if draw(st.booleans()):
                at[key] = draw(VALUES)
            elif isinstance(at, dict) and draw(st.booleans()):
                at[draw(NAMES)] = draw(VALUES)
            else:
                del at[key]
            break
    return path, body


@given(spoiled())
@settings(max_examples=150, suppress_health_check=[*HealthCheck])
def test_no_spoiled_request_breaks_the_service(serve, sent):
    path, body = sent
    served = serve(bounds=Bounds(batch=4, program_bytes=1000))
    answer = served.send(path, body)
    served.service.close()
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        refused(answer)
