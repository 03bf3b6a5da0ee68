"""The admin's first page: what waits, what runs, what came out last."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.urls import reverse

from backtests.selectors import (
    claim_of,
    count_runs_by_status,
    describe_run,
    list_datasets,
    list_runs,
)
from crowetrade_site.core import roles, seals

if TYPE_CHECKING:
    from backtests.models import Run


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard's rows to the index page; each part by the viewer's rights."""
    granted = roles.grants(request.user)
    context["title"] = "Overview"
    if "runs:read" in granted:
        context["run_counts"] = count_runs_by_status()
        latest = list_runs().order_by("-created_at", "-id")[:8]
        context["latest_runs"] = [
            (run, describe_run(run), _sharpe(run), claim_of(run)) for run in latest
        ]
    if "datasets:read" in granted:
        context["latest_datasets"] = list_datasets().order_by("-created_at", "-id")[:6]
    if "audit:read" in granted:
        context["unsealed"] = seals.unsealed_count()
    return context


def _sharpe(run: "Run") -> str:
    value = run.summary.get("metrics", {}).get("sharpe", {}).get("value")
    return "–" if value is None else f"{value:.2f}"


LINKS = (
    ("Laboratory", (
        ("Runs", "science", "admin:backtests_run_changelist", "runs:read"),
        ("Datasets", "database", "admin:backtests_dataset_changelist", "datasets:read"),
        ("Strategies", "schema", "admin:strategies_strategy_changelist", "strategies:read"),
    )),
    ("Audit", (
        ("Audit trail", "history", "admin:core_auditevent_changelist", "audit:read"),
        ("Seals", "verified", "admin:core_auditseal_changelist", "audit:read"),
    )),
    ("Access", (
        ("Users", "group", "admin:auth_user_changelist", "users:write"),
        ("API tokens", "key", "admin:core_apitoken_changelist", "users:write"),
        ("API documentation", "api", "docs", "runs:read"),
    )),
)  # fmt: skip


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: what the viewer's roles let them read."""
    granted = roles.grants(request.user)
    groups = []
    for title, links in LINKS:
        items = [
            {"title": name, "icon": icon, "link": reverse(address)}
            for name, icon, address, scope in links
            if scope in granted
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups
