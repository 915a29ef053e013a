"""Lesson pages: each notebook becomes a page with its outputs, answers folded."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import notebooks

_ROOT = Path(__file__).parent.parent.parent
_CACHE = _ROOT / "build" / "lessons"


def page(path: Path) -> str:
    """Return a notebook as a page: text, code, and what the code showed."""
    outputs = iter(_outputs(path))
    parts = [f"[Download the notebook]({path.name}){{ .md-button download }}\n"]
    for number, cell in enumerate(notebooks.read(path)):
        if cell.kind == "markdown":
            # The title comes before the button.
            parts.insert(0 if number == 0 else len(parts), f"{cell.source}\n")
            continue
        shown = next(outputs)
        block = f"```python\n{cell.source}\n```\n"
        if shown["text"].strip():
            block += f"\n```text\n{shown['text'].rstrip()}\n```\n"
        if "answer" in cell.tags:
            block = '??? success "Answer"\n\n' + _indented(block)
        elif "check" in cell.tags:
            block = '??? abstract "Check"\n\n' + _indented(block)
        parts.append(block)
        if shown["html"]:
            parts.append(f'<div class="output">{shown["html"]}</div>\n')
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(True))


def _outputs(path: Path) -> list[dict[str, str]]:
    """Run a notebook in a process of its own; what it showed is kept until notebook or code change.

    ``LESSONS=skip`` leaves the outputs out.
    """
    if os.environ.get("LESSONS") == "skip":
        count = sum(cell.kind == "code" for cell in notebooks.read(path))
        return [{"text": "", "html": ""}] * count
    kept = _CACHE / f"{path.stem}-{_digest(path)}.json"
    if not kept.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, notebooks.__file__, str(path)],
            capture_output=True,
            text=True,
            cwd=_CACHE,
        )
        if done.returncode:
            raise RuntimeError(f"{path.name} does not run:\n{done.stderr}")
        kept.write_text(done.stdout)
    outputs: list[dict[str, str]] = json.loads(kept.read_text())
    return outputs


def _digest(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes())
    for folder in ("codegym", "agents", "envs"):
        for source in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
