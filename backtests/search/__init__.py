"""Parameter search."""
