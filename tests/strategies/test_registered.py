"""Strategies that are files of registered versions."""

import pytest

from crowetrade_site.core.errors import InvalidInput
from registry.models import ModelVersion
from registry.selectors import loading
from strategies import selectors
from tests.factories.accounts import account
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)


class TestGetRegistered:
    def test_builds_nothing_of_a_file_that_is_no_document(self):
        version = model_version(account("researcher"))
        ModelVersion.objects.update(format="skops")
        loading.model_cache.cache_clear()

        with pytest.raises(InvalidInput, match="a file of skops"):
            selectors.get_registered(f"models:/{version.registered_model.name}/1")

        assert loading.model_cache().counts().n_opened == 0
