"""Filters of registered models, versions and promotions."""
