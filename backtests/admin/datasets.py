"""Datasets in the admin: what stands, what the checks found, out of use and back."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.decorators import display

from backtests import services
from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, preformatted, reasoned_action


@admin.register(Dataset)
class DatasetAdmin(ServiceAdmin):
    """Dataset versions with their quality reports."""

    read_scope, write_scope = "datasets:read", "datasets:write"
    empty_text = "Bars are imported by manage.py import_bars, or by POST /api/v1/datasets/."
    list_display = [
        "name",
        "version",
        "shown_status",
        "kind",
        "n_instruments",
        "n_rows",
        "n_refused",
        "first_at",
        "last_at",
        "imported_by",
        "created_at",
    ]
    list_filter = ["status", "kind", "currency"]
    list_select_related = ["imported_by"]
    search_fields = ["name", "digest", "source_name"]
    ordering = ["-created_at", "-id"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "name",
                    "version",
                    "status",
                    "kind",
                    "digest",
                    "currency",
                    "n_rows",
                    "n_refused",
                    "n_instruments",
                    "first_at",
                    "last_at",
                    "source_name",
                    "imported_by",
                    "created_at",
                ]
            },
        ),
        ("Manifest", {"classes": ["tab"], "fields": ["shown_manifest"]}),
    ]
    readonly_fields = ["created_at", "shown_manifest"]
    change_form_outer_before_template = "backtests/admin/dataset.html"
    actions_detail = ["quarantine", "release"]

    def page_context(self, request: HttpRequest, row: Dataset) -> dict[str, Any]:  # noqa: ARG002
        """Hand the page its quality report."""
        return {"dataset": row}

    @display(
        description="status",
        ordering="status",
        label={
            DatasetStatus.READY: "success",
            DatasetStatus.IMPORTING: "info",
            DatasetStatus.QUARANTINED: "warning",
            DatasetStatus.REFUSED: "danger",
        },
    )
    def shown_status(self, dataset: Dataset) -> str:
        """The status as a colored label."""
        return dataset.status

    @admin.display(description="manifest")
    def shown_manifest(self, dataset: Dataset) -> SafeString:
        """What the arrays are."""
        return preformatted(json.dumps(dataset.manifest, indent=2))

    @reasoned_action(
        "Quarantine",
        icon="block",
        title="Take this version out of use",
        text="New runs are refused on it; past runs keep their data.",
    )
    def quarantine(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take a version out of use."""
        return self._moved(request, form, object_id, DatasetStatus.QUARANTINED)

    @reasoned_action(
        "Release",
        icon="check_circle",
        title="Take this version back into use",
        text="New runs may use it again.",
    )
    def release(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take a version back into use."""
        return self._moved(request, form, object_id, DatasetStatus.READY)

    def _moved(
        self, request: HttpRequest, form: ReasonForm, object_id: str, to: DatasetStatus
    ) -> HttpResponse:
        dataset = self.serve(
            request, services.move_dataset, f"The dataset is {to} now.",
            dataset_id=self.public_id(object_id), to=to, reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(dataset, object_id)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what the version's state allows."""
        dataset = self.get_object(request, str(object_id))
        status = dataset.status if dataset else None
        allowed = {
            "backtests_dataset_quarantine": status == DatasetStatus.READY,
            "backtests_dataset_release": status == DatasetStatus.QUARANTINED,
        }
        offered = super().get_actions_detail(request, object_id)
        return [entry for entry in offered if allowed.get(entry.action_name, True)]
