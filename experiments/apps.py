"""The experiments app."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """Experiments."""

    name = "experiments"
    verbose_name = "Experiments"

    def ready(self) -> None:
        """Let the doctor look at experiments too."""
        from crowetrade_site.core import doctor  # models load after apps
        from experiments.selectors.failing import analyses_of_experiments

        doctor.register(analyses_of_experiments)
