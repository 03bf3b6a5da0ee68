"""Evidence and policies in the admin."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReadOnlyAdmin, ReasonForm, preformatted
from registry import selectors, services
from registry.admin.base import RegistryAdmin, dialog_action, name_of_source, page_of_source
from registry.lifecycle import EvidenceStatus
from registry.models import Evidence, PromotionPolicy


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    """Evidence, measured and attested."""

    read_scope = "evidence:read"

    class Media:
        css = {"all": ["registry/registry.css"]}

    empty_text = (
        "Runs of a version's file (strategy: models:/NAME/NUMBER) hand evidence in; validators "
        "attest on the page of a version."
    )
    list_display = [
        "version", "kind", "topic", "is_measured", "shown_status", "short_source", "handed_in_by",
        "produced_at", "expires_at",
    ]  # fmt: skip
    list_filter = ["kind", "is_measured", "status"]
    list_select_related = ["version__registered_model", "handed_in_by"]
    search_fields = ["version__registered_model__name", "digest", "source"]
    date_hierarchy = "produced_at"
    ordering = ["-produced_at", "-id"]
    fields = [
        "version", "kind", "is_measured", "status", "summary", "shown_figures", "shown_digests",
        "digest", "environment", "shown_source", "produced_at", "expires_at", "handed_in_by",
        "created_at", "public_id",
    ]  # fmt: skip
    readonly_fields = [
        "shown_figures", "shown_digests", "shown_source", "created_at", "public_id",
    ]  # fmt: skip

    @admin.display(description="topic")
    def topic(self, piece: Evidence) -> str:
        """What was attested."""
        return str(piece.figures.get("topic", "–")) if not piece.is_measured else "–"

    @display(
        description="status",
        ordering="status",
        label={EvidenceStatus.VALID: "success", EvidenceStatus.SUPERSEDED: "info"},
    )
    def shown_status(self, piece: Evidence) -> str:
        """The status as a colored label."""
        return piece.status

    @admin.display(description="figures")
    def shown_figures(self, piece: Evidence) -> SafeString:
        """The figures, a line each."""
        return preformatted("\n".join(f"{key}: {_word(one)}" for key, one in piece.figures.items()))

    @admin.display(description="source")
    def shown_source(self, piece: Evidence) -> SafeString | str:
        """What measured it, with a link to its page; or where a person has it from."""
        page = page_of_source(piece.source)
        return _linked(page, piece.source)

    @admin.display(description="source", ordering="source")
    def short_source(self, piece: Evidence) -> SafeString | str:
        """What measured it, so short that the list is no wider than the page."""
        return _linked(page_of_source(piece.source), name_of_source(piece.source))

    @admin.display(description="bound to")
    def shown_digests(self, piece: Evidence) -> SafeString:
        """The digests, a line each."""
        return preformatted("\n".join(f"{key}: {one}" for key, one in piece.digests.items()))


def _word(value: Any) -> str:
    """Return a figure as it was measured: nothing is rounded here."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _linked(page: str, text: str) -> SafeString | str:
    return format_html('<a href="{}" class="text-link">{}</a>', page, text) if page else text


class PolicyForm(ReasonForm):
    """Asks for the next version of a policy; begins with the one whose page is open."""

    name = forms.CharField(max_length=80, widget=UnfoldAdminTextInputWidget())
    text = forms.CharField(
        label="Policy (YAML)",
        max_length=100_000,
        strip=False,
        widget=UnfoldAdminTextareaWidget({"rows": 16, "style": "font-family: monospace"}),
    )
    field_order = ["name", "text", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies = PromotionPolicy.objects.order_by("-pk")
        if self.object_id is not None:
            policies = policies.filter(pk=self.object_id)
        if newest := policies.first():
            self.fields["name"].initial, self.fields["text"].initial = newest.name, newest.text


def _storing(description: str, *, icon: str) -> Any:
    return dialog_action(
        description,
        icon=icon,
        title="Store a policy",
        text="A name that exists gets its next version, in force from then on. Stored versions "
        "never change.",
        form=PolicyForm,
    )


@admin.register(PromotionPolicy)
class PromotionPolicyAdmin(RegistryAdmin):
    """Policies, every version."""

    empty_text = "A validator stores a policy above."
    list_display = ["__str__", "digest", "stored_by", "reason", "created_at"]
    list_filter = ["name"]
    list_select_related = ["stored_by"]
    search_fields = ["name", "digest"]
    ordering = ["name", "-number"]
    fields = [
        "name", "number", "stored_by", "reason", "created_at", "digest", "shown_text", "public_id",
    ]  # fmt: skip
    readonly_fields = ["created_at", "shown_text", "public_id"]
    actions_list = ["store"]
    actions_detail = ["store_next"]

    def has_write_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Whether the viewer may set policies."""
        return "models:approve" in roles.grants(request.user)

    def offered(self, row: PromotionPolicy, user: User) -> set[str]:  # noqa: ARG002
        """The next version, to whoever may store it."""
        return {"store_next"} if "models:approve" in roles.grants(user) else set()

    @admin.display(description="policy")
    def shown_text(self, policy: PromotionPolicy) -> SafeString:
        """The policy as it was written."""
        return preformatted(policy.text)

    @_storing("Store a policy", icon="add")
    def store(self, request: HttpRequest, form: PolicyForm) -> HttpResponse:
        """Store a policy; a refusal is told beside the text, which stays."""
        return self._stored(request, form)

    @_storing("Store next version", icon="edit_note")
    def store_next(self, request: HttpRequest, form: PolicyForm, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Store the next version, beginning with the text of this one."""
        return self._stored(request, form)

    def _stored(self, request: HttpRequest, form: PolicyForm) -> HttpResponse:
        policy = self.serve(
            request, services.store_policy, "{} is in force.",
            name=form.cleaned_data["name"], text=form.cleaned_data["text"],
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        for warning in selectors.warnings_of_policy(policy):
            messages.warning(request, f"{warning}.")
        return self.page_of(policy)
