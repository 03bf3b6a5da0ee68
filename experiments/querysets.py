"""Filters of experiments, arms and outcomes."""
