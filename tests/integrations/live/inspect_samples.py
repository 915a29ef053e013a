"""Evaluates a stand-in for a model with inspect-ai: arguments: tasks, faulty tasks, its address."""

import json
import os
import sys

from inspect_ai import eval as evaluated
from inspect_ai.model import get_model

from codegym.integrations.inspect_ai import programs

TASKS, FAULTY, URL, FAULTY_URL, FOLDER = sys.argv[1:]
os.environ["FAKE_API_KEY"] = "none"


def run(tasks, url, count):
    (log,) = evaluated(
        programs(tasks, count=count),
        model=get_model("openai-api/fake/model", base_url=url, memoize=False),
        log_dir=FOLDER,
        display="plain",
        fail_on_error=False,
    )
    return log.status, [
        (sample.scores["verdict"].value if sample.scores else None, bool(sample.error))
        for sample in log.samples
    ]


print(json.dumps({"tasks": run(TASKS, URL, 4), "faulty": run(FAULTY, FAULTY_URL, 2)}))
