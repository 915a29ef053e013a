"""Every experiment, by name."""

from codegym.errors import UnknownNameError
from codegym.experiments import (
    chen_paper,
    coderl_paper,
    gorinski_paper,
    rltf_paper,
    weak_tests,
)
from codegym.experiments.experiment import Experiment

_PAPERS = (rltf_paper, gorinski_paper, coderl_paper, chen_paper, weak_tests)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for paper in _PAPERS for experiment in paper.EXPERIMENTS
}


def load_experiment(name: str) -> Experiment:
    """Return an experiment.

    Raises:
        UnknownNameError: No such experiment; names the nearest.
    """
    if name not in EXPERIMENTS:
        raise UnknownNameError(
            "experiment", name, EXPERIMENTS, cure="codegym reproduce --list shows them all"
        )
    return EXPERIMENTS[name]
