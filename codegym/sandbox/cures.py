"""Cures: known complaints of a zygote that did not start, and their remedies."""

_CURES = (
    (
        ("setting up uid map", "RTM_NEWADDR", "apparmor"),
        "AppArmor restricts user namespaces (Ubuntu 23.10 and later): "
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or allow bwrap by an AppArmor "
        "profile; or use isolation='landlock'",
    ),
    (
        ("nesting depth", "max_*_namespaces", "No space left"),
        "user namespaces are used up or switched off: sysctl -w user.max_user_namespaces=15000; "
        "or use isolation='landlock'",
    ),
    (
        ("no Landlock", "system call 444"),
        "this kernel has no Landlock: Linux 5.13 or later with landlock in lsm= brings it; "
        "or use isolation='namespace'",
    ),
    (
        ("Can't find source path", "No such file or directory"),
        "the interpreter's files must be readable by this user; run another Python",
    ),
    (
        ("No permissions to create", "Operation not permitted", "Permission denied", "EPERM"),
        "user namespaces are refused. In Docker: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined, or a profile that allows unshare, mount and "
        "pivot_root; on Debian: sysctl -w kernel.unprivileged_userns_clone=1; "
        "or use isolation='landlock'",
    ),
)


def explain(complaint: str) -> str:
    """Return the cure for a complaint that a zygote wrote to standard error as it started."""
    for signs, cure in _CURES:
        if any(sign in complaint for sign in signs):
            return cure
    return "codegym doctor shows which isolations work here"
