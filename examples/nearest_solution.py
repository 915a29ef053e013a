"""A baseline for mined tasks: the solutions of the nearest training tasks, renamed to fit.

For each held-out task it writes the solutions of the ``n`` training tasks whose names and
docstrings are most similar, under the held-out task's names. A task that is solved this way needs
no programming.

    TASKS="mined:tasks.jsonl?apart=function&split"
    python examples/nearest_solution.py "$TASKS=train" "$TASKS=test" --n 64 --out nearest.jsonl
    codegym grade "$TASKS=test" --samples nearest.jsonl

It also counts the held-out functions whose code, apart from names, occurs in training: there should
be none.
"""

import argparse
import ast
import json
import math
import re
from collections import Counter
from pathlib import Path

from codegym import Task, load_tasks
from codegym.mining.duplicate_programs import tree_key


class Renaming(ast.NodeTransformer):
    """Puts names in the place of others, throughout a program."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Rename a use of a name."""
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Rename a parameter."""
        node.arg, node.annotation = self.names.get(node.arg, node.arg), None
        return node


def function_of(task: Task) -> tuple[ast.Module, ast.FunctionDef]:
    """Return a task's whole reference program, and its function in it."""
    tree = ast.parse(task.program(task.canonical_solution or ""))
    named = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return tree, next(node for node in named if node.name == task.entry_point)


def words_of(task: Task) -> Counter[str]:
    """Return the words of a task's name, parameters and docstring, weighted by their number."""
    _, own = function_of(task)
    names = [own.name, *(parameter.arg for parameter in own.args.args)]
    text = " ".join(re.sub(r"([a-z])([A-Z])", r"\1 \2", name) for name in names)
    return Counter(re.findall(r"[a-z]+|[0-9]+", f"{text} {ast.get_docstring(own)}".lower()))


def adapted(solution: Task, task: Task) -> str:
    """Return another task's reference program under the names of ``task``."""
    tree, theirs = function_of(solution)
    _, ours = function_of(task)
    olds = [parameter.arg for parameter in theirs.args.args]
    news = [parameter.arg for parameter in ours.args.args]
    names = dict(zip(olds, news, strict=False)) | {theirs.name: ours.name}
    Renaming(names).visit(tree)
    theirs.name = ours.name
    return ast.unparse(tree)


def cosine(left: Counter[str], right: Counter[str], rarity: dict[str, float]) -> float:
    """Return how similar two bags of words are; rare words count more."""

    def weight(word: str, bag: Counter[str]) -> float:
        return (1 + math.log(bag[word])) * rarity.get(word, 0.0)

    shared = sum(weight(word, left) * weight(word, right) for word in left.keys() & right.keys())
    lengths = [math.sqrt(sum(weight(word, bag) ** 2 for word in bag)) for bag in (left, right)]
    return shared / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--n", type=int, default=64, help="programs for each task")
    parser.add_argument("--out", type=Path, default=Path("nearest.jsonl"))
    options = parser.parse_args()
    train, test = list(load_tasks(options.train)), list(load_tasks(options.test))
    bags = [words_of(task) for task in train]
    frequency = Counter(word for bag in bags for word in bag)
    rarity = {word: math.log(len(bags) / count) + 0.1 for word, count in frequency.items()}
    codes = {tree_key(ast.unparse(function_of(task)[1])) for task in train}
    copies = [task.task_id for task in test if tree_key(ast.unparse(function_of(task)[1])) in codes]
    print(f"{len(copies)} of {len(test)} held-out functions stand in training: {copies[:5]}")
    with options.out.open("w") as file:
        for task in test:
            own = words_of(task)
            order = sorted(range(len(train)), key=lambda at: -cosine(own, bags[at], rarity))
            programs = dict.fromkeys(adapted(train[at], task) for at in order[: 2 * options.n])
            for program in list(programs)[: options.n]:
                file.write(json.dumps({"task_id": task.task_id, "program": program}) + "\n")
    print(f"programs for {len(test)} tasks in {options.out}")


if __name__ == "__main__":
    main()
