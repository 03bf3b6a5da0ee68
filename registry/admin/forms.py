"""What the dialogs of a version ask for."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from crowetrade_site.core.admin import ReasonForm
from registry import selectors
from registry.admin.base import RemarkForm
from registry.admin.fields import DateInput, JSONField, ObjectField, SuggestingInput, TextField
from registry.lifecycle import MissingValues
from registry.rules.names import LONGEST_TAG_KEY, LONGEST_TAG_VALUE


class RowsForm(RemarkForm):
    """Asks for a format, and for the rows on which a model and its conversion must agree."""

    reason = None  # type: ignore[assignment]  # rows are the reason
    target = forms.ChoiceField(
        label="Format",
        choices=[("skops", "skops (from a pickle)"), ("onnx", "ONNX (from a pickle or skops)")],
        help_text="ONNX adds up in 32-bit floats and takes rows of numbers; not every step of a "
        "pipeline has a counterpart in it.",
        widget=UnfoldAdminSelectWidget(),
    )
    missing_values = forms.ChoiceField(
        label="Missing values",
        choices=[
            ("compare", "compare rows with gaps as well, where the model takes them"),
            ("refuse", "refuse: compare complete rows alone (ONNX)"),
        ],
        initial="compare",
        required=False,
        help_text="Forests lose on the way to ONNX where missing values go, and are refused. With "
        "“refuse” they are converted for complete rows: the new version says so, and takes no "
        "others.",
        widget=UnfoldAdminSelectWidget(),
    )
    rows = JSONField(
        label="Probe rows (JSON)",
        rows=6,
        help_text='A list of rows: [[1.0, 2.0], …] or [{"column": 1.0}, …]. Both models must '
        "predict the same on all of them: bit for bit, or for ONNX within 1e-5 of the usual "
        "size and with the same decisions.",
    )

    def clean_missing_values(self) -> str:
        """Take what a form without the choice would say."""
        return str(self.cleaned_data["missing_values"] or MissingValues.COMPARE)

    def clean_rows(self) -> list[Any]:
        """Accept a list alone; the service checks the rest."""
        rows = self.cleaned_data["rows"]
        if not isinstance(rows, list):
            raise forms.ValidationError("A list of rows is asked.")
        return rows


class PromotionForm(RemarkForm):
    """Asks why a version shall go up; for production somebody must say."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = "Production needs one."


class WaiverForm(ReasonForm):
    """Asks until when a waiver holds, and why."""

    expires_at = forms.DateTimeField(label="Until (midnight, UTC)", widget=DateInput())


class AttestForm(BaseDialogForm):
    """Asks for what a person signs for."""

    topic = forms.CharField(
        label="Topic",
        max_length=80,
        help_text="Of the manual gate that it meets; the list has what the policy asks for.",
        widget=SuggestingInput(),
    )
    summary = TextField(
        label="Summary",
        max_length=10_000,
        help_text="What was looked at, what came of it, and where it is filed. You sign for it.",
    )
    figures = ObjectField(
        label="Figures (JSON)",
        required=False,
        help_text='What a gate compares with its bounds, if it has any: {"seconds": 0.4}.',
    )
    expires_at = forms.DateTimeField(
        label="Ends (midnight, UTC)", required=False, widget=DateInput(),
        help_text="Empty where the evidence does not end by itself.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = selectors.list_versions().filter(pk=self.object_id).first()
        self.fields["topic"].widget.suggested = (
            [] if version is None else selectors.topics_asked(version)
        )
        self.fields["topic"].initial = self.request.GET.get("topic", "")


class DescriptionForm(BaseDialogForm):
    """Asks what a version is, in words."""

    description = TextField(label="Description", required=False, max_length=100_000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = selectors.list_versions().filter(pk=self.object_id)
        self.fields["description"].initial = found.values_list("description", flat=True).first()


class TagForm(BaseDialogForm):
    """Asks for a tag."""

    key = forms.CharField(max_length=LONGEST_TAG_KEY, widget=UnfoldAdminTextInputWidget())
    value = TextField(required=False, max_length=LONGEST_TAG_VALUE, rows=3)


class UntagForm(BaseDialogForm):
    """Asks which tag to take off."""

    key = forms.ChoiceField(label="Tag", widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tags = self.rows().filter(pk=self.object_id).values_list("tags", flat=True).first() or {}
        self.fields["key"].choices = [(key, f"{key}: {tags[key]}"[:100]) for key in sorted(tags)]

    @staticmethod
    def rows() -> QuerySet[Any]:
        """Return the rows that have tags: versions, unless told otherwise."""
        return selectors.list_versions()


class SignatureForm(BaseDialogForm):
    """Asks for a signature that was made outside, and for the key that it is checked with."""

    bundle = ObjectField(
        label="Bundle (JSON)",
        rows=8,
        help_text="Of OpenSSF model-signing: the whole file that <code>model_signing sign</code> "
        "wrote.",
    )
    public_key = TextField(
        label="Public key (PEM)",
        max_length=20_000,
        help_text="Whose it is the registry does not know: who attaches it is recorded.",
    )
