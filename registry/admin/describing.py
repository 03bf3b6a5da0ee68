"""What is said of a version beside its moves: attested, compared, described, tagged, signed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import action

from crowetrade_site.core.admin import ReasonForm
from registry import selectors, services
from registry.admin.base import RegistryAdmin, dialog_action
from registry.admin.comparing import comparison
from registry.admin.files import download
from registry.admin.forms import (
    AttestForm,
    DescriptionForm,
    SignatureForm,
    TagForm,
    UntagForm,
)
from registry.models import ModelVersion


class DescribedVersions(RegistryAdmin):
    """The page of a version, as far as it changes nothing of where the version is."""

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of a version's files, and of what asks whether a worker is done."""
        view = self.admin_site.admin_view
        file, live = "<int:object_id>/file/", "<int:object_id>/live/"
        return [
            path(file, view(self.download), name="registry_modelversion_file"),
            path(live, view(self.live), name="registry_modelversion_live"),
            *super().get_urls(),
        ]

    def download(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Hand out a file to whoever may see the version."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return download(request, object_id)

    def live(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Return what waits as it stands; once a worker has done it, have the page load anew."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        row = ModelVersion.objects.filter(pk=object_id).first()
        conversions = selectors.list_conversions().filter(version=object_id)
        if row is None or not selectors.waits_for_worker(row, conversions):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return HttpResponse(render_to_string("registry/admin/live.html", {"version": row}))

    def called(
        self, request: HttpRequest, verb: Any, done: str, object_id: str, **arguments: Any
    ) -> HttpResponse:
        """Call a service on the version of a page, and show the page again."""
        self.serve(request, verb, done, version_id=self.public_id(object_id), **arguments)
        return self.page_of(None, object_id)

    @dialog_action(
        "Attest",
        icon="approval",
        title="Attest something about this version",
        text="It meets the manual gate of its topic; what was attested of it so far is superseded.",
        form=AttestForm,
    )
    def attest(self, request: HttpRequest, form: AttestForm, object_id: str) -> HttpResponse:
        """Hand in what the viewer signs for."""
        piece = self.serve(
            request, services.attest_evidence, "The evidence is kept.",
            version_id=self.public_id(object_id), topic=form.cleaned_data["topic"],
            summary=form.cleaned_data["summary"], figures=form.cleaned_data["figures"],
            expires_at=form.cleaned_data["expires_at"],
        )  # fmt: skip
        if warning := selectors.warning_of_topic(piece.version, form.cleaned_data["topic"]):
            messages.warning(request, warning)
        return self.page_of(None, object_id)

    @action(description="Compare", icon="compare_arrows", permissions=["view"])
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show two versions side by side."""
        version = get_object_or_404(ModelVersion.objects.with_names(), pk=object_id)
        shown = {
            **self.admin_site.each_context(request),
            **comparison(version, request.GET.get("with", "")),
            "opts": self.opts,
            "media": self.media,
        }
        return TemplateResponse(request, "registry/admin/compare.html", shown)

    @dialog_action(
        "Describe",
        icon="edit_note",
        title="Describe this version anew",
        text="The trail keeps what was said before.",
        form=DescriptionForm,
    )
    def describe(self, request: HttpRequest, form: DescriptionForm, object_id: str) -> HttpResponse:
        """Write the description."""
        return self.called(
            request, services.update_version, "The description is written.", object_id,
            description=form.cleaned_data["description"],
        )  # fmt: skip

    @dialog_action(
        "Set tag",
        icon="sell",
        title="Set a tag of this version",
        text="One of this key takes the value in the place of its own.",
        form=TagForm,
    )
    def tag(self, request: HttpRequest, form: TagForm, object_id: str) -> HttpResponse:
        """Set a tag."""
        return self.called(
            request, services.tag_version, "The tag is set.", object_id,
            key=form.cleaned_data["key"], value=form.cleaned_data["value"],
        )  # fmt: skip

    @dialog_action(
        "Remove tag",
        icon="label_off",
        title="Take a tag off this version",
        text="The trail keeps what it said.",
        form=UntagForm,
    )
    def untag(self, request: HttpRequest, form: UntagForm, object_id: str) -> HttpResponse:
        """Take a tag off."""
        return self.called(
            request, services.untag_version, "The tag is gone.", object_id,
            key=form.cleaned_data["key"],
        )  # fmt: skip

    @dialog_action(
        "Attach signature",
        icon="signature",
        title="Attach a signature over the files of this version",
        text="It is kept once it holds for exactly these files by this key.",
        form=SignatureForm,
    )
    def sign(self, request: HttpRequest, form: SignatureForm, object_id: str) -> HttpResponse:
        """Verify a signature and keep it."""
        return self.called(
            request, services.attach_signature, "The signature holds, and is kept.", object_id,
            bundle=form.cleaned_data["bundle"], public_key=form.cleaned_data["public_key"],
        )  # fmt: skip

    @dialog_action(
        "Delete",
        icon="delete",
        title="Delete this version",
        text="It never left development, so it is no part of the record. Its number is not given "
        "again, and the trail keeps that it was there.",
    )
    def remove(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Delete it, and show its model."""
        version = self.get_object(request, object_id)
        self.called(
            request, services.delete_version, "The version is deleted.", object_id,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        model = reverse("admin:registry_registeredmodel_change", args=[version.registered_model_id])
        return HttpResponse(headers={"HX-Redirect": model})
