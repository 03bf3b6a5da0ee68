"""Types that desks trust, in the admin: proposed by one, approved by another."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReasonForm
from registry import services
from registry.admin.base import RegistryAdmin, RemarkForm, dialog_action
from registry.models import TrustedType


class TypeForm(ReasonForm):
    """Asks for a type, and why a desk shall trust it."""

    desk = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget())
    name = forms.CharField(
        label="Type", max_length=300, help_text="In full: module.Class.",
        widget=UnfoldAdminTextInputWidget(),
    )  # fmt: skip
    field_order = ["desk", "name", "reason"]


@admin.register(TrustedType)
class TrustedTypeAdmin(RegistryAdmin):
    """What the skops files of a desk may name beside the registry's own list."""

    empty_text = (
        "The registry's own list is enough for most models. Where a desk's skops files name "
        "another type, propose it above; a second person approves it."
    )
    list_display = [
        "name", "desk", "shown_state", "proposed_by", "approved_by", "revoked_by", "proposed_at",
    ]  # fmt: skip
    list_filter = ["desk", "proposed_by"]
    list_select_related = ["proposed_by", "approved_by", "revoked_by"]
    search_fields = ["name", "desk"]
    ordering = ["-created_at", "-id"]
    fields = [
        "name", "desk", "reason", "proposed_by", "proposed_at", "approved_by", "approved_at",
        "revoked_by", "revoked_at", "public_id",
    ]  # fmt: skip
    readonly_fields = ["public_id"]
    actions_list = ["propose"]
    actions_detail = ["approve", "revoke"]

    @display(
        description="state",
        label={"trusted": "success", "proposed": "warning", "revoked": "danger"},
    )
    def shown_state(self, row: TrustedType) -> str:
        """The state as a colored label."""
        return row.state

    def offered(self, row: TrustedType, user: User) -> set[str]:
        """Approve to others than who proposed it, revoke to judges and to who proposed it."""
        if row.state == "revoked":
            return set()
        is_judge, is_own = "models:approve" in roles.grants(user), row.proposed_by_id == user.pk
        names = {"revoke"} if is_judge or is_own else set()
        if is_judge and not is_own and row.approved_at is None:
            names.add("approve")
        return names

    @dialog_action(
        "Propose a type",
        icon="add",
        title="Propose a type to trust",
        text="Somebody else must approve it. A type that runs what it is given is never trusted.",
        form=TypeForm,
    )
    def propose(self, request: HttpRequest, form: TypeForm) -> HttpResponse:
        """Propose a type; a refusal is told beside what was typed, which stays."""
        made = self.serve(
            request, services.propose_type, "The type is proposed; somebody else approves it.",
            desk=form.cleaned_data["desk"], name=form.cleaned_data["name"],
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(made)

    def called(
        self, request: HttpRequest, verb: Any, done: str, form: Any, object_id: str
    ) -> HttpResponse:
        """Call a service on the row of a page, and show the page again."""
        self.serve(
            request, verb, done, type_id=self.public_id(object_id),
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(None, object_id)

    @dialog_action(
        "Approve",
        icon="verified",
        title="Trust this type",
        text="Skops files of the desk may name it from now on: they are opened in workers.",
        form=RemarkForm,
    )
    def approve(self, request: HttpRequest, form: RemarkForm, object_id: str) -> HttpResponse:
        """Approve."""
        return self.called(request, services.approve_type, "The type is trusted.", form, object_id)

    @dialog_action(
        "Revoke",
        icon="block",
        title="Trust this type no more",
        text="Versions that need it are neither loaded nor promoted from now on.",
    )
    def revoke(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Revoke."""
        return self.called(request, services.revoke_type, "The type is revoked.", form, object_id)
