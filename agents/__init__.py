"""Agents: one file each, found by name. Installed as codegym.agents."""

if __name__ != "codegym.agents":
    raise ImportError("import codegym.agents, not agents: the folder is installed inside codegym")
