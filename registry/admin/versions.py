"""Versions of models in the admin."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from crowetrade_site.core.admin import preformatted
from registry import selectors
from registry.admin.base import (
    STAGE_COLORS,
    STATUS_COLORS,
    page_of_source,
    person,
    with_pages,
    with_pieces,
)
from registry.admin.files import files_of
from registry.admin.moving import NEXT, MovedVersions, judged_of, waiver_of
from registry.lifecycle import Stage
from registry.models import Conversion, Evidence, ModelVersion, RegisteredModel

MOST_EVIDENCE = 200
MOST_SOURCES = 8


def _conversions(row: ModelVersion) -> list[tuple[Conversion, str]]:
    """Return what was converted or shall be, each with how far predictions are apart."""
    found = selectors.list_conversions().filter(version=row).order_by("-id")
    return [(one, selectors.agreement_in_words(one)) for one in found]


@admin.register(ModelVersion)
class ModelVersionAdmin(MovedVersions):
    """Versions: their files, gates, evidence and history, and every move."""

    empty_text = (
        "Register a version on the page of its model, by PUT /api/v1/files/PATH and POST "
        "/api/v1/models/ID/versions/, or log a model with an MLflow client."
    )
    list_display = [
        "name", "shown_stage", "shown_status", "marks", "format", "n_files", "size", "created_by",
        "created_at",
    ]  # fmt: skip
    list_filter = ["stage", "status", "format", "is_held", "created_by"]
    list_select_related = ["registered_model", "created_by"]
    search_fields = ["digest"]
    search_help_text = "Beginnings of words in model, description, source, run and tags; a digest"
    date_hierarchy = "created_at"
    ordering = ["-changed_at", "-id"]
    fieldsets = [
        (
            "Version",
            {
                "fields": [
                    "registered_model", "number", "description", "created_by", "created_at",
                    "stage_changed_at", "left_development_at", "was_production_at",
                ]
            },
        ),
        (
            "Provenance",
            {
                "classes": ["tab"],
                "fields": [
                    "public_id", "digest", "source", "run_id", "run_link", "logged_model_id",
                    "copied_from", "datasets", "code_revision", "shown_parameters",
                    "shown_metrics", "shown_tags",
                ],
            },
        ),
        (
            "Signature",
            {"classes": ["tab"], "fields": ["format", "shown_framework", "shown_signature"]},
        ),
    ]  # fmt: skip
    readonly_fields = [
        "public_id", "created_at", "shown_parameters", "shown_metrics", "shown_tags",
        "shown_framework", "shown_signature",
    ]  # fmt: skip
    change_form_outer_before_template = "registry/admin/version.html"
    change_form_outer_after_template = "registry/admin/after.html"
    actions_detail = [
        "submit", "request_promotion", "attest", "compare", "rework", "revoke", "revive", "hold",
        "release", "waive", "revoke_waiver",
        {
            "title": "More",
            "items": ["describe", "tag", "untag", "sign", "convert", "remove"],
        },
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        """Leave what no row of the list shows where it is."""
        rows: QuerySet[ModelVersion] = super().get_queryset(request)
        large = ("manifest", "findings", "signature", "parameters", "metrics")
        return (
            rows.defer(*large)
            if self.is_list(request)
            else rows.select_related(
                "registered_model__owner", "created_by", "copied_from__registered_model"
            )
        )

    def find(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: Any,
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Search by words, as the API does, or by a digest."""
        if len(term := search_term.strip()) == 64:
            return queryset.filter(digest=term), False
        return queryset.matching(search_term, RegisteredModel.objects.all()), False

    def page_context(self, request: HttpRequest, row: ModelVersion) -> dict[str, Any]:
        """Hand the page its gates, evidence, requests, lineage and history."""
        requests = selectors.list_requests().filter(version=row).order_by("-id")
        pieces = selectors.list_evidence().filter(version=row).order_by("-produced_at", "-id")
        evidence = with_pages(pieces[:MOST_EVIDENCE])
        conversions = _conversions(row)
        return {
            "version": row,
            "waits": selectors.waits_for_worker(row, [one for one, _ in conversions]),
            "files": files_of(request, row),
            "next": _gates(row, evidence),
            "may_attest": "attest" in self.offered(row, person(request)),
            "failed": _failed(row),
            "waiver": waiver_of(row),
            "evidence": evidence,
            "requests": list(requests[:20]),
            "conversions": conversions,
            "signatures": list(row.signatures.select_related("attached_by")),
            "lineage": _lineage(row),
            "history": selectors.history_of(row.registered_model, row),
        }

    @admin.display(description="version", ordering="number")
    def name(self, version: ModelVersion) -> str:
        """Model and number."""
        return str(version)

    @display(description="stage", ordering="stage", label=STAGE_COLORS)
    def shown_stage(self, version: ModelVersion) -> str:
        """The stage as a colored label."""
        return version.stage

    @display(
        description="status", ordering="status", label=STATUS_COLORS | {"compromised": "danger"}
    )
    def shown_status(self, version: ModelVersion) -> str:
        """What came of looking at the files, or that their bytes are others since."""
        return version.status if version.compromised_at is None else "compromised"

    @display(description="marks", label={"held": "info"})
    def marks(self, version: ModelVersion) -> str | None:
        """Whether it is under legal hold."""
        return "held" if version.is_held else None

    @admin.display(description="size", ordering="n_bytes")
    def size(self, version: ModelVersion) -> str:
        """How large all files are together."""
        return filesizeformat(version.n_bytes)

    @admin.display(description="parameters")
    def shown_parameters(self, version: ModelVersion) -> SafeString:
        """The parameters as text."""
        return _pretty(version.parameters)

    @admin.display(description="metrics")
    def shown_metrics(self, version: ModelVersion) -> SafeString:
        """The metrics as text."""
        return _pretty(version.metrics)

    @admin.display(description="tags")
    def shown_tags(self, version: ModelVersion) -> SafeString:
        """The tags as text."""
        return _pretty(version.tags)

    @admin.display(description="framework")
    def shown_framework(self, version: ModelVersion) -> SafeString:
        """The framework as text."""
        return _pretty(version.framework)

    @admin.display(description="signature")
    def shown_signature(self, version: ModelVersion) -> SafeString:
        """What goes in and what comes out, as text."""
        return _pretty(version.signature)


def _lineage(version: ModelVersion) -> dict[str, Any]:
    """Return where a version comes from, and each thing that measured it once, with its page."""
    found = selectors.get_lineage(version)
    sources = list(dict.fromkeys(run["source"] for run in found["runs"]))
    shown = [(source, page_of_source(source)) for source in sources[:MOST_SOURCES]]
    return found | {"sources": shown, "n_more": max(0, len(sources) - MOST_SOURCES)}


def _gates(version: ModelVersion, evidence: list[Evidence]) -> dict[str, Any] | None:
    """Return the gates of the next stage up; None where there is none, or no policy judges."""
    judged = judged_of(version)
    if judged is None:
        return None
    report = with_pieces(judged.report.document(), version, evidence)
    return {"target": NEXT[Stage(version.stage)], "report": report, "policy": judged.policy}


def _failed(version: ModelVersion) -> list[str]:
    """Return what is known by now against a version that is, or could be again, in production."""
    if version.compromised_at is not None:  # which the page says, and no service asks further
        return []
    is_asked = version.stage == Stage.PRODUCTION or version.was_production_at is not None
    return selectors.standing_against(version, at=timezone.now()) if is_asked else []


def _pretty(document: Any) -> SafeString:
    if not document:
        return format_html("{}", "–")
    return preformatted(json.dumps(document, indent=2, ensure_ascii=False))
