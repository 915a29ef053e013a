"""Sandboxes: untrusted programs in, raw facts out."""

from codegym.sandbox.base import ExecutionResult, FakeSandbox, Job, Sandbox, Ticket
from codegym.sandbox.choice import make_sandbox

__all__ = ["ExecutionResult", "FakeSandbox", "Job", "Sandbox", "Ticket", "make_sandbox"]
