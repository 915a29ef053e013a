"""An agent that reads and writes text: it writes a program, reads what was wrong, writes another.

To use a language model, put a call of it in the place of ``agent``.

    python examples/repair_dialogue.py
"""

import codegym
from codegym.envs.dialogue import Dialogue

TASKS = "atoms?topic=filtering"
FIRST_TRIES = ["    return sum(xs", "    return total(xs)"]


def main() -> None:
    dialogue = Dialogue(tasks=TASKS, reward="coderl", turns=3)
    task = codegym.load_tasks(TASKS)[0]
    answers = iter([*FIRST_TRIES, task.canonical_solution])

    def agent(text: str) -> str:
        return next(answers)

    text = dialogue.start(task_id=task.task_id)
    while not (reply := dialogue.reply(agent(text))).done:
        text = reply.text
    print(reply.text)
    print(f"reward {reply.reward}, {reply.info['verdict'].pass_rate:.0%} of the tests")


if __name__ == "__main__":
    main()
