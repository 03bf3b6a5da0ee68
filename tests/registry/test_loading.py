"""Models out of the registry: opened only if they may be, and once."""

import json
import re
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, Corrupted, InvalidInput, NotFound
from registry import jobs, selectors, services
from registry.artifacts import sandbox
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.selectors import loading
from tests.factories.backtests import AT
from tests.factories.registry import events_of, model_version, registered_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "registry.md"
(EXAMPLE,) = re.findall(
    r"```python\n(from registry import services.*?)```", PAGE.read_text(), re.DOTALL
)
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


def stored(version, settings):
    path = settings.ARTIFACT_ROOT / storage.object_name(version.manifest["files"][0]["sha256"])
    path.chmod(0o600)
    return path


def forge(version):
    """Put the manifest of another version where no trigger looks."""
    other, table = model_version(version.created_by), "ALTER TABLE registry_modelversion"
    with connection.cursor() as cursor:
        cursor.execute(f"{table} DISABLE TRIGGER registry_files_are_final")
        cursor.execute(
            "UPDATE registry_modelversion SET manifest = %s WHERE id = %s",
            [json.dumps(other.manifest), version.pk],
        )
        cursor.execute(f"{table} ENABLE ALWAYS TRIGGER registry_files_are_final")


class TestLoadAndRemember:
    def test_opens_what_is_whole(self, version, uri):
        assert services.load(uri).version_id == version.public_id
        assert "version.compromised" not in events_of(version)

    def test_marks_a_version_of_other_bytes(self, version, uri, settings):
        stored(version, settings).write_bytes(b"other")

        with pytest.raises(Corrupted):
            services.load(uri)

        version.refresh_from_db()
        assert version.compromised_at is not None
        assert events_of(version)[-1] == "version.compromised"
        with pytest.raises(Conflict, match="compromised"):
            services.load(uri)

    def test_marks_it_when_the_transaction_of_its_caller_is_over(self, version, uri, settings):
        stored(version, settings).write_bytes(b"other")

        @services.remembering_other_bytes()
        @transaction.atomic(durable=True)
        def verb():
            services.load(uri)

        with pytest.raises(Corrupted):
            verb()

        assert events_of(version)[-1] == "version.compromised"


class TestManifests:
    def test_are_those_that_were_approved(self, version, uri):
        forge(version)

        with pytest.raises(Corrupted, match="not the one that was registered"):
            services.load(uri)
        version.refresh_from_db()
        with pytest.raises(Corrupted), jobs.materialized(version):
            pass
        with pytest.raises(Corrupted):
            selectors.get_file(version, "")

    def test_are_manifests(self, version):
        version.manifest = {"format": 1}

        with pytest.raises(Corrupted, match="damaged"):
            selectors.manifest_of(version)

    @pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"manifest": {}}])
    def test_never_change(self, version, change):
        with pytest.raises(IntegrityError, match="never change"):
            ModelVersion.objects.filter(pk=version.pk).update(**change)


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
        path = stored(version, settings)
        content = path.read_bytes()
        for at in range(len(content)):
            flipped = bytearray(content)
            flipped[at] ^= 1
            path.write_bytes(flipped)

            with pytest.raises(Corrupted):
                selectors.load(uri)

        path.write_bytes(content)
        assert selectors.load(uri).model.parameters == {"a": 1.5}

    @pytest.mark.parametrize(
        "address",
        ["momentum", "models:/m", "models:/m/nowhere", "file:/m/1", "models:/m/²",
         f"models:/m/{'9' * 5000}"],
    )  # fmt: skip
    def test_refuses_what_is_no_address(self, db, address):
        with pytest.raises(InvalidInput):
            selectors.load(address)

    @pytest.mark.parametrize("address", ["models:/m/1", "models:/m@best", "models:/m/production"])
    def test_says_what_is_not_there(self, db, address):
        with pytest.raises(NotFound):
            selectors.load(address)


class TestExampleOfTheDocs:
    @pytest.mark.skipif(
        not sandbox.is_available().is_available, reason="no Landlock or bubblewrap on this kernel"
    )
    def test_predicts(self, researcher, tmp_path, capsys):
        import skops.io
        from sklearn.linear_model import LinearRegression

        fitted = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 2.0])
        skops.io.dump(fitted, tmp_path / "model.skops")
        made = model_version(
            researcher, model=registered_model(researcher, "fx-carry"),
            status=VersionStatus.PENDING, content=(tmp_path / "model.skops").read_bytes(),
        )  # fmt: skip
        jobs.admit_version(version_id=made.public_id)

        exec(EXAMPLE, {})  # noqa: S102 - the text of our own page

        named, predicted = capsys.readouterr().out.splitlines()
        assert named == "fx-carry 1 skops"
        expected = fitted.predict([[0.02, 1.0], [-0.01, 3.0]])
        assert predicted == str(expected)
