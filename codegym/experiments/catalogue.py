"""Catalogue: every experiment by name."""

from codegym.errors import UnknownNameError
from codegym.experiments import chen, gorinski, rltf
from codegym.experiments.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    one.name: one for one in (*rltf.EXPERIMENTS, *gorinski.EXPERIMENTS, *chen.EXPERIMENTS)
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
