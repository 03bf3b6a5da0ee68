"""The admin's first page: what waits, what runs, what came out last."""

from typing import Any

from django.http import HttpRequest

from backtests.selectors import count_runs_by_status, list_datasets, list_runs
from crowetrade_site.core import roles, seals


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard's rows to the index page; each part by the viewer's rights."""
    granted = roles.grants(request.user)
    if "runs:read" in granted:
        context["run_counts"] = count_runs_by_status()
        context["latest_runs"] = list_runs().order_by("-created_at", "-id")[:8]
    if "datasets:read" in granted:
        context["latest_datasets"] = list_datasets().order_by("-created_at", "-id")[:6]
    if "audit:read" in granted:
        context["unsealed"] = seals.unsealed_count()
    return context
