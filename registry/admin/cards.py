"""What the dialogs of a model ask for: its card, its name, its words for versions."""

from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from crowetrade_site.core.admin import ReasonForm
from registry import selectors
from registry.admin import able
from registry.admin.base import RemarkForm, person
from registry.admin.fields import DateInput, LinesField, ObjectField, TextField
from registry.admin.forms import UntagForm
from registry.models import PromotionPolicy, RegisteredModel
from registry.rules.names import LONGEST_ALIAS, LONGEST_NAME
from registry.services.catalog import CARD_FIELDS, GUARDED_FIELDS, TIERS

LONGEST_NUMBER = 2**31 - 1


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


class CardFields(forms.Form):
    """The fields of a model card."""

    desk = forms.CharField(required=False, max_length=100, widget=UnfoldAdminTextInputWidget())
    tier = forms.ChoiceField(
        label="Tier of materiality", required=False,
        choices=[(tier, tier or "–") for tier in TIERS], widget=UnfoldAdminSelectWidget(),
    )  # fmt: skip
    purpose = TextField(required=False, max_length=100_000, rows=2)
    description = TextField(required=False, max_length=100_000, rows=3)
    operators = LinesField(
        label="Approved operators", longest=150,
        help_text="User names, one a line. While a version is in staging or production the owner "
        "only takes names off.",
    )  # fmt: skip
    limits = ObjectField(
        label="Limits of use (JSON)", required=False,
        help_text='{"instruments": ["EURUSD"], "gross": 1.0}',
    )  # fmt: skip
    dependencies = LinesField(help_text="Other models, data, services; one a line.")
    review_date = forms.DateField(required=False, widget=DateInput())


class RegisterForm(CardFields, BaseDialogForm):
    """Asks for a name, and for what is known of its card."""

    name = forms.CharField(
        max_length=LONGEST_NAME, help_text="Whoever registers it owns it.",
        widget=UnfoldAdminTextInputWidget(),
    )  # fmt: skip
    field_order = ["name"]

    @property
    def card(self) -> dict[str, Any]:
        """What was said of the card."""
        return {name: value for name in CARD_FIELDS if (value := self.cleaned_data[name])}


class CardForm(CardFields, RemarkForm):
    """Asks for the fields of a card that the viewer may change, and why."""

    field_order = [*CardFields.base_fields, "reason"]
    form_before_template = "registry/admin/closed.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = RegisteredModel.objects.select_related("owner").filter(pk=self.object_id).first()
        self.why_closed = set[str]()
        if model is None:
            return
        found = able.count_versions(model, person(self.request))
        may_change = able.card_fields(model, person(self.request), found)
        for name in CARD_FIELDS:
            field, value = self.fields[name], getattr(model, name)
            # what the viewer saw goes with the form, so that only what they changed is written
            field.show_hidden_initial = True
            field.initial = field.to_python(value) if isinstance(value, str) else value
            if name not in may_change:
                field.disabled = True
                self.why_closed |= {_why_closed(name)}

    def get_before_template_context(
        self,
        request: HttpRequest,  # noqa: ARG002
        object_id: int | str | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Say why some fields cannot be changed."""
        return {"why_closed": sorted(self.why_closed)}

    @property
    def card(self) -> dict[str, Any]:
        """What was changed of the card."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name in CARD_FIELDS}

    def clean(self) -> dict[str, Any]:
        """Refuse to write over what somebody else wrote since the dialog was opened."""
        cleaned = super().clean() or self.cleaned_data
        changed = [name for name in self.changed_data if name in CARD_FIELDS]
        for name in changed:
            seen = self.data.get(self[name].html_initial_name)
            if seen is not None and self.fields[name].has_changed(self[name].initial, seen):
                now = self.fields[name].prepare_value(self[name].initial)
                self.add_error(
                    name, f"Somebody changed this meanwhile, to: {now or 'nothing'}. Keep what you "
                    "wrote, and open the dialog anew.",
                )  # fmt: skip
        if not changed and not self.errors:
            raise forms.ValidationError("Nothing was changed.")
        return cleaned


def _why_closed(name: str) -> str:
    if name in GUARDED_FIELDS:  # closed to whoever opened the dialog: so a version is in use
        return (
            "A version is in staging or production: validators and admins who have no part in it "
            f"change {', '.join(sorted(GUARDED_FIELDS))}."
        )
    return "The owner of the model and admins change the rest."


class NameForm(BaseDialogForm):
    """Asks for another name."""

    new_name = forms.CharField(
        label="New name", max_length=LONGEST_NAME, widget=UnfoldAdminTextInputWidget()
    )


class AliasForm(RemarkForm):
    """Asks for a word, and for the version that it shall stand for."""

    alias = forms.CharField(
        max_length=LONGEST_ALIAS, widget=UnfoldAdminTextInputWidget(),
        help_text="Letters, digits, “_” and “-”. One that stands for another version moves.",
    )  # fmt: skip
    number = forms.IntegerField(
        label="Version number", min_value=1, max_value=LONGEST_NUMBER,
        widget=UnfoldAdminTextInputWidget({"inputmode": "numeric"}),
    )  # fmt: skip
    field_order = ["alias", "number", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        alone = ((alias,) for alias in sorted(settings.PRODUCTION_ALIASES))
        if listed := format_html_join(", ", "<code>{}</code>", alone):
            said = self.fields["alias"].help_text
            told = format_html("{} For what is in production alone: {}.", said, listed)
            self.fields["alias"].help_text = told


class DropAliasForm(RemarkForm):
    """Asks which word shall stand for no version any more."""

    alias = forms.ChoiceField(widget=UnfoldAdminSelectWidget())
    field_order = ["alias", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = RegisteredModel.objects.filter(pk=self.object_id).first()
        names = [] if model is None else able.aliases_to_delete(model, person(self.request))
        self.fields["alias"].choices = [(name, f"@{name}") for name in names]


class UntagModelForm(UntagForm):
    """Asks which tag of a model to take off."""

    @staticmethod
    def rows() -> QuerySet[Any]:
        """Return the models."""
        return selectors.list_models()
