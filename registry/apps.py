"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Model registry."""

    name = "registry"
    verbose_name = "Model registry"
