"""The version: `pyproject.toml`, the command line, checkpoints and reports read it here."""

__version__ = "0.1.0"
