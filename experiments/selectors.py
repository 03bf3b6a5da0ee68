"""Questions about experiments, arms and outcomes."""
