"""Programs for the tasks of any codegym source, judged in its sandbox."""

from codegym_programs.taskset import ProgramTaskset

__all__ = ["ProgramTaskset"]
