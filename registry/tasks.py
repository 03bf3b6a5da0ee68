"""Celery's door to the jobs of registered models, versions and promotions."""
