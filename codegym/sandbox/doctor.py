"""What this machine can isolate, and the cure for what it cannot."""

# What the refusals look like, and what mends them.
_CURES = (
    (
        ("setting up uid map", "RTM_NEWADDR", "apparmor"),
        "AppArmor restricts user namespaces (Ubuntu 23.10 and later): "
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or install the system's "
        "bubblewrap with an AppArmor profile",
    ),
    (
        ("nesting depth", "max_*_namespaces", "No space left"),
        "user namespaces are used up or switched off: sysctl -w user.max_user_namespaces=15000",
    ),
    (
        ("No permissions to create", "Operation not permitted", "EPERM", "Permission denied"),
        "user namespaces are refused. In Docker: --security-opt seccomp=unconfined "
        "(or a profile that allows unshare, mount and pivot_root) and --security-opt "
        "apparmor=unconfined; on Debian: sysctl -w kernel.unprivileged_userns_clone=1; "
        "or use isolation='landlock'",
    ),
    (
        ("no Landlock", "system call 444"),
        "this kernel has no Landlock: Linux 5.13 or later with landlock in lsm= brings it; "
        "or use isolation='namespace'",
    ),
    (("Creating new namespace failed",), "run where user namespaces are allowed"),
)


def explain(complaint: str) -> str:
    """Return the cure for what a zygote that did not start wrote to standard error."""
    for signs, cure in _CURES:
        if any(sign in complaint for sign in signs):
            return cure
    return "codegym doctor shows what this machine can isolate"
