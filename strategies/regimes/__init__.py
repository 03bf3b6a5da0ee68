"""Market states."""
