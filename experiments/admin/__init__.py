"""Experiments in the admin: the live board, and actions that call services."""

from experiments.admin.experiments import ExperimentAdmin

__all__ = ["ExperimentAdmin"]
