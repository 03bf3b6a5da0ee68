"""The ground floor as a Django app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Accounts, tokens, the audit trail and artefact storage."""

    name = "crowetrade_site.core"
    label = "core"
    verbose_name = "Audit and access"

    def ready(self) -> None:
        """Make our Celery application the one that tasks are sent by."""
        from crowetrade_site import celery  # noqa: F401 - importing it registers it
