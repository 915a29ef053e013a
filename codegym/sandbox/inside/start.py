"""The script that a launcher starts inside the sandbox.

``argv[1]`` holds the settings as JSON. Only two files' folders of codegym are visible inside, so
the packages on the way to them are made here instead of being imported.
"""

import sys
from types import ModuleType


def _package(name: str, folder: str) -> None:
    module = ModuleType(name)
    module.__path__ = [folder]
    sys.modules[name] = module


def main() -> None:
    """Lay out the packages and hand over to the zygote."""
    inside = __file__.rpartition("/")[0]
    sandbox = inside.rpartition("/")[0]
    _package("codegym", sandbox.rpartition("/")[0])
    _package("codegym.sandbox", sandbox)
    _package("codegym.sandbox.inside", inside)
    from codegym.sandbox.inside import zygote

    zygote.main(sys.argv[1])


if __name__ == "__main__":
    main()
