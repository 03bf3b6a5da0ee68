"""The backtests app."""

from django.apps import AppConfig


class BacktestsConfig(AppConfig):
    """Backtests."""

    name = "backtests"
    verbose_name = "Backtests"
