"""Experiments, arms and outcomes in the admin."""
