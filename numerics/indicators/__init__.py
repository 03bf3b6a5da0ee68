"""Compiled technical indicators, prefix-invariant."""
