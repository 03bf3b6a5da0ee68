"""Registered models in the admin."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReasonForm, preformatted
from registry import selectors, services
from registry.admin.base import RegistryAdmin, dialog_action
from registry.lifecycle import RULES, Stage
from registry.models import ModelVersion, PromotionPolicy, RegisteredModel

ABOVE = (Stage.PRODUCTION, Stage.STAGING, Stage.TESTING)
MOST_VERSIONS = 50


class PolicyForm(ReasonForm):
    """Asks which policy shall judge, and why."""

    policy = forms.ChoiceField(widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = PromotionPolicy.objects.order_by("name").values_list("name", flat=True).distinct()
        self.fields["policy"].choices = [(name, name) for name in names]


class OwnerForm(ReasonForm):
    """Asks who shall own a model, and why."""

    owner = forms.CharField(max_length=150, widget=UnfoldAdminTextInputWidget())
    field_order = ["owner", "reason"]


@admin.register(RegisteredModel)
class RegisteredModelAdmin(RegistryAdmin):
    """Models with their cards, versions and history."""

    empty_text = "A model is registered by POST /api/v1/models/, or by an MLflow client."
    list_display = [
        "name", "in_use", "owner", "desk", "tier", "n_numbers", "policy", "review_date",
        "changed_at",
    ]  # fmt: skip
    list_filter = [
        "tier",
        "desk",
        "policy",
        "owner",
        ("versions__stage", admin.ChoicesFieldListFilter),
    ]
    list_select_related = ["owner"]
    search_fields = ["name"]
    search_help_text = "Beginnings of words in name, description, purpose, desk and tags"
    ordering = ["-changed_at", "-id"]
    fieldsets = [
        (
            "Model card",
            {
                "fields": [
                    "name", "owner", "desk", "tier", "purpose", "description", "operators",
                    "shown_limits", "dependencies", "review_date",
                ]
            },
        ),
        (
            "Registry",
            {
                "classes": ["tab"],
                "fields": [
                    "public_id", "policy", "n_numbers", "shown_tags", "created_at", "changed_at",
                ],
            },
        ),
    ]  # fmt: skip
    readonly_fields = ["shown_limits", "shown_tags", "created_at", "public_id"]
    change_form_outer_before_template = "registry/admin/model.html"
    change_form_outer_after_template = "registry/admin/after.html"
    actions_detail = ["roll_back", "assign_policy", "transfer"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RegisteredModel]:
        """Fetch the versions in use with the list; a row's page shows all of them anyway."""
        rows: QuerySet[RegisteredModel] = super().get_queryset(request)
        if not self.is_list(request):
            return rows.select_related("owner")
        used = ModelVersion.objects.filter(stage__in=ABOVE).only(
            "number", "stage", "registered_model_id"
        )
        return rows.prefetch_related(Prefetch("versions", used.order_by("-number"), to_attr="used"))

    def find(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: Any,
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Search by words, as the API does."""
        return queryset.matching(search_term), False

    def page_context(self, request: HttpRequest, row: RegisteredModel) -> dict[str, Any]:  # noqa: ARG002
        """Hand the page its versions and history."""
        versions = selectors.list_versions().filter(registered_model=row).defer("manifest")
        newest = list(versions.order_by("-number")[:MOST_VERSIONS])
        return {
            "model": row,
            "missing": [name for name in selectors.CARD if not getattr(row, name)],
            "versions": newest,
            "n_more": max(0, row.n_numbers - len(newest)) if len(newest) == MOST_VERSIONS else 0,
            "stays": selectors.list_stays(row),
            "history": selectors.history_of(row),
        }

    @admin.display(description="in use")
    def in_use(self, model: RegisteredModel) -> str:
        """The newest version of each stage above development, the highest stage first."""
        used: list[ModelVersion] = getattr(model, "used", [])
        newest = [next((v for v in used if v.stage == stage), None) for stage in ABOVE]
        shown = [
            {"stage": version.stage, "in_use": f"{version.stage} v{version.number}"}
            for version in newest if version is not None
        ]  # fmt: skip
        return render_to_string("registry/admin/stages.html", {"used": shown}) if shown else "–"

    @admin.display(description="limits of use")
    def shown_limits(self, model: RegisteredModel) -> SafeString | str:
        """The limits as text."""
        return preformatted(json.dumps(model.limits, indent=2)) if model.limits else "–"

    @admin.display(description="tags")
    def shown_tags(self, model: RegisteredModel) -> SafeString | str:
        """The tags as text."""
        return preformatted(json.dumps(model.tags, indent=2)) if model.tags else "–"

    def offered(self, row: RegisteredModel, user: User) -> set[str]:
        """A rollback where there is a way back, and policies to those who set them."""
        held, names = roles.roles_of(user), set()
        if RULES[Stage.ARCHIVED, Stage.PRODUCTION].allows(held, is_own=False):
            stages = set(
                row.versions.filter(was_production_at__isnull=False).values_list("stage", flat=True)
            )
            names |= {"roll_back"} if {Stage.PRODUCTION, Stage.ARCHIVED} <= stages else set()
        if "models:approve" in roles.grants(user):
            names.add("assign_policy")
        is_owner = row.owner_id == user.pk and "models:write" in roles.grants(user)
        if is_owner or roles.Role.ADMIN in held:
            names.add("transfer")
        return names

    @dialog_action(
        "Roll back",
        icon="undo",
        title="Return to the production version before",
        text="The present version is archived, the one before it is in production at once; the "
        "aliases that mean production go with it.",
    )
    def roll_back(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Put the earlier production version back."""
        model = self.get_object(request, object_id)
        self.serve(
            request, services.roll_back, "The earlier version is in production again.",
            model_name=model.name if model else "", reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(model)

    @dialog_action(
        "Assign policy",
        icon="rule",
        title="Let another policy judge this model",
        text="Approvals that were given under the present one lapse.",
        form=PolicyForm,
    )
    def assign_policy(self, request: HttpRequest, form: PolicyForm, object_id: str) -> HttpResponse:
        """Assign a policy."""
        model = self.get_object(request, object_id)
        self.serve(
            request, services.assign_policy, "The policy judges from now on.",
            model_name=model.name if model else "", policy=form.cleaned_data["policy"],
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(model)

    @dialog_action(
        "Change owner",
        icon="person_add",
        title="Give this model to somebody else",
        text="A researcher or an admin, by user name. Versions keep their authors.",
        form=OwnerForm,
    )
    def transfer(self, request: HttpRequest, form: OwnerForm, object_id: str) -> HttpResponse:
        """Change the owner."""
        model = self.get_object(request, object_id)
        self.serve(
            request, services.transfer_model, "The model has another owner.",
            name=model.name if model else "", owner=form.cleaned_data["owner"],
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(model)
