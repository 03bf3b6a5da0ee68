"""Registered models in the admin."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from crowetrade_site.core import roles
from crowetrade_site.core.admin import ReasonForm, preformatted
from registry import selectors, services
from registry.admin import able
from registry.admin.base import RegistryAdmin, dialog_action
from registry.admin.cards import (
    AliasForm,
    CardForm,
    DropAliasForm,
    NameForm,
    OwnerForm,
    PolicyForm,
    RegisterForm,
    UntagModelForm,
)
from registry.admin.forms import TagForm
from registry.admin.uploading import VersionForm
from registry.lifecycle import Stage
from registry.models import ModelVersion, RegisteredModel

ABOVE = (Stage.PRODUCTION, Stage.STAGING, Stage.TESTING)
MOST_VERSIONS = 50


@admin.register(RegisteredModel)
class RegisteredModelAdmin(RegistryAdmin):
    """Models with their cards, versions and history."""

    empty_text = (
        "A researcher registers a model above, by POST /api/v1/models/, or with an MLflow client."
    )
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
    actions_list = ["register"]
    actions_detail = [
        "edit_card", "set_alias", "register_version", "roll_back", "assign_policy",
        {
            "title": "More",
            "items": ["delete_alias", "tag", "untag", "transfer", "rename", "remove"],
        },
    ]  # fmt: skip

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
            "warnings": selectors.card_warnings(row),
            "missing": [name for name in selectors.CARD if not getattr(row, name)],
            "versions": newest,
            "n_more": max(0, row.n_numbers - len(newest)) if len(newest) == MOST_VERSIONS else 0,
            "aliases": able.aliases_of(row),
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

    def has_register_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Whether the viewer may register models."""
        return "models:write" in roles.grants(request.user)

    def offered(self, row: RegisteredModel, user: User) -> set[str]:
        """What the services would accept, and policies to those who set them."""
        names = able.on_model(row, user)
        return names | {"assign_policy"} if "models:approve" in roles.grants(user) else names

    def called(
        self, request: HttpRequest, verb: Any, done: str, object_id: str, **arguments: Any
    ) -> HttpResponse:
        """Call a service on the model of a page, by its name, and show the page again."""
        model = self.get_object(request, object_id)
        self.serve(request, verb, done, name=model.name if model else "", **arguments)
        return self.page_of(None, object_id)

    @dialog_action(
        "Register a model",
        icon="add",
        title="Register a model",
        text="What the card lacks can be said later; a version needs all of it to go to testing.",
        form=RegisterForm,
        permission="register",
    )
    def register(self, request: HttpRequest, form: RegisterForm) -> HttpResponse:
        """Register a name."""
        model = self.serve(
            request, services.create_model, "{} is registered, and yours.",
            name=form.cleaned_data["name"], card=form.card,
        )  # fmt: skip
        return self.page_of(model)

    @dialog_action(
        "Edit card",
        icon="edit",
        title="Write the model card",
        text="Only what you change is written. Approvals that were given to what it said lapse.",
        form=CardForm,
    )
    def edit_card(self, request: HttpRequest, form: CardForm, object_id: str) -> HttpResponse:
        """Write fields of the card."""
        return self.called(
            request, services.update_model, "The card is written.", object_id,
            card=form.card, reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Register a version",
        icon="upload_file",
        title="Register the next version of this model",
        text="Files are hashed while they are stored, then frozen; a worker looks at them.",
        form=VersionForm,
    )
    def register_version(
        self, request: HttpRequest, form: VersionForm, object_id: str
    ) -> HttpResponse:
        """Register the files, which the form has stored."""
        model = self.get_object(request, object_id)
        try:
            version = self.serve(
                request, services.register_version,
                "{} is registered; a worker looks at its files.",
                name=model.name if model else "", source=form.cleaned_data["source"],
                card=form.card, allow_duplicate=form.cleaned_data["allow_duplicate"],
            )  # fmt: skip
        except services.SameFiles as refusal:
            box = form.fields["allow_duplicate"].label
            raise refusal.by(f"tick “{box}” below if it is meant") from None
        page = reverse("admin:registry_modelversion_change", args=[version.pk])
        return HttpResponse(headers={"HX-Redirect": page})

    @dialog_action(
        "Set alias",
        icon="alternate_email",
        title="Let a word stand for a version",
        text="Whoever loads the model by this word gets that version from now on.",
        form=AliasForm,
    )
    def set_alias(self, request: HttpRequest, form: AliasForm, object_id: str) -> HttpResponse:
        """Set or move an alias."""
        alias, number = form.cleaned_data["alias"], form.cleaned_data["number"]
        return self.called(
            request, services.set_alias, f"@{{}} stands for version {number}.", object_id,
            alias=alias, number=number, reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Delete alias",
        icon="remove_circle",
        title="Let a word stand for no version any more",
        text="Whoever loads the model by it is refused from now on.",
        form=DropAliasForm,
    )
    def delete_alias(
        self, request: HttpRequest, form: DropAliasForm, object_id: str
    ) -> HttpResponse:
        """Take an alias away."""
        return self.called(
            request, services.delete_alias, "The alias is gone.", object_id,
            alias=form.cleaned_data["alias"], reason=form.cleaned_data["reason"],
        )  # fmt: skip

    @dialog_action(
        "Set tag",
        icon="sell",
        title="Set a tag of this model",
        text="One of this key takes the value in the place of its own.",
        form=TagForm,
    )
    def tag(self, request: HttpRequest, form: TagForm, object_id: str) -> HttpResponse:
        """Set a tag."""
        return self.called(
            request, services.tag_model, "The tag is set.", object_id,
            key=form.cleaned_data["key"], value=form.cleaned_data["value"],
        )  # fmt: skip

    @dialog_action(
        "Remove tag",
        icon="label_off",
        title="Take a tag off this model",
        text="The trail keeps what it said.",
        form=UntagModelForm,
    )
    def untag(self, request: HttpRequest, form: UntagModelForm, object_id: str) -> HttpResponse:
        """Take a tag off."""
        return self.called(
            request, services.untag_model, "The tag is gone.", object_id,
            key=form.cleaned_data["key"],
        )  # fmt: skip

    @dialog_action(
        "Rename",
        icon="drive_file_rename_outline",
        title="Give this model another name",
        text="Versions, evidence and history stay with it; whoever loads it by the present name is "
        "refused from now on.",
        form=NameForm,
    )
    def rename(self, request: HttpRequest, form: NameForm, object_id: str) -> HttpResponse:
        """Rename it."""
        return self.called(
            request, services.rename_model, "It is called {} now.", object_id,
            new_name=form.cleaned_data["new_name"],
        )  # fmt: skip

    @dialog_action(
        "Delete",
        icon="delete",
        title="Delete this model, with its versions",
        text="None of them ever left development, so none is part of the record. The trail keeps "
        "that they were there.",
    )
    def remove(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Delete it."""
        self.called(
            request, services.delete_model, "The model is deleted.", object_id,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(None)

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
        return self.called(
            request, services.transfer_model, "The model has another owner.", object_id,
            owner=form.cleaned_data["owner"], reason=form.cleaned_data["reason"],
        )  # fmt: skip
