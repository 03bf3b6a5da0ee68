"""Celery's door to the jobs of strategies."""
