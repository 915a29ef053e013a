"""Sandboxes: run untrusted programs and return the raw results."""

from codegym.sandbox.choice import make_sandbox
from codegym.sandbox.job import ExecutionResult, FakeSandbox, Job, Sandbox, Ticket

__all__ = ["ExecutionResult", "FakeSandbox", "Job", "Sandbox", "Ticket", "make_sandbox"]
