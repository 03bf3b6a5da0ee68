"""What the dialogs of a version ask for."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from crowetrade_site.core.admin import ReasonForm
from registry.admin.base import RemarkForm
from registry.lifecycle import MissingValues


class RowsField(forms.JSONField):
    """Rows as JSON; empty where there are none yet, and not the word null."""

    def prepare_value(self, value: Any) -> Any:
        """Return what the box shows."""
        return "" if value is None else super().prepare_value(value)


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
    rows = RowsField(
        label="Probe rows (JSON)",
        help_text='A list of rows: [[1.0, 2.0], …] or [{"column": 1.0}, …]. Both models must '
        "predict the same on all of them: bit for bit, or for ONNX within 1e-5 of the usual "
        "size and with the same decisions.",
        widget=UnfoldAdminTextareaWidget({"rows": 6, "style": "font-family: monospace"}),
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


class DateInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar."""

    input_type = "date"


class WaiverForm(ReasonForm):
    """Asks until when a waiver holds, and why."""

    expires_at = forms.DateTimeField(label="Until (midnight, UTC)", widget=DateInput())
