"""Start script: the file that a launcher runs inside the sandbox.

``argv[1]`` holds the settings as JSON. Only a few of codegym's files are visible inside, so this
script makes their parent packages itself instead of importing them.
"""

import sys
from types import ModuleType


def _package(name: str, folder: str) -> None:
    module = ModuleType(name)
    module.__path__ = [folder]
    sys.modules[name] = module


def main() -> None:
    """Make the packages and run the zygote."""
    inside = __file__.rpartition("/")[0]
    sandbox = inside.rpartition("/")[0]
    _package("codegym", sandbox.rpartition("/")[0])
    _package("codegym.sandbox", sandbox)
    _package("codegym.sandbox.inside", inside)
    from codegym.sandbox.inside import zygote

    zygote.main(sys.argv[1])


if __name__ == "__main__":
    main()
