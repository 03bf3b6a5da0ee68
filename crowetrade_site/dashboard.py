"""The admin's first page: what waits, what runs, what came out last."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from backtests.selectors import (
    count_runs_by_status,
    describe_run,
    get_headline,
    list_datasets,
    list_runs,
)
from crowetrade_site.core import roles, seals
from experiments.selectors import last_reasons, list_experiments
from registry.selectors import count_production_versions, waiting_for


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard's rows to the index page; each part by the viewer's rights."""
    person: User = request.user  # type: ignore[assignment]  # the admin lets nobody else in
    granted = roles.grants(person)
    context["title"] = "Overview"
    if "runs:read" in granted:
        context["run_counts"] = count_runs_by_status()
        latest = list_runs().order_by("-created_at", "-id")[:8]
        context["latest_runs"] = [
            (run, describe_run(run), *get_headline(run, "sharpe")) for run in latest
        ]
    if "models:read" in granted:
        mine = waiting_for(person, at=timezone.now())
        context["promotions_waiting"] = mine.count()
        context["production_versions"] = count_production_versions()
    if "experiments:read" in granted:
        at_work = list(list_experiments().at_work().order_by("-started_at", "-id")[:8])
        said = last_reasons(at_work)
        context["experiments"] = [(one, said.get(one.pk, "")) for one in at_work]
    if "datasets:read" in granted:
        context["latest_datasets"] = list_datasets().order_by("-created_at", "-id")[:6]
    if "audit:read" in granted:
        context["unsealed"] = seals.unsealed_count()
    return context


LINKS = (
    ("Laboratory", (
        ("Runs", "science", "admin:backtests_run_changelist", "runs:read"),
        ("Datasets", "database", "admin:backtests_dataset_changelist", "datasets:read"),
        ("Strategies", "schema", "admin:strategies_strategy_changelist", "strategies:read"),
    )),
    ("Experiments", (
        (
            "Experiments", "experiment", "admin:experiments_experiment_changelist",
            "experiments:read",
        ),
    )),
    ("Registry", (
        ("Models", "deployed_code", "admin:registry_registeredmodel_changelist", "models:read"),
        ("Versions", "layers", "admin:registry_modelversion_changelist", "models:read"),
        ("Promotions", "moving", "admin:registry_promotionrequest_changelist", "models:read"),
        ("Evidence", "fact_check", "admin:registry_evidence_changelist", "evidence:read"),
        ("Policies", "rule", "admin:registry_promotionpolicy_changelist", "models:read"),
        ("Trusted types", "verified", "admin:registry_trustedtype_changelist", "models:read"),
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
