"""Environments, registered with Gymnasium by import codegym. Installed as codegym.envs."""

if __name__ != "codegym.envs":
    raise ImportError("import codegym.envs, not envs: the folder is installed inside codegym")
