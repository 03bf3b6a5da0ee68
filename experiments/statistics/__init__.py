"""Inference for experiments."""
