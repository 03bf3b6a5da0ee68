"""The admin's first page: what waits, what runs, what came out last."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.dataclasses import SearchResult

from backtests.selectors import (
    count_runs_by_status,
    describe_run,
    get_headline,
    list_datasets,
    list_runs,
)
from crowetrade_site.core import roles, seals
from experiments.selectors import last_reasons, list_experiments
from registry.selectors import (
    count_admitted_earlier,
    count_production_versions,
    list_models,
    list_versions,
    waiting_for,
)

MOST_FOUND = 8  # of each kind
ID_START = re.compile(r"[0-9a-f-]{4,36}")
NUMBERED = re.compile(r"(?P<name>.+?)(?:\s+v?|/)(?P<number>[0-9]{1,6})")


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
        context["versions_admitted_earlier"] = count_admitted_earlier()
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


def search(request: HttpRequest, term: str) -> list[SearchResult]:
    """Find models, versions, experiments and runs for the sidebar's search, by the viewer's rights.

    Models and experiments by a part of their names, versions by model and number (``momentum/3``),
    runs by the beginning of an id or a part of the tested version's name. A query for each kind.
    """
    granted, text = roles.grants(request.user), term.strip()
    if not text or "\0" in text:
        return []
    found: list[SearchResult] = []
    if "models:read" in granted:
        models = list_models().prefetch_related(None).filter(name__icontains=text)
        found += _results(models.order_by("name"), "model", "deployed_code")
        if numbered := NUMBERED.fullmatch(text):
            named = Q(registered_model__name__icontains=numbered["name"].strip())
            versions = list_versions().filter(named, number=int(numbered["number"]))
            found += _results(versions.order_by("registered_model__name"), "version", "layers")
    if "experiments:read" in granted:
        experiments = list_experiments().filter(name__icontains=text)
        found += _results(experiments.order_by("-created_at"), "experiment", "experiment")
    if "runs:read" in granted:
        named = Q(tested_name__icontains=text)
        if ID_START.fullmatch(text):
            named |= Q(text_id__startswith=text)
        runs = list_runs().annotate(text_id=Cast("public_id", CharField())).filter(named)
        found += _results(runs.order_by("-created_at", "-id"), "run", "science")
    return found


def _results(rows: QuerySet[Any], kind: str, icon: str) -> list[SearchResult]:
    """Return the first rows, each with its page."""
    page = f"admin:{rows.model._meta.label_lower.replace('.', '_')}_change"  # noqa: SLF001
    return [
        SearchResult(
            title=describe_run(row) if kind == "run" else str(row),
            description=kind,
            link=reverse(page, args=[row.pk]),
            icon=icon,
        )
        for row in rows[:MOST_FOUND]
    ]
