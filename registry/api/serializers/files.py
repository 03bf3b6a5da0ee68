"""Files: handed in, arriving in parts, and those of a version."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from registry.models import StoredFile, Upload


class FileRow(RowSerializer[StoredFile]):
    """A file under its path."""

    uploaded_by = serializers.CharField(source="uploaded_by.username")
    is_frozen = serializers.SerializerMethodField()

    class Meta:
        model = StoredFile
        fields = ["path", "sha256", "n_bytes", "uploaded_by", "uploaded_at", "is_frozen"]

    def get_is_frozen(self, file: StoredFile) -> bool:
        """Return whether a version refers to it: its bytes never change."""
        return file.frozen_at is not None


class UploadRequest(serializers.Serializer[Any]):
    """A file that will arrive in several requests."""

    path = serializers.CharField(max_length=1024, trim_whitespace=False)
    n_bytes = serializers.IntegerField(min_value=0, max_value=2**62)
    sha256 = serializers.RegexField(r"^[0-9a-f]{64}$")


class UploadRow(serializers.ModelSerializer[Upload]):
    """An upload; the view hands in how much of it is there."""

    id = serializers.UUIDField(source="public_id")
    offset = serializers.SerializerMethodField(help_text="How many bytes are there.")

    class Meta:
        model = Upload
        fields = ["id", "path", "sha256", "n_bytes", "offset", "created_at", "completed_at"]

    def get_offset(self, upload: Upload) -> int:  # noqa: ARG002
        """Return how many bytes are there."""
        offset: int = self.context["offset"]
        return offset


class VersionFile(serializers.Serializer[Any]):
    """A file of a version, and where its bytes are."""

    path = serializers.CharField()
    sha256 = serializers.CharField()
    n_bytes = serializers.IntegerField()
    url = serializers.CharField()
