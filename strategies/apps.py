"""The strategies app."""

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    """Strategies."""

    name = "strategies"
    verbose_name = "Strategies"

    def ready(self) -> None:
        """Have the registry show a strategy's faults when its file is admitted."""
        from registry import services as registry
        from strategies import selectors

        registry.read_parameters_with(selectors.remarks_on)
