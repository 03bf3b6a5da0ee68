"""Event-driven simulation: one door, `simulate()`."""
