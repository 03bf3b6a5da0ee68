"""The strategies app."""

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    """Strategies."""

    name = "strategies"
    verbose_name = "Strategies"
