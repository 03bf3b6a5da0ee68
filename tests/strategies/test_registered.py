"""Strategies that are files of registered versions."""

import json

import pytest

from crowetrade_site.core.errors import InvalidInput
from registry.jobs import admit_version
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion
from registry.selectors import loading
from strategies import selectors
from strategies.pipeline.examples import builtin_examples
from tests.factories.accounts import account
from tests.factories.registry import model_version

MISTYPED = {
    "signals": [{"kind": "momentum", "lookback_dyas": 60}],
    "portfolio": {"kind": "equal_weight", "n_holdings": 5},
}

pytestmark = pytest.mark.django_db(transaction=True)


class TestGetRegistered:
    def test_builds_nothing_of_a_file_that_is_no_document(self):
        version = model_version(account("researcher"))
        ModelVersion.objects.update(format="skops")
        loading.model_cache.cache_clear()

        with pytest.raises(InvalidInput, match="a file of skops"):
            selectors.get_registered(f"models:/{version.registered_model.name}/1")

        assert loading.model_cache().counts().n_opened == 0


class TestRemarksOn:
    @pytest.mark.parametrize("name", sorted(builtin_examples()))
    def test_says_nothing_of_a_strategy(self, name):
        assert selectors.remarks_on(builtin_examples()[name].model_dump(mode="json")) == []

    @pytest.mark.parametrize(
        "document",
        [{"lookback_days": 120}, {"values": [1, 2]}, {"signals": 3}, {"portfolio": {"gross": 1.0}}],
    )
    def test_says_nothing_of_other_parameters(self, document):
        assert selectors.remarks_on(document) == []

    def test_names_the_place_and_the_nearest_key(self):
        (remark, *_) = selectors.remarks_on(MISTYPED)

        assert "signals.0.lookback_dyas: unknown key; did you mean 'lookback_days'?" in remark

    def test_stands_on_the_version_from_its_admission_on(self):
        content = json.dumps(MISTYPED).encode()
        version = model_version(
            account("researcher"), status=VersionStatus.PENDING, content=content
        )

        admit_version(version_id=version.public_id)

        version.refresh_from_db()
        assert version.status == VersionStatus.READY
        finding = version.findings[0]
        assert (finding["code"], finding["path"]) == ("faulty_document", "parameters.json")
        assert "lookback_dyas" in finding["text"]
        assert "lookback_dyas" in version.status_message
