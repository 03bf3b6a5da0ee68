"""Splits and honest statistics."""
