"""Dialogs of the admin that ask for a run's spec or priority."""

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from backtests import selectors
from backtests.lifecycle import Priority
from crowetrade_site.core import documents
from crowetrade_site.core.admin import ReasonForm
from crowetrade_site.core.errors import InvalidInput

EXAMPLE = """\
dataset: {dataset}
strategy:
  signals: [{{kind: momentum, lookback_days: 252, skip_days: 21}}]
  portfolio: {{kind: equal_weight, n_holdings: 5}}
costs: {{commission_bps: 1, half_spread_bps: 2, borrow_bps_per_year: 50}}
account: {{cash_rate: 0.0, margin_rate: 0.05}}
"""


def example_spec() -> str:
    """Return a spec to begin from, on the latest dataset of bars."""
    latest = selectors.list_datasets().ready().filter(kind="bars").order_by("-pk").first()
    return EXAMPLE.format(dataset=latest.name if latest else "NAME")


class SpecForm(BaseDialogForm):
    """Asks for a run's spec."""

    spec = forms.CharField(
        label="Spec (YAML)",
        initial=example_spec,
        widget=UnfoldAdminTextareaWidget({"rows": 14, "style": "font-family: monospace"}),
        help_text="The same document as for the command line and the API.",
    )
    reason = forms.CharField(required=False, max_length=500, widget=UnfoldAdminTextInputWidget())

    def clean_spec(self) -> dict[str, Any]:
        """Read the YAML; the service checks what it says."""
        try:
            return documents.loads(self.cleaned_data["spec"], name="The spec")
        except InvalidInput as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


class PriorityForm(ReasonForm):
    """Asks for a priority, and why."""

    priority = forms.ChoiceField(
        choices=[(p.value, p.value) for p in Priority], widget=UnfoldAdminSelectWidget()
    )


PRIORITY_DIALOG = {
    "title": "Prioritize this run",
    "description": "Its share of the workers beside other studies, from its next chunk on. High is "
    "for operators and admins.",
    "form_class": PriorityForm,
    "form_submit_text": "Prioritize",
}
QUEUE_DIALOG = {
    "title": "Queue a run",
    "description": "A worker takes it from here; the page shows its progress.",
    "form_class": SpecForm,
    "form_submit_text": "Queue",
}
