"""Models out of the registry: opened only if they may be, and once."""

import pytest

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, Corrupted, InvalidInput, NotFound
from registry import jobs, selectors, services
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.selectors import loading
from tests.factories.backtests import AT
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_cache():
    loading.model_cache.cache_clear()
    yield
    loading.model_cache.cache_clear()


@pytest.fixture
def version(researcher):
    made = model_version(researcher, content=b'{"a": 1.5}', status=VersionStatus.PENDING)
    jobs.admit_version(version_id=made.public_id)
    made.refresh_from_db()
    return made


@pytest.fixture
def uri(version):
    return f"models:/{version.registered_model.name}/1"


class TestLoad:
    def test_opens_parameters_by_number_stage_and_alias(self, version, uri, researcher):
        name = version.registered_model.name
        services.set_alias(name=name, alias="candidate", number=1, actor=researcher, at=AT)

        for address in (uri, f"models:/{name}/development", f"models:/{name}@candidate"):
            loaded = selectors.load(address)
            assert (loaded.version_id, loaded.number) == (version.public_id, 1)
            assert loaded.model.parameters == {"a": 1.5}

    def test_opens_a_version_once(self, uri):
        first = selectors.load(uri)
        again = selectors.load(uri)

        assert again.model is first.model
        assert loading.model_cache().counts().n_opened == 1

    def test_asks_again_whether_it_may(self, version, uri, researcher):
        selectors.load(uri)
        services.move_version(
            version_id=version.public_id, target=Stage.ARCHIVED, actor=researcher, at=AT,
            reason="drifted",
        )  # fmt: skip

        with pytest.raises(Conflict, match="archived"):
            selectors.load(uri)

    def test_opens_no_compromised_version(self, version, uri):
        selectors.load(uri)
        services.report_tampering(version_id=version.public_id, path="x", found="0" * 64, at=AT)

        with pytest.raises(Conflict, match="compromised"):
            selectors.load(uri)

    @pytest.mark.parametrize(
        "status", [VersionStatus.PENDING, VersionStatus.QUARANTINED, VersionStatus.REFUSED]
    )
    def test_opens_nothing_that_was_not_admitted(self, version, uri, status):
        ModelVersion.objects.filter(pk=version.pk).update(status=status)

        with pytest.raises(Conflict, match=status):
            selectors.load(uri)

    def test_opens_no_other_bytes_whichever_byte_was_changed(self, version, uri, settings):
        digest = version.manifest["files"][0]["sha256"]
        path = settings.ARTIFACT_ROOT / storage.object_name(digest)
        content = path.read_bytes()
        path.chmod(0o600)
        for at in range(len(content)):
            flipped = bytearray(content)
            flipped[at] ^= 1
            path.write_bytes(flipped)

            with pytest.raises(Corrupted):
                selectors.load(uri)

        path.write_bytes(content)
        assert selectors.load(uri).model.parameters == {"a": 1.5}

    @pytest.mark.parametrize("address", ["momentum", "models:/m", "models:/m/nowhere", "file:/m/1"])
    def test_refuses_what_is_no_address(self, db, address):
        with pytest.raises(InvalidInput):
            selectors.load(address)

    @pytest.mark.parametrize("address", ["models:/m/1", "models:/m@best", "models:/m/production"])
    def test_says_what_is_not_there(self, db, address):
        with pytest.raises(NotFound):
            selectors.load(address)
