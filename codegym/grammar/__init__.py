"""Grammar: masks of the tokens that keep a text a prefix of valid Python (extra ``grammar``)."""

from codegym.grammar.mask import MaskState, PythonMask, shared_mask

__all__ = ["MaskState", "PythonMask", "shared_mask"]
