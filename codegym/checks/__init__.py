"""Conformance suites: one module per kind of plug-in, ``check_<kind>`` in each."""
