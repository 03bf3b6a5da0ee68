"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Model registry."""

    name = "registry"
    verbose_name = "Model registry"

    def ready(self) -> None:
        """Let the doctor look at aliases, model cards and admissions too."""
        from crowetrade_site.core import doctor  # models load after apps
        from registry.selectors.aliases import aliases_of_production
        from registry.selectors.people import operators_of_models
        from registry.selectors.scanning import scans_of_versions

        doctor.register(aliases_of_production)
        doctor.register(operators_of_models)
        doctor.register(scans_of_versions)
