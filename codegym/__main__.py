"""``python -m codegym`` is the command line."""

from codegym.cli import main

main()
