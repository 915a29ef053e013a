"""PyPI metadata: absolute links in the README and [project.urls], for the commit that is released.

PyPI shows the README outside the repository, where relative links lead nowhere. The release
workflow, which knows the repository's address, runs this before it builds:

python docs/generators/pypi_metadata.py https://github.com/OWNER/NAME v1.2.3
"""

import re
import sys
from pathlib import Path

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>(?!https?:|#)[^)\s]+)\)")


def absolute_links(markdown: str, repository: str, tag: str) -> str:
    """Return a README whose links and pictures are found from anywhere.

    Args:
        markdown: The README; links in code are left alone.
        repository: Address of the repository.
        tag: What the links point to.
    """

    def absolute(found: re.Match[str]) -> str:
        kind = "raw" if found["image"] else "blob"
        address = f"{repository}/{kind}/{tag}/{found['path']}"
        return f"{found['image']}[{found['text']}]({address})"

    fenced = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    fenced[::2] = [_LINK.sub(absolute, part) for part in fenced[::2]]
    return "".join(fenced)


def with_urls(pyproject: str, repository: str, tag: str) -> str:
    """Return pyproject.toml with the project's addresses.

    Raises:
        ValueError: It already has some.
    """
    if "[project.urls]" in pyproject:
        raise ValueError("pyproject.toml already has [project.urls]")
    urls = {
        "Repository": repository,
        "Documentation": f"{repository}/tree/{tag}/docs",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    table = "\n".join(f'{name} = "{address}"' for name, address in urls.items())
    before, scripts, after = pyproject.partition("[project.scripts]")
    return f"{before}[project.urls]\n{table}\n\n{scripts}{after}"


def main() -> None:
    """Rewrite README.md and pyproject.toml in the working folder."""
    _, repository, tag = sys.argv
    readme, project = Path("README.md"), Path("pyproject.toml")
    readme.write_text(absolute_links(readme.read_text(), repository.rstrip("/"), tag))
    project.write_text(with_urls(project.read_text(), repository.rstrip("/"), tag))


if __name__ == "__main__":
    main()
