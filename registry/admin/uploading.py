"""Versions registered in the admin: files from the browser into the store, and their card."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from crowetrade_site.core import storage
from crowetrade_site.core.errors import DomainError, InvalidInput
from registry import services
from registry.admin.base import person
from registry.admin.fields import FilesField, LinesField, ObjectField, TextField
from registry.models import RegisteredModel
from registry.services.steps import require_contributor
from registry.services.versions import VersionCard

FOLDER = "forms"  # under which each form's files get a folder of their own


class VersionForm(BaseDialogForm):
    """Asks for files, or for where they are, and for what is known of them."""

    files = FilesField(
        required=False,
        help_text="All of them at once, from one folder. Folders within, more files, and what "
        "takes long go by <code>PUT /api/v1/files/</code> or <code>/api/v1/uploads/</code>.",
    )
    source = forms.CharField(
        label="or source", required=False, max_length=2000, widget=UnfoldAdminTextInputWidget(),
        help_text="A folder of files that were handed in, <code>models:/m-ID</code> of a logged "
        "model, or <code>models:/NAME/NUMBER</code> to copy a version.",
    )  # fmt: skip
    description = TextField(required=False, max_length=100_000, rows=2)
    signature = ObjectField(
        label="Signature (JSON)", required=False,
        help_text="What goes in and what comes out: "
        '{"inputs": [{"name": "close", "type": "double"}], "outputs": [{"type": "double"}]}',
    )  # fmt: skip
    parameters = ObjectField(label="Parameters (JSON)", required=False)
    metrics = ObjectField(label="Metrics (JSON)", required=False)
    datasets = LinesField(
        label="Data it was made from", longest=71, help_text="SHA-256 digests, one a line."
    )
    code_revision = forms.CharField(
        required=False, max_length=100, widget=UnfoldAdminTextInputWidget()
    )
    run_id = forms.CharField(
        label="Run", required=False, max_length=64, widget=UnfoldAdminTextInputWidget()
    )
    allow_duplicate = forms.BooleanField(
        label="Register files once more that a version has", required=False,
        widget=UnfoldBooleanWidget(),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, files=kwargs["request"].FILES or None, **kwargs)

    def clean(self) -> dict[str, Any]:
        """Ask for files in one way, and keep them whatever else is wrong: they may take long."""
        cleaned = super().clean() or self.cleaned_data
        if {"files", "source"} & self.errors.keys():
            return cleaned
        files, source = cleaned["files"], cleaned["source"]
        if bool(files) == bool(source):
            raise forms.ValidationError("Choose files, or name a source: one of the two.")
        model = RegisteredModel.objects.filter(pk=self.object_id).first()
        if files and model is not None:
            self._store(files, model)
        if str(self.cleaned_data["source"]).startswith(f"{FOLDER}/"):  # at every refusal
            self["source"].help_text = "Your files are kept here: they are not chosen again."
        return cleaned

    def _store(self, files: Sequence[UploadedFile], model: RegisteredModel) -> None:
        """Hand files in, and name where they are by now: they are not asked for once more."""
        actor = person(self.request)
        try:
            require_contributor(model, actor)  # before anything is stored
            source = store_files(files, actor=actor)
        except DomainError as refusal:
            self.add_error("files", refusal.detail)
            return
        self.cleaned_data["source"] = source
        sent = self.request.POST.copy()
        sent["source"] = source
        self.data = sent

    @property
    def card(self) -> VersionCard:
        """What is known of the version beside its files."""
        names = ("description", "signature", "parameters", "metrics", "datasets", "code_revision",
                 "run_id")  # fmt: skip
        return VersionCard(**{name: self.cleaned_data[name] for name in names})


def store_files(files: Sequence[UploadedFile], *, actor: User) -> str:
    """Hand files in, in a folder of their own, and return its name.

    They wait on disk where they do not fit into memory, and are read in pieces, hashed on the way.

    Raises
    ------
    InvalidInput, Forbidden, Conflict
        As `services.store_file`; before anything is stored, where it can be known. One is larger
        than what is taken (422).
    """
    folder = f"{FOLDER}/{uuid4()}"
    for file in files:
        if (file.size or 0) > settings.MODEL_FILE_MAX_BYTES:
            raise InvalidInput(f"{file.name} has more than {settings.MODEL_FILE_MAX_BYTES} bytes.")
        services.require_may_store(path=f"{folder}/{file.name}", actor=actor)
    for file in files:
        digest = storage.put(file)
        at = timezone.now()
        with services.loose_if_refused(digest, at=at):
            services.store_file(
                path=f"{folder}/{file.name}", sha256=digest, n_bytes=file.size or 0, actor=actor,
                at=at,
            )  # fmt: skip
    return folder
