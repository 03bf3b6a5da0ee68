"""Requests for promotion in the admin: the checklist, the approvals, and four buttons."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from crowetrade_site.core.admin import ReasonForm
from registry import selectors, services
from registry.admin.base import (
    REQUEST_COLORS,
    RegistryAdmin,
    RemarkForm,
    dialog_action,
    person,
    with_pieces,
)
from registry.admin.files import files_of
from registry.lifecycle import ASKED_FROM, Stage
from registry.models import ModelVersion, PromotionRequest


class WaitingFilter(admin.SimpleListFilter):
    """What the viewer could approve or carry out now."""

    title, parameter_name = "waiting", "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Offer one choice."""
        return [("me", "for me")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what waits for the viewer."""
        if self.value() != "me":
            return queryset
        mine = selectors.waiting_for(person(request), at=timezone.now())
        return queryset.filter(pk__in=mine.values("pk"))


class ApproveForm(RemarkForm):
    """Shows what is agreed to, and asks for a comment."""

    evidence_digest = forms.CharField(widget=forms.HiddenInput(), required=False)
    form_before_template = "registry/admin/agreed.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = selectors.list_requests().filter(pk=self.object_id).first()
        self.standing = None if row is None else selectors.standing_of(row, at=timezone.now())
        self.row = row
        self.fields["reason"].label = "Comment"
        if self.standing is not None:
            self.fields["evidence_digest"].initial = self.standing.evidence_digest

    def get_before_template_context(
        self,
        request: HttpRequest,  # noqa: ARG002
        object_id: int | str | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Hand the dialog the gates."""
        if self.row is None or self.standing is None:
            return {}
        return {
            "standing": self.standing,
            "report": with_pieces(self.standing.report, self.row.version),
            "version_digest": self.row.version_digest,
        }


class ExecuteForm(BaseDialogForm):
    """Says what enters and what leaves production by it."""

    form_before_template = "registry/admin/execute.html"

    def get_before_template_context(
        self,
        request: HttpRequest,  # noqa: ARG002
        object_id: int | str | None = None,
    ) -> dict[str, Any]:
        """Hand the dialog the version that comes, and the one that is in production now."""
        row = selectors.list_requests().filter(pk=str(object_id)).first()
        model = None if row is None else row.version.registered_model
        present = ModelVersion.objects.filter(registered_model=model, stage=Stage.PRODUCTION)
        return {
            "coming": None if row is None else row.version,
            "leaving": present.select_related("registered_model").first(),
        }


@admin.register(PromotionRequest)
class PromotionRequestAdmin(RegistryAdmin):
    """Requests for promotion, and what waits for whom."""

    empty_text = "A promotion is asked for on the page of a version in testing or staging."
    list_display = [
        "name", "target", "shown_status", "requested_by", "author", "approved", "requested_at",
        "expires_at",
    ]  # fmt: skip
    list_filter = [WaitingFilter, "status", "target", "requested_by"]
    search_fields = ["version__registered_model__name", "version_digest"]
    date_hierarchy = "requested_at"
    ordering = ["-requested_at", "-id"]
    fieldsets = [
        (
            "Record",
            {
                "fields": [
                    "policy", "version_digest", "evidence_digest", "decided_by", "decided_at",
                    "public_id",
                ]
            },
        )
    ]  # fmt: skip
    readonly_fields = ["public_id"]
    change_form_outer_before_template = "registry/admin/promotion.html"
    change_form_outer_after_template = "registry/admin/after.html"
    actions_detail = ["approve", "execute", "reject", "withdraw"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromotionRequest]:  # noqa: ARG002
        """Fetch versions, people and approvals with the rows."""
        return selectors.list_requests().select_related("decided_by")

    def page_context(self, request: HttpRequest, row: PromotionRequest) -> dict[str, Any]:
        """Hand the page its checklist and approvals."""
        standing = self._standing(row)
        void = standing.tally.void
        return {
            "promotion": row,
            "asked_from": ASKED_FROM[Stage(row.target)],
            "standing": standing,
            "approvals": [(one, void.get(one.pk, "")) for one in row.approvals.all()],
            "assigned_by": row.version.registered_model.policy_assigned_by,
            "chose_the_policy": _chose(row, standing),
            "deciders": sorted(selectors.deciding_roles(standing.policy, row.target)),
            "report": with_pieces(standing.report, row.version),
            "files": files_of(request, row.version),
            "is_pending": row.status in selectors.PENDING_REQUESTS,
            "history": selectors.history_of_request(row),
        }

    @admin.display(description="version", ordering="version__registered_model__name")
    def name(self, request: PromotionRequest) -> str:
        """Model and number."""
        return str(request.version)

    @admin.display(description="author")
    def author(self, request: PromotionRequest) -> str:
        """Who registered the version."""
        return request.version.created_by.get_username()

    @display(description="status", ordering="status", label=REQUEST_COLORS)
    def shown_status(self, request: PromotionRequest) -> str:
        """The status as a colored label."""
        return request.status

    @admin.display(description="approvals")
    def approved(self, request: PromotionRequest) -> str:
        """How many were given, of how many; how many of them stand the page says, which judges."""
        n_given = sum(one.lapsed_at is None for one in request.approvals.all())
        return f"{n_given} given of {request.report['approvals_needed']}"

    def offered(self, row: PromotionRequest, user: User) -> set[str]:
        """What the viewer could decide or carry out."""
        return selectors.may_do(user, row, self._standing(row))

    @staticmethod
    def _standing(row: PromotionRequest) -> selectors.Standing:
        """Judge a row once a request: the page and its buttons both ask for it."""
        seen: dict[str, selectors.Standing] = vars(row)
        if "_stands" not in seen:
            seen["_stands"] = selectors.standing_of(row, at=timezone.now())
        return seen["_stands"]

    def called(
        self, request: HttpRequest, verb: Any, done: str, object_id: str, **arguments: Any
    ) -> HttpResponse:
        """Call a service on the row of a page, and show the page again."""
        self.serve(request, verb, done, request_id=self.public_id(object_id), **arguments)
        return self.page_of(None, object_id)

    @dialog_action(
        "Approve",
        icon="check_circle",
        title="Approve this promotion",
        text="You agree to exactly these bytes and this evidence; your approval lapses if either "
        "changes.",
        form=ApproveForm,
        permission="view",  # the service refuses whoever may not, and puts that on record
    )
    def approve(self, request: HttpRequest, form: ApproveForm, object_id: str) -> HttpResponse:
        """Agree."""
        return self.called(
            request, services.approve_promotion, "You have approved the promotion.", object_id,
            comment=form.cleaned_data["reason"],
            evidence_digest=form.cleaned_data["evidence_digest"],
        )  # fmt: skip

    @dialog_action(
        "Execute",
        icon="rocket_launch",
        title="Put this version into production",
        text="Its gates are judged once more.",
        form=ExecuteForm,
        permission="view",
    )
    def execute(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Carry it out."""
        return self.called(
            request, services.execute_promotion, "The version is in production.", object_id
        )

    @dialog_action(
        "Reject",
        icon="cancel",
        title="Reject this promotion",
        text="The request ends; another may be handed in.",
    )
    def reject(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Refuse."""
        return self.called(
            request, services.reject_promotion, "The promotion is rejected.", object_id,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Withdraw",
        icon="undo",
        title="Take this request back",
        text="The request ends; another may be handed in.",
        form=RemarkForm,
    )
    def withdraw(self, request: HttpRequest, form: RemarkForm, object_id: str) -> HttpResponse:
        """Take back."""
        return self.called(
            request, services.withdraw_promotion, "The request is withdrawn.", object_id,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip


def _chose(row: PromotionRequest, standing: selectors.Standing) -> str:
    """Return what who asks did about the policy that judges, if anything."""
    assigned_by = row.version.registered_model.policy_assigned_by_id
    did = {"stored": standing.policy.stored_by_id, "assigned": assigned_by}
    return " and ".join(word for word, person in did.items() if person == row.requested_by_id)
