"""Code that mining runs inside the sandbox; it imports the standard library and codegym.sandbox."""
