"""Dialogs of the admin that ask for a plan, a start, an answer or shares."""

from typing import Any

import yaml
from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from crowetrade_site.core import documents
from crowetrade_site.core.admin import ReasonForm
from crowetrade_site.core.errors import InvalidInput
from experiments import selectors
from experiments.models import Experiment
from experiments.models.definitions import ANSWERS

EXAMPLE = """\
name: challenger-against-champion
hypothesis: The challenger earns more than the champion, after costs.
design: shadow
arms:
  - {name: champion, control: true}
  - {name: challenger}
metrics:
  - {name: return, role: primary, unit: fraction}
  - {name: drawdown, role: guardrail, direction: decrease, margin: 0.002, unit: fraction}
period: 1d
analysis: {horizon_periods: 504, region_of_equivalence: 0.0001}
"""


class PlanForm(BaseDialogForm):
    """Asks for an experiment's plan."""

    plan = forms.CharField(
        label="Plan (YAML)",
        initial=EXAMPLE,
        widget=UnfoldAdminTextareaWidget({"rows": 18, "style": "font-family: monospace"}),
        help_text="The same document as for the command line and the API.",
    )

    def clean_plan(self) -> dict[str, Any]:
        """Read the YAML; the service checks what it says."""
        try:
            return documents.loads(self.cleaned_data["plan"], name="The plan")
        except InvalidInput as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


PLAN_DIALOG: dict[str, Any] = {
    "title": "Plan an experiment",
    "description": "It stays a draft until somebody starts it; then its plan is frozen.",
    "form_class": PlanForm,
    "form_submit_text": "Keep as a draft",
}


class ReviseForm(PlanForm):
    """Asks for the plan of a draft anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = Experiment.objects.filter(pk=self.object_id).first()
        if row is not None:
            self.fields["plan"].initial = yaml.safe_dump(row.plan, sort_keys=False)


REVISE_DIALOG: dict[str, Any] = {
    "title": "Revise this draft",
    "description": "The plan as it is; what you keep takes its place.",
    "form_class": ReviseForm,
    "form_submit_text": "Keep",
}


class StartForm(ReasonForm):
    """Asks why, and where arms are the same files whether that is meant."""

    allow_same_arms = forms.BooleanField(
        label="These arms are the same on purpose: an A/A test",
        required=False,
        widget=UnfoldBooleanWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = selectors.list_experiments().filter(pk=self.object_id).first()
        alike = selectors.arms_alike(row) if row is not None else []
        if alike:
            self.fields["allow_same_arms"].help_text = f"{selectors.told_alike(*alike[0])}."
        else:
            del self.fields["allow_same_arms"]


class ConcludeForm(ReasonForm):
    """Asks for the answer, and why."""

    verdict = forms.ChoiceField(
        choices=[(v.value, v.value.replace("_", " ")) for v in ANSWERS],
        widget=UnfoldAdminSelectWidget(),
    )
    winner = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget(),
        help_text="The arm's name, where the answer is a winner.",
    )  # fmt: skip


class AllocateForm(ReasonForm):
    """Asks for other shares, and why."""

    weights = forms.CharField(
        label="Shares (YAML)",
        widget=UnfoldAdminTextInputWidget(),
        help_text="Such as {champion: 0.7, challenger: 0.3}; they sum to 1.",
    )

    context = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget(),
        help_text="Whose shares, where the plan has contexts; else empty.",
    )  # fmt: skip

    def clean_weights(self) -> dict[str, float]:
        """Read the shares; the service checks what they say."""
        try:
            given = documents.loads(self.cleaned_data["weights"], name="The shares")
            return {str(name): float(share) for name, share in given.items()}
        except (InvalidInput, TypeError, ValueError) as refusal:
            raise forms.ValidationError("Shares are numbers by arm.") from refusal
