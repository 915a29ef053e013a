"""Catalogue: every experiment by name."""

from codegym.errors import UnknownNameError
from codegym.experiments import chen_paper, gorinski_paper, rltf_paper
from codegym.experiments.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    one.name: one
    for one in (*rltf_paper.EXPERIMENTS, *gorinski_paper.EXPERIMENTS, *chen_paper.EXPERIMENTS)
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
