"""Worker-side verbs of experiments, arms and outcomes."""
