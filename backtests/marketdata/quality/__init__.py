"""Checks of market data: what is wrong, where, and what to do about it."""
