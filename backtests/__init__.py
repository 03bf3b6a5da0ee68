"""Datasets, runs, sweeps, walk-forward."""
