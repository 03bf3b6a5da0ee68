"""Registered models, versions and promotions in the admin."""
