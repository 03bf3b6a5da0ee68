"""Weights from scores."""
