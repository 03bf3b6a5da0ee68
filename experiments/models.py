"""Tables of experiments, arms and outcomes."""
