"""Celery's door to the jobs of experiments, arms and outcomes."""
