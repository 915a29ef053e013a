"""Runs the first Python example under a heading of docs/integrations.md, then prints a name of it.

Arguments: the page, the heading, an expression to print as JSON, then pairs of texts to replace.
"""

import json
import re
import sys
from pathlib import Path

PAGE, HEADING, EXPRESSION, *CHANGES = sys.argv[1:]
section = Path(PAGE).read_text().split(f"\n### {HEADING}\n")[1].split("\n### ")[0]
(snippet, *_) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
for old, new in zip(CHANGES[::2], CHANGES[1::2], strict=True):
    assert old in snippet, f"{old!r} is not in the example"
    snippet = snippet.replace(old, new)
names: dict[str, object] = {}
exec(compile(snippet, HEADING, "exec"), names)
print(json.dumps(eval(EXPRESSION, names), default=str))
