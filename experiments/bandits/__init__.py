"""Allocation policies."""
