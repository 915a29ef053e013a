"""Grammar: which next tokens keep a program a prefix of valid Python. Needs the extra `grammar`."""

from codegym.grammar.mask import MaskState, PythonMask, shared_mask

__all__ = ["MaskState", "PythonMask", "shared_mask"]
