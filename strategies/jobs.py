"""Worker-side verbs of strategies; backtests.jobs composes specs, so there are none."""
