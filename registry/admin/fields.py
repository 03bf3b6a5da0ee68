"""Fields of the registry's dialogs: long texts, lists by line, JSON, files, and dates."""

from typing import Any
from unicodedata import normalize

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import ProhibitNullCharactersValidator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from registry.artifacts.documents import storable
from registry.artifacts.errors import UnreadableError

MONOSPACE = "font-family: monospace"
MOST_ENTRIES, LONGEST_ENTRY = 200, 255


class DateInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar."""

    input_type = "date"


class SuggestingInput(UnfoldAdminTextInputWidget):
    """A line of text with suggestions; anything else may be typed, too."""

    suggested: list[str]

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.suggested = []

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the input, and behind it the list that it names."""
        listed = f"suggested-{name}"
        box = super().render(name, value, {**(attrs or {}), "list": listed}, renderer)
        options = format_html_join("", '<option value="{}">', ((one,) for one in self.suggested))
        return format_html('{}<datalist id="{}">{}</datalist>', box, listed, options)


class TextField(forms.CharField):
    """A text of several lines, each ending as it does elsewhere and not as browsers send it."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget({"rows": rows}), **kwargs)

    def to_python(self, value: Any) -> str:
        """Return the text with plain ends of lines."""
        return str(super().to_python(value)).replace("\r\n", "\n")


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, *, longest: int = LONGEST_ENTRY, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(widget=UnfoldAdminTextareaWidget({"rows": 3}), required=False, **kwargs)

    def to_python(self, value: Any) -> Any:
        """Return the lines that say something."""
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def validate(self, value: Any) -> None:
        """Take no more than the API does."""
        if len(value) > MOST_ENTRIES or any(len(line) > self.longest for line in value):
            raise forms.ValidationError(
                f"At most {MOST_ENTRIES} lines of {self.longest} characters each."
            )
        ProhibitNullCharactersValidator()("\n".join(value))

    def run_validators(self, value: Any) -> None:
        """Leave out those of a single text."""

    def prepare_value(self, value: Any) -> Any:
        """Return what the box shows."""
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare lists."""
        return bool(self.to_python(initial) != self.to_python(data))


class JSONField(forms.JSONField):
    """JSON as a text; empty where there is none yet, and not the word null."""

    def __init__(self, *, rows: int = 3, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget({"rows": rows, "style": MONOSPACE})
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> Any:
        """Refuse what Python reads as JSON and neither JSON nor the database has."""
        try:
            found = super().to_python(value)
            is_plain = storable(found) == found
        except (RecursionError, UnreadableError):
            is_plain = False
        if not is_plain:
            raise forms.ValidationError(
                "This holds NaN, an infinity, a NUL or half a sign, a number larger than "
                "any that is computed with, or is nested too deeply."
            )
        return found

    def prepare_value(self, value: Any) -> Any:
        """Return what the box shows."""
        return "" if value in (None, {}, []) else super().prepare_value(value)


class ObjectField(JSONField):
    """A JSON object; none is an empty one."""

    def clean(self, value: Any) -> dict[str, Any]:
        """Accept an object alone; the service checks the rest."""
        cleaned = super().clean(value)
        if cleaned is None:
            return {}
        if not isinstance(cleaned, dict):
            raise forms.ValidationError('An object is asked: {"name": …}.')
        return cleaned

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Take nothing for an empty object, on both sides."""
        return super().has_changed(initial or None, data)


class FilesInput(forms.FileInput):
    """The browser's choice of several files."""

    allow_multiple_selected = True

    def __init__(self) -> None:
        counts = "n = $el.files.length; if (n > most) $el.value = ''"
        super().__init__({"class": " ".join(INPUT_CLASSES), "x-on:change": counts})

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the input, with a line of text for its own that nobody sees or sends.

        Unfold's script writes the name of a chosen file into the nearest line of text, whatever
        that is for. The browser counts the files: a request with too many is refused unread.
        """
        box = super().render(name, value, attrs, renderer)
        most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        own = (
            '<div x-data="{{ n: 0, most: {} }}"><div>{}</div>'
            '<input type="text" hidden disabled aria-hidden="true">'
            '<p aria-live="polite" style="display: none" x-show="n > most">These are '
            '<span x-text="n"></span> files, and up to {} go at once: choose fewer, or hand them '
            "in one by one by the API.</p></div>"
        )
        return format_html(own, most, box, most)


class FilesField(forms.FileField):
    """Several files, of any size, each with a name of its own."""

    widget = FilesInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """Return the files; none is none where none is required."""
        files = [super(FilesField, self).clean(one, initial) for one in data or [None]]
        found = [one for one in files if one is not None]
        for one in found:  # a Mac writes a letter and its accent as two signs
            one.name = normalize("NFC", str(one.name))
        names = [one.name for one in found]
        if twice := {name for name in names if names.count(name) > 1}:
            raise forms.ValidationError(f"Two of these files are called {min(twice)}.")
        return found
