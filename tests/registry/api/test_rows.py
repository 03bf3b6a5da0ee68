"""Rows of lists are those that DRF's own serializers would write."""

import pytest
from rest_framework.serializers import ModelSerializer

from crowetrade_site.core.api.rows import RowSerializer
from crowetrade_site.core.api.serializers import AuditRow
from crowetrade_site.core.models import AuditEvent
from registry import selectors, services
from registry.api import serializers
from registry.models import RegisteredModel
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(author, at):
    """A version with what a row can show."""
    made = model_version(author, model=registered_model(author, "fx"))
    services.tag_version(version_id=made.public_id, key="market", value="fx", actor=author, at=at)
    for alias in ("newest", "best"):
        services.set_alias(name="fx", alias=alias, number=made.number, actor=author, at=at)
    return selectors.get_version(made.public_id)


def as_drf_writes(kind, instance):
    return dict(ModelSerializer.to_representation(kind(), instance))


class TestRowSerializer:
    @pytest.mark.parametrize("kind", [serializers.VersionRow, serializers.VersionDetail])
    def test_writes_a_version(self, version, kind):
        written = kind(version).data

        assert written == as_drf_writes(kind, version)
        assert written["aliases"] == ["best", "newest"]
        assert written["copied_from" if "copied_from" in written else "run_id"] in (None, "")

    def test_writes_other_rows(self, version):
        model = RegisteredModel.objects.get()
        event = AuditEvent.objects.latest("pk")

        for kind, row in ((serializers.ModelRow, model), (AuditRow, event)):
            assert kind(row).data == as_drf_writes(kind, row)

    def test_writes_named_columns_as_it_writes_the_object(self, version):
        kind = serializers.VersionRow
        rows = selectors.list_versions().values_list(*kind.columns(), named=True)

        assert kind(rows, many=True).data == [kind(version).data]
        assert all(issubclass(one, RowSerializer) for one in (kind, serializers.ModelRow))

    def test_knows_its_columns(self):
        assert serializers.VersionRow.columns()[:3] == [
            "public_id", "registered_model__name", "registered_model__public_id",
        ]  # fmt: skip
        assert serializers.VersionRow.columns()[-1] == "compromised_at"
