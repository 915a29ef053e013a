"""Machine: the computer of a measurement, and its load."""

import os
import platform
from typing import Any


def machine() -> dict[str, Any]:
    """Return cores, torch's threads, the load of the last minutes and versions, as JSON values."""
    import torch

    return {
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
