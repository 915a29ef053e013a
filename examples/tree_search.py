"""Tree search by forking: every completion of a started program is tried on the tests.

Each node of the tree is an environment forked from its parent. The mask keeps the tree to programs
that parse and fit the budget, which makes it small enough to search completely.

    python examples/tree_search.py --limit 500
"""

import argparse

import gymnasium as gym
import numpy as np

from codegym import Task, TaskSource
from codegym.envs.synthesis import SynthesisEnv


class Length(TaskSource):
    """One task: the length of a text."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Task:
        if index not in (0, -1):
            raise IndexError(index)
        cases = [((text,), len(text)) for text in ("", "a", "abc", "a b c")]
        return Task.from_calls("def f(s):\n", "f", cases, task_id="length")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=500, help="programs to try at most")
    options = parser.parse_args()
    root = gym.make(
        "codegym:CodeGym/Synthesis-v0", tasks=Length(), reward="pass_rate", budget=7
    ).unwrapped
    assert isinstance(root, SynthesisEnv)
    root.reset(seed=0)
    for token in root.tokenizer.encode("    return len("):
        root.step(token)
    rng = np.random.default_rng(0)
    stack, tried, best = [root], 0, (-1.0, "")
    while stack and tried < options.limit and best[0] < 1.0:
        parent = stack.pop()
        for token in rng.permutation(np.flatnonzero(parent.action_masks())):
            child = parent.fork()
            _, reward, ended, _, info = child.step(token)
            if not ended:
                stack.append(child)
                continue
            tried += 1
            best = max(best, (reward, info["program"]))
    print(f"{tried} programs tried, the best passes {best[0]:.0%} of the tests:\n{best[1]}")


if __name__ == "__main__":
    main()
