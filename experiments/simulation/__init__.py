"""Regret, A/A and replay."""
