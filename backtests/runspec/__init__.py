"""The document that asks for a run."""
