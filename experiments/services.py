"""Web-side verbs of experiments, arms and outcomes."""
