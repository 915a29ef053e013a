"""The papers' ablations as data: what is asked, the arms, the seeds, and the sign in question."""

from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import Arm, Contrast, Experiment, Scale

__all__ = ["EXPERIMENTS", "Arm", "Contrast", "Experiment", "Scale", "load_experiment"]
