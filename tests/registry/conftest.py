"""What every test of the registry needs."""

import pytest


@pytest.fixture(autouse=True)
def _default_policy(request):
    """Store the default policy again where a flush took it away."""
    if "django_db" not in request.keywords:
        return
    request.getfixturevalue("transactional_db" if _is_transactional(request) else "db")
    from importlib import import_module

    from django.apps import apps

    from registry.models import PromotionPolicy

    if not PromotionPolicy.objects.exists():
        for name in ("0002_default_policy", "0015_default_policy_bounds_look_ahead"):
            import_module(f"registry.migrations.{name}").store(apps, None)


def _is_transactional(request):
    marker = request.node.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction"))
