"""What mining runs inside the sandbox: the standard library and ``codegym.sandbox.wire`` only."""
