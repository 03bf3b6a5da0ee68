"""A worker looks at the files of a version, once."""

import pickle
from datetime import timedelta
from functools import partial

import pytest
import sklearn
import skops
from django.utils import timezone

from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from registry import jobs, services
from registry.artifacts import sandbox
from registry.artifacts.locks import SandboxLimits
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion
from registry.services.versions import VersionCard
from tests.factories.backtests import AT
from tests.factories.registry import model_version, registered_model
from tests.registry.artifacts.hostile import endless_onnx, harmless_skops, skops_folder

pytestmark = pytest.mark.django_db(transaction=True)


class Boom:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/never",)


def handed_in(owner, files, **card):
    model = registered_model(owner)
    for path, content in files.items():
        services.store_file(
            path=f"desk/{model.name}/{path}", sha256=storage.put(content), n_bytes=len(content),
            actor=owner, at=AT,
        )  # fmt: skip
    return services.register_version(
        name=model.name, source=f"desk/{model.name}", card=VersionCard(**card), actor=owner, at=AT
    )


def looked_at(version):
    jobs.admit_version(version_id=version.public_id)
    version.refresh_from_db()
    return version


class TestAdmitVersion:
    def test_admits_parameters(self, researcher):
        version = looked_at(handed_in(researcher, {"parameters.json": b'{"lookback_days": 120}'}))

        assert (version.status, version.format) == (VersionStatus.READY, "parameters")
        event = AuditEvent.objects.latest("id")
        assert (event.verb, event.object_id) == (
            "registry.version.admitted", str(version.public_id)
        )  # fmt: skip

    def test_refuses_a_hostile_pickle_by_name(self, researcher):
        version = looked_at(handed_in(researcher, {"model.pkl": pickle.dumps(Boom())}))

        assert version.status == VersionStatus.REFUSED
        assert "system" in version.status_message
        assert version.findings[0]["code"] == "forbidden_global"

    @pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    )
    def test_quarantines_a_pickle_of_listed_names(self, researcher):
        from sklearn.linear_model import LinearRegression

        fitted = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
        version = looked_at(handed_in(researcher, {"model.pkl": pickle.dumps(fitted)}))

        assert version.status == VersionStatus.QUARANTINED

    @pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    )
    def test_refuses_a_graph_that_never_ends(self, researcher, monkeypatch):
        monkeypatch.setattr(sandbox, "SandboxLimits", partial(SandboxLimits, cpu_seconds=2))

        version = looked_at(handed_in(researcher, {"model.onnx": endless_onnx()}))

        assert version.status == VersionStatus.REFUSED
        assert "does not open in the sandbox" in version.status_message

    @pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    )
    def test_waits_for_a_slow_machine_and_refuses_after_the_last_attempt(
        self, researcher, monkeypatch
    ):
        monkeypatch.setattr(sandbox, "SandboxLimits", partial(SandboxLimits, wall_seconds=0))
        version = looked_at(handed_in(researcher, {"model.skops": harmless_skops()}))

        assert (version.status, version.lease_expires_at) == (VersionStatus.PENDING, None)
        assert "attempt 1 of 3: it did not end within 0 seconds" in version.status_message
        assert version.published_at is not None  # the beat speaks of it again

        looked_at(version)
        looked_at(version)

        assert (version.status, version.attempt) == (VersionStatus.REFUSED, 3)
        assert "Out of time in the sandbox in 3 attempts" in version.status_message
        assert AuditEvent.objects.filter(verb="registry.version.refused").count() == 1

    @pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    )
    def test_admits_at_a_later_attempt_what_was_out_of_time(self, researcher, monkeypatch):
        with monkeypatch.context() as busy:
            busy.setattr(sandbox, "SandboxLimits", partial(SandboxLimits, wall_seconds=0))
            version = looked_at(handed_in(researcher, {"model.skops": harmless_skops()}))

        assert looked_at(version).status == VersionStatus.READY

    def test_counts_no_attempt_where_there_is_no_sandbox(self, researcher, monkeypatch):
        away = sandbox.Availability(False, "no Landlock", 0, "")
        monkeypatch.setattr(sandbox, "is_available", lambda: away)
        version = handed_in(researcher, {"model.skops": harmless_skops()})

        for _ in range(4):
            looked_at(version)

        assert (version.status, version.attempt) == (VersionStatus.PENDING, 0)
        assert "No sandbox to open it in: no Landlock" in version.status_message

    @pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    )
    def test_keeps_what_the_files_say_they_were_made_with(self, researcher):
        version = looked_at(handed_in(researcher, {"model.skops": harmless_skops()}))

        assert version.framework == {
            "skops": skops.__version__, "protocol": "2", "scikit-learn": sklearn.__version__,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("MLmodel", b'flavors: {"a\\0b": {x: 1}}', "mlmodel_flavor"),
            ("MLmodel", b'flavors: {"a\\ud800b": {x: 1}}', "mlmodel_flavor"),
            ("requirements.txt", b"a\0 @ http://evil.example", "unsafe_package_source"),
            ("x.pkl", b"cos\0\nsystem\n.", "forbidden_global"),
        ],
    )
    def test_names_what_it_finds_whatever_signs_a_file_has(self, researcher, name, content, code):
        version = looked_at(handed_in(researcher, {"m": harmless_skops(), name: content}))

        assert version.status == VersionStatus.REFUSED
        assert code in {finding["code"] for finding in version.findings}
        assert "\ufffd" in version.status_message

    def test_keeps_what_mlflow_says_where_no_database_has_it(self, researcher):
        files = skops_folder(sklearn={"x": None})
        told = f'run_id: "\\0"\nmodel_uuid: "\\ud800"\nmlflow_version: 0x{"f" * 5000}\n'
        told += "signature: {inputs: '[{\"a\": NaN}]', outputs: '[{\"b\": 1}]'}\n"
        files["MLmodel"] = files["MLmodel"].partition(b"mlflow_version")[0] + told.encode()

        version = looked_at(handed_in(researcher, files))

        assert version.status == VersionStatus.READY
        kept = [version.framework[name] for name in ("run_id", "model_uuid", "mlflow_version")]
        assert kept == ["\ufffd", "\ufffd", f"0x{'f' * 78}"]
        assert version.signature == {"inputs": [{"a": "nan"}], "outputs": [{"b": 1}]}

    def test_takes_over_no_signature_that_a_request_could_not_have(self, researcher):
        files = skops_folder()
        files["MLmodel"] += b"signature: {inputs: 3, outputs: x}\n"

        version = looked_at(handed_in(researcher, files))

        assert (version.status, version.signature) == (VersionStatus.READY, {})

    def test_keeps_what_the_author_states_apart_from_what_was_read(self, researcher):
        stated = {"lightgbm": "4.5.0"}
        files = {"parameters.json": b'{"a": 1}'}

        version = looked_at(handed_in(researcher, files, framework=stated))

        assert version.framework == {"stated": stated}

    def test_refuses_files_whose_bytes_are_others(self, researcher, settings):
        version = handed_in(researcher, {"parameters.json": b'{"lookback_days": 120}'})
        digest = version.manifest["files"][0]["sha256"]
        path = settings.ARTIFACT_ROOT / storage.object_name(digest)
        path.chmod(0o600)
        path.write_bytes(b'{"lookback_days": 121}')

        assert looked_at(version).status == VersionStatus.REFUSED

    def test_looks_once(self, researcher):
        version = looked_at(handed_in(researcher, {"parameters.json": b'{"a": 1}'}))
        n_events = AuditEvent.objects.count()

        looked_at(version)

        assert AuditEvent.objects.count() == n_events

    def test_leaves_what_another_worker_has(self, researcher):
        version = model_version(researcher, status=VersionStatus.PENDING)
        later = timezone.now() + timedelta(minutes=5)
        ModelVersion.objects.filter(pk=version.pk).update(lease_expires_at=later)

        assert looked_at(version).status == VersionStatus.PENDING


class TestStalledVersions:
    @pytest.mark.parametrize(
        ("published", "lease", "expected"),
        [(None, None, True), (0, None, False), (90, None, True), (0, -1, True), (0, 60, False)],
    )
    def test_names_those_that_nobody_is_at(self, researcher, published, lease, expected):
        version = model_version(researcher, status=VersionStatus.PENDING)
        now = timezone.now()
        ModelVersion.objects.filter(pk=version.pk).update(
            published_at=None if published is None else now - timedelta(seconds=published),
            lease_expires_at=None if lease is None else now + timedelta(seconds=lease),
        )

        assert (version.public_id in jobs.stalled_versions()) == expected
