"""Agents: a file for each, found by name; installed as codegym.agents."""

if __name__ != "codegym.agents":
    raise ImportError("import codegym.agents, not agents: the folder is installed inside codegym")
