"""Hooks of MkDocs that add generated pages and make the repository's Markdown into a site.

Links of the repository become links of the site, and formulas become MathML: a page loads nothing
from elsewhere.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
# Modules beside this one; MkDocs loads a hook by its path alone.
sys.path.insert(0, str(ROOT / "docs" / "generators"))

import gallery  # noqa: E402
import lesson_pages  # noqa: E402
import option_tables  # noqa: E402
import reference_pages  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import File  # noqa: E402

# Files of the repository -> their pages.
_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "RELEASING.md": "project/releasing.md",
    "LICENSE": "project/licence.md",
    "examples": "examples.md",
    "docs/lessons": "lessons/index.md",
}
_LINK = re.compile(r"(\]\(|src=\")(?!https?:|mailto:|#)([^)\s#\"]+)")


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    made = {
        "reference/settings.md": option_tables.page(),
        "reference/api.md": reference_pages.interface(),
        "reference/commands.md": reference_pages.commands(),
        "examples.md": reference_pages.examples(ROOT / "examples"),
    }
    made |= {
        f"gallery/{exhibit.name}.html": exhibit.play()
        for exhibit in gallery.EXHIBITS
        if exhibit.mode == "html"
    }
    made |= {
        f"examples/{path.stem}.md": reference_pages.example(path)
        for path in sorted((ROOT / "examples").glob("*.py"))
    }
    made |= {
        f"examples/{folder.name}.md": reference_pages.example_folder(folder)
        for folder in reference_pages.example_folders(ROOT / "examples")
    }
    made |= {
        f"lessons/{path.stem}.md": lesson_pages.page(path)
        for path in sorted((ROOT / "docs" / "lessons").glob("*.ipynb"))
    }
    for source, page in _PAGES.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text()
            if source == "LICENSE":
                text = f"# Licence\n\n```text\n{text}```\n"
            made[page] = site_links(text, source, page)
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Turn links out of docs/ into links of the site, and fill the gallery."""
    uri = page.file.src_uri
    if uri == "gallery.md":
        return f"{markdown}\n{gallery.exhibits()}"
    return markdown if page.file.generated_by else site_links(markdown, f"docs/{uri}", uri)


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Set formulas as MathML."""
    return re.sub(
        r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>',
        lambda found: convert(_plain(found[3]), display="inline" if found[2] == "(" else "block"),
        html,
        flags=re.S,
    )


def on_post_build(*, config: Any) -> None:
    """Refuse a site without one of the public names.

    Raises:
        PluginError: Names them.
    """
    built = (Path(config.site_dir) / "reference" / "api" / "index.html").read_text()
    missing = [
        name for name, path in reference_pages.public_paths().items() if f'id="{path}"' not in built
    ]
    if missing:
        raise PluginError(f"public names without documentation: {', '.join(missing)}")


def site_links(markdown: str, source: str, page: str) -> str:
    """Turn the relative links of a file of the repository into those of its page.

    Args:
        markdown: The file's text.
        source: Its path in the repository.
        page: The page's path in the site.
    """

    def moved(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        target = _PAGES.get(path) or _page_of(path)
        return found[1] + posixpath.relpath(target, posixpath.dirname(page) or ".")

    fenced = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    fenced[::2] = [_LINK.sub(moved, part) for part in fenced[::2]]
    return "".join(fenced)


def _page_of(path: str) -> str:
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    if path.startswith("examples/"):
        return path.removesuffix(".py") + ".md"
    # MkDocs says that there is no such page, and names the one that links to it.
    return path


def _plain(formula: str) -> str:
    return formula.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
