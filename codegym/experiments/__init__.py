"""Experiments: the papers' ablations as data, and the runs and reports of an ablation."""

from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import Arm, Contrast, Experiment, Scale

__all__ = ["EXPERIMENTS", "Arm", "Contrast", "Experiment", "Scale", "load_experiment"]
