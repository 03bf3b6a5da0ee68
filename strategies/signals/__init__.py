"""Scores from prices."""
