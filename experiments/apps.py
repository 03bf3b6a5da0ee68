"""The experiments app."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """Experiments."""

    name = "experiments"
    verbose_name = "Experiments"
