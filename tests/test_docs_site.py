"""The site's generated pages follow the code, and the documentation's links lead somewhere."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import codegym
from codegym.cli.package_templates import files_of

ROOT = Path(__file__).parent.parent
GENERATORS = ROOT / "docs" / "generators"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "lessons").glob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch):
    """Return a function that imports a generator by name, as the site's hooks do."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(GENERATORS))
        return importlib.import_module(name)

    return load


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files_and_headings(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    broken = []
    for link in LINK.findall(prose):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [
        page.relative_to(ROOT / "docs").as_posix()
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.relative_to(ROOT / "docs").as_posix() not in navigation
    ]
    assert not missing


def test_every_public_name_is_in_one_group_of_the_reference(generator, monkeypatch) -> None:
    pages = generator("reference_pages")
    assert set(pages.public_paths()) == set(codegym.__all__)
    assert all(f"::: {path}\n" in pages.interface() for path in pages.public_paths().values())
    monkeypatch.setattr(pages, "GROUPS", {"Tasks": ("Task",)})
    with pytest.raises(ValueError, match="differ"):
        pages.public_paths()


def test_the_tables_hold_every_option() -> None:
    # In a process of its own: other tests register plug-ins that document nothing.
    page = subprocess.run(
        [sys.executable, GENERATORS / "option_tables.py"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for field in ("agent_preset", "warm_start_minutes", "curve_points"):
        assert f"| `{field}` |" in page
    for name in ("rft", "gorinski", "composites", "curriculum"):
        assert f"### {name}\n" in page
    grpo = page.partition("### grpo\n")[2].partition("###")[0]
    assert "| `kl_coef` | float | `0.04` | `0.0` |" in grpo


def test_an_undocumented_option_is_refused(generator) -> None:
    described = generator("option_tables").described
    text = """Something.

    Args:
        first: The first,
            on two lines.
        second, third: Both.

    Returns:
        fourth: No argument.
    """
    target = type("Target", (), {"__doc__": text})
    assert described(target) == {
        "first": "The first, on two lines.",
        "second": "Both.",
        "third": "Both.",
    }


def test_links_become_links_of_pypi(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "[a](docs/a.md), [b](https://b.org/c), [here](#here) ![d](docs/d.svg)\n"
        "```python\nx[0](y)\n```\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[project.scripts]\nx = "x:main"\n'
    )
    arguments = ["https://example.org/me/x/", "v1.0"]
    script = GENERATORS / "pypi_metadata.py"
    subprocess.run([sys.executable, script, *arguments], check=True, cwd=tmp_path)
    assert (tmp_path / "README.md").read_text() == (
        "[a](https://example.org/me/x/blob/v1.0/docs/a.md), [b](https://b.org/c), [here](#here) "
        "![d](https://example.org/me/x/raw/v1.0/docs/d.svg)\n"
        "```python\nx[0](y)\n```\n"
    )
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Issues"] == "https://example.org/me/x/issues"
    assert project["scripts"]["x"] == "x:main"
    # Another run would point the links at two places.
    again = subprocess.run(
        [sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert again.returncode != 0 and "already has [project.urls]" in again.stderr


def test_the_first_hour_shows_what_codegym_new_writes() -> None:
    text = (ROOT / "docs" / "first-hour.md").read_text()
    (update,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert update in files_of("agent", "my_agent")["my_agent.py"]
