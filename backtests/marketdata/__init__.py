"""Reading, checking and mapping market data."""
