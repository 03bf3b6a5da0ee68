"""Versions of models in the admin."""

import json
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReasonForm, preformatted
from crowetrade_site.core.errors import DomainError
from registry import selectors, services
from registry.admin import able
from registry.admin.base import (
    STAGE_COLORS,
    STATUS_COLORS,
    RemarkForm,
    dialog_action,
    page_of_source,
    person,
    with_pages,
    with_pieces,
)
from registry.admin.describing import DescribedVersions
from registry.admin.files import files_of
from registry.admin.forms import PromotionForm, RowsForm, WaiverForm
from registry.lifecycle import RULES, ConversionTarget, Stage, VersionStatus
from registry.models import Conversion, Evidence, ModelVersion, RegisteredModel, Waiver
from registry.services.steps import require_author, require_contributor

NEXT = {
    Stage.DEVELOPMENT: Stage.TESTING,
    Stage.TESTING: Stage.STAGING,
    Stage.STAGING: Stage.PRODUCTION,
}
MOST_EVIDENCE = 200
MOST_SOURCES = 8
MOVES = ("submit", "rework", "revoke", "revive")


def _conversions(row: ModelVersion) -> list[tuple[Conversion, str]]:
    """Return what was converted or shall be, each with how far predictions are apart."""
    found = selectors.list_conversions().filter(version=row).order_by("-id")
    return [(one, selectors.agreement_in_words(one)) for one in found]


def _moving(
    description: str, *, icon: str, title: str, text: str, target: Stage, done: str,
    form: type[BaseDialogForm] = ReasonForm,
) -> Any:  # fmt: skip
    """Return the action of a move that takes no request."""

    @dialog_action(description, icon=icon, title=title, text=text, form=form)
    def moving(
        page: "ModelVersionAdmin", request: HttpRequest, form: BaseDialogForm, object_id: str
    ) -> HttpResponse:
        return page.called(
            request, services.move_version, done, object_id, target=target,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip

    return moving


def _holding(description: str, *, icon: str, title: str, text: str, is_held: bool) -> Any:
    """Return the action that puts a version under legal hold, or releases it."""

    @dialog_action(description, icon=icon, title=title, text=text)
    def holding(
        page: "ModelVersionAdmin", request: HttpRequest, form: ReasonForm, object_id: str
    ) -> HttpResponse:
        done = "The version is held." if is_held else "The version is released."
        return page.called(
            request, services.hold_version, done, object_id, is_held=is_held,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip

    return holding


@admin.register(ModelVersion)
class ModelVersionAdmin(DescribedVersions):
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

    def offered(self, row: ModelVersion, user: User) -> set[str]:
        """Every move, and what else the roles and the state allow; asked once a request."""
        seen: dict[str, set[str]] = vars(row)
        if "_offered" not in seen:
            seen["_offered"] = self._offered(row, user)
        return seen["_offered"]

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
            "waiver": _waiver(row),
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

    def _offered(self, row: ModelVersion, user: User) -> set[str]:
        held, stage = roles.roles_of(user), Stage(row.stage)
        is_own, names = row.created_by_id == user.pk, set()
        for (before, _), rule in RULES.items():
            if before == stage and rule.name in MOVES and rule.allows(held, is_own=is_own):
                names |= {rule.name} if rule.name != "submit" or _is_fit(row) else set()
            if before == stage and rule.requests & held:
                pending = row.requests.filter(status__in=selectors.PENDING_REQUESTS)
                names |= set() if pending.exists() else {"request_promotion"}
        if "models:approve" in roles.grants(user):
            names.add("release" if row.is_held else "hold")
        if roles.Role.ADMIN in held and row.status == VersionStatus.QUARANTINED:
            names |= set() if user.pk in selectors.authors_of(row) else {"waive"}
            names |= {"revoke_waiver"} if _waiver(row) else set()
        may_write = able.allows(require_author, row, user)
        may_add = may_write and able.allows(require_contributor, row.registered_model, user)
        if may_add and any(selectors.may_become(row, target) for target in ConversionTarget):
            names.add("convert")
        return names | able.on_version(row, user)

    submit = _moving(
        "Submit to testing",
        icon="upload",
        title="Submit this version to testing",
        text="The gates of testing must be met.",
        target=Stage.TESTING,
        done="The version is in testing.",
        form=RemarkForm,
    )
    rework = _moving(
        "Rework",
        icon="build",
        title="Take this version back to development",
        text="Requests for its promotion are withdrawn.",
        target=Stage.DEVELOPMENT,
        done="The version is in development again.",
    )
    revoke = _moving(
        "Revoke",
        icon="block",
        title="Revoke this version, at once",
        text="It is archived and nothing loads it any more; its aliases end.",
        target=Stage.ARCHIVED,
        done="The version is archived.",
    )
    revive = _moving(
        "Revive",
        icon="restart_alt",
        title="Take this version out of the archive",
        text="It begins again in development.",
        target=Stage.DEVELOPMENT,
        done="The version is in development again.",
    )
    hold = _holding(
        "Hold",
        icon="gavel",
        title="Put this version under legal hold",
        text="It cannot be deleted until it is released.",
        is_held=True,
    )
    release = _holding(
        "Release",
        icon="lock_open",
        title="Release this version from its legal hold",
        text="It can be deleted again, if it never left development.",
        is_held=False,
    )

    @dialog_action(
        "Request promotion",
        icon="moving",
        title="Ask for this version to go up",
        text="Its gates are judged now and when it goes; others than you and the author approve.",
        form=PromotionForm,
        permission="view",  # the service refuses whoever may not, and puts that on record
    )
    def request_promotion(
        self, request: HttpRequest, form: RemarkForm, object_id: str
    ) -> HttpResponse:
        """Ask for the next stage."""
        version = self.get_object(request, object_id)
        target = NEXT.get(Stage(version.stage), Stage.PRODUCTION) if version else Stage.STAGING
        return self.called(
            request, services.request_promotion, "The promotion is requested.", object_id,
            target=target, reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Convert",
        icon="transform",
        title="Convert this model to skops or ONNX",
        text="A worker does it in the sandbox; what comes out is a new version in development.",
        form=RowsForm,
    )
    def convert(self, request: HttpRequest, form: RowsForm, object_id: str) -> HttpResponse:
        """Ask for a conversion."""
        return self.called(
            request, services.convert_version, "The conversion is queued.", object_id,
            rows=form.cleaned_data["rows"], target=form.cleaned_data["target"],
            missing_values=form.cleaned_data["missing_values"],
        )  # fmt: skip

    @dialog_action(
        "Grant waiver",
        icon="verified_user",
        title="Let this quarantined version leave development",
        text="It is a pickle: opening it can run code. The waiver ends at the date that you set.",
        form=WaiverForm,
    )
    def waive(self, request: HttpRequest, form: WaiverForm, object_id: str) -> HttpResponse:
        """Grant a waiver."""
        return self.called(
            request, services.grant_waiver, "The waiver is granted.", object_id,
            expires_at=form.cleaned_data["expires_at"], reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Revoke waiver",
        icon="remove_moderator",
        title="Take the waiver of this version back",
        text="The version goes no further by it from now on. What is in use is stopped by revoking "
        "the version.",
    )
    def revoke_waiver(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Revoke the waiver that holds longest."""
        version = self.get_object(request, object_id)
        waiver = _waiver(version) if version else None
        return self.called(
            request, services.revoke_waiver, "The waiver is revoked.", object_id,
            waiver_id=waiver.public_id if waiver else uuid4(), reason=form.cleaned_data["reason"],
        )  # fmt: skip


def _waiver(version: ModelVersion) -> Waiver | None:
    """Return the waiver that holds longest."""
    granted = version.waivers.filter(revoked_at=None).select_related("granted_by")
    return granted.order_by("-expires_at").first()


def _lineage(version: ModelVersion) -> dict[str, Any]:
    """Return where a version comes from, and each thing that measured it once, with its page."""
    found = selectors.get_lineage(version)
    sources = list(dict.fromkeys(run["source"] for run in found["runs"]))
    shown = [(source, page_of_source(source)) for source in sources[:MOST_SOURCES]]
    return found | {"sources": shown, "n_more": max(0, len(sources) - MOST_SOURCES)}


def _judged(version: ModelVersion) -> selectors.Judgement | None:
    """Judge the next stage up, once a request: the page and its buttons both ask for it.

    None where there is none, or no policy judges.
    """
    seen: dict[str, selectors.Judgement | None] = vars(version)
    if "_judged" not in seen:
        target = NEXT.get(Stage(version.stage))
        seen["_judged"] = None
        if target is not None:
            with suppress(DomainError):
                seen["_judged"] = selectors.judge(version, target, at=timezone.now())
    return seen["_judged"]


def _is_fit(version: ModelVersion) -> bool:
    """Whether every gate of the next stage is met."""
    judged = _judged(version)
    return judged is not None and judged.report.is_met


def _gates(version: ModelVersion, evidence: list[Evidence]) -> dict[str, Any] | None:
    """Return the gates of the next stage up; None where there is none, or no policy judges."""
    judged = _judged(version)
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
