"""How dates and times are written: ISO, UTC, for every reader the same."""
