"""Inside: code that mining runs in the sandbox, with codegym.sandbox.wire and grading.compare."""
