"""An agent of plain strings: it writes a program, reads what was wrong, and writes another.

Put a language model in the place of ``agent``; nothing else changes.

    python examples/repair_dialogue.py
"""

from codegym.envs.dialogue import Dialogue

FIRST_TRIES = ["    return sum(xs", "    return total(xs)"]


def main() -> None:
    dialogue = Dialogue(tasks="atoms?topic=filtering", reward="coderl", turns=3)
    task = dialogue.source[0]
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
