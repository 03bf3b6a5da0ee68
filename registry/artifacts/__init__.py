"""Manifests, digests and formats of model files."""
