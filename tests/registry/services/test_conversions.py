"""Models that become skops or ONNX: asked for, done in the sandbox, registered as a version."""

import json
import pickle
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from crowetrade_site.core.errors import Conflict, DuplicateRequest, Forbidden, InvalidInput
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import jobs, selectors, services
from registry.artifacts import sandbox
from registry.artifacts.errors import MissingValuesError
from registry.artifacts.sandbox import Availability
from registry.jobs import conversion as converting
from registry.lifecycle import ConversionStatus, Stage, VersionStatus
from registry.models import Conversion, ModelVersion, RegisteredModel
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import events_of, model_version, registered_model

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not sandbox.is_available().is_available,
        reason=sandbox.is_available().reason or "the sandbox is there",
    ),
]
ROWS = np.random.default_rng(7).normal(size=(20, 3))


def tensor(name, dtype, *shape):
    spec = {"dtype": dtype, "shape": list(shape)}
    return {"name": name, "type": "tensor", "tensor-spec": spec}


def fitted():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(ROWS, ROWS[:, 0] > 0)


@pytest.fixture(scope="module")
def pickled():
    return pickle.dumps(fitted())


@pytest.fixture
def author(transactional_db):
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def version(author, pickled):
    """A pickle in quarantine."""
    made = model_version(
        author, model=registered_model(author, "alpha"), status=VersionStatus.QUARANTINED,
        content=pickled,
    )  # fmt: skip
    ModelVersion.objects.update(format="pickle", model_path="parameters.json")
    made.refresh_from_db()
    return made


def asked(version, actor, rows=None, **more):
    return services.convert_version(
        version_id=version.public_id, rows=ROWS.tolist() if rows is None else rows, actor=actor,
        at=AT, **more,
    )  # fmt: skip


class TestConvertVersion:
    def test_makes_a_version_that_predicts_the_same(self, version, author):
        conversion = asked(version, author)

        made_id = jobs.convert_version(conversion_id=conversion.public_id)
        jobs.admit_version(version_id=made_id)

        made = selectors.get_version(made_id)
        assert (made.number, made.stage, made.status) == (2, Stage.DEVELOPMENT, "ready")
        assert (made.format, made.created_by, made.copied_from) == ("skops", author, version)
        assert events_of(made) == ["version.converted", "version.admitted"]
        assert "conversion.requested" in events_of(version)
        conversion.refresh_from_db()
        assert (conversion.status, conversion.result) == (ConversionStatus.DONE, made)
        predictor = selectors.load("models:/alpha/2").model
        expected = fitted().predict(ROWS)
        np.testing.assert_array_equal(predictor.predict(ROWS), expected)

    def test_is_done_once(self, version, author):
        conversion = asked(version, author)

        jobs.convert_version(conversion_id=conversion.public_id)
        assert jobs.convert_version(conversion_id=conversion.public_id) is None

        assert ModelVersion.objects.count() == 2

    def test_leaves_the_author_the_author(self, version, author):
        admin = account(Role.ADMIN)

        made = jobs.convert_version(conversion_id=asked(version, admin).public_id)

        assert selectors.get_version(made).created_by == author

    @pytest.mark.parametrize(
        "rows",
        [[], [[]], [[1.0], [1.0, 2.0]], [[1.0], {"a": 1.0}], ["ab"], [[[1.0]]], [[1]] * 1001],
    )
    def test_refuses_rows_that_are_none(self, version, author, rows):
        with pytest.raises(InvalidInput):
            asked(version, author, rows)

        assert not Conversion.objects.exists()

    def test_refuses_what_is_no_pickle(self, author):
        with pytest.raises(Conflict, match="pickles in quarantine"):
            asked(model_version(author), author)

    def test_refuses_others(self, version):
        with pytest.raises(Forbidden):
            asked(version, account(Role.RESEARCHER))

    def test_refuses_an_author_who_registers_no_versions_any_more(self, version, author):
        RegisteredModel.objects.update(owner=account(Role.RESEARCHER), operators=[])

        with pytest.raises(Forbidden, match="registered by its owner"):
            asked(version, author)

        RegisteredModel.objects.update(operators=[author.username])
        assert asked(version, author)

    def test_refuses_a_compromised_version(self, version, author):
        services.report_tampering(version_id=version.public_id, path="x", found="", at=AT)

        with pytest.raises(Conflict, match="compromised"):
            asked(version, author)

    def test_refuses_a_second_one_meanwhile_and_after(self, version, author):
        conversion = asked(version, author)
        with pytest.raises(Conflict, match="being converted"):
            asked(version, author)
        jobs.convert_version(conversion_id=conversion.public_id)

        with pytest.raises(Conflict, match="see version 2"):
            asked(version, author)

    def test_knows_a_request_by_its_key(self, version, author):
        first = asked(version, author, idempotency_key="k")

        assert asked(version, author, idempotency_key="k") == first
        with pytest.raises(DuplicateRequest):
            asked(version, author, rows=[[1.0, 2.0, 3.0]], idempotency_key="k")

    def test_says_why_it_failed(self, version, author):
        conversion = asked(version, author, rows=[[1.0]])  # the model takes three columns

        jobs.convert_version(conversion_id=conversion.public_id)

        conversion.refresh_from_db()
        assert conversion.status == ConversionStatus.FAILED
        assert "features" in conversion.reason
        assert events_of(version)[-1] == "conversion.failed"
        assert ModelVersion.objects.count() == 1

    def test_keeps_no_model_that_predicts_otherwise(self, version, author, monkeypatch):
        real = converting.convert

        def differing(*given, **named):
            found = real(*given, **named)
            agreement = replace(
                found.probe.agreement, max_abs_difference=1e-9, max_rel_difference=2e-9
            )
            return replace(found, probe=replace(found.probe, agreement=agreement), content=b"")

        monkeypatch.setattr(converting, "convert", differing)
        conversion = asked(version, author)

        jobs.convert_version(conversion_id=conversion.public_id)

        conversion.refresh_from_db()
        assert conversion.reason == (
            "Predictions differ by up to 1e-09 on 20 rows, 2e-09 of the usual size; "
            "none is allowed."
        )
        assert ModelVersion.objects.count() == 1

    def test_waits_for_a_machine_with_a_sandbox(self, version, author, monkeypatch):
        none = Availability(False, "no Landlock", 0, "")
        monkeypatch.setattr(sandbox, "is_available", lambda: none)
        conversion = asked(version, author)

        jobs.convert_version(conversion_id=conversion.public_id)

        conversion.refresh_from_db()
        assert (conversion.status, conversion.reason) == (ConversionStatus.QUEUED, "no Landlock")
        Conversion.objects.update(published_at=AT)
        assert jobs.stalled_conversions() == [conversion.public_id]

    def test_goes_with_a_version_that_is_deleted(self, version, author):
        asked(version, author)

        services.delete_version(version_id=version.public_id, actor=author, at=AT)

        assert not Conversion.objects.exists()
        assert AuditEvent.objects.filter(verb="registry.conversion.requested").exists()


class TestConvertToOnnx:
    def converted(self, version, author, **more):
        conversion = asked(version, author, target="onnx", **more)
        made_id = jobs.convert_version(conversion_id=conversion.public_id)
        conversion.refresh_from_db()
        return conversion, made_id

    def test_makes_a_version_and_says_how_far_it_is_apart(self, version, author):
        conversion, made_id = self.converted(version, author)
        jobs.admit_version(version_id=made_id)

        made = selectors.get_version(made_id)
        assert (made.format, made.status, made.copied_from) == ("onnx", "ready", version)
        found = conversion.agreement
        assert (found["n_rows"], found["n_decisions_differing"]) == (20, 0)
        assert 0.0 < found["max_rel_difference"] < found["tolerance"] == 1e-5
        assert made.description.startswith("Version 1 as onnx: predicts the same within 1e-05 of")
        assert made.description.endswith("apart at most, and 0 decisions are others.")
        event = AuditEvent.objects.get(verb="registry.version.converted")
        assert json.loads(event.canonical)["after"]["agreement"] == found
        predictor = selectors.load("models:/alpha/2").model
        np.testing.assert_array_equal(predictor.predict(ROWS), fitted().predict(ROWS))

    def test_describes_the_graph_and_what_wrote_it(self, version, author):
        _, made_id = self.converted(version, author)
        jobs.admit_version(version_id=made_id)

        made = selectors.get_version(made_id)
        assert made.signature == {
            "inputs": [tensor("X", "float32", -1, 3)],
            "outputs": [tensor("label", "int64", -1), tensor("probabilities", "float32", -1, 2)],
        }
        assert made.framework == {
            "written_by": {
                name: metadata.version(name) for name in ("skl2onnx", "onnx", "scikit-learn")
            },
            "opsets": {"": 21, "ai.onnx.ml": 1},
            "ir_version": "10",
            "producer": f"skl2onnx {metadata.version('skl2onnx')}",
        }

    def test_takes_a_skops_model_that_is_ready(self, version, author):
        skops_id = jobs.convert_version(conversion_id=asked(version, author).public_id)
        jobs.admit_version(version_id=skops_id)

        _, made_id = self.converted(selectors.get_version(skops_id), author)

        assert selectors.get_version(made_id).number == 3

    def test_is_asked_for_beside_skops(self, version, author):
        jobs.convert_version(conversion_id=asked(version, author).public_id)
        self.converted(version, author)

        with pytest.raises(Conflict, match="converted to onnx before: see version 3"):
            asked(version, author, target="onnx")

    @pytest.mark.parametrize(
        ("rows", "words"), [([{"a": 1.0}], "rows are lists"), ([["x", 1.0]], "hold no texts")]
    )
    def test_refuses_rows_that_are_not_of_numbers(self, version, author, rows, words):
        with pytest.raises(InvalidInput, match=words):
            asked(version, author, rows, target="onnx")

    def test_refuses_other_formats(self, author):
        with pytest.raises(Conflict, match="skops models that are ready become ONNX"):
            asked(model_version(author), author, target="onnx")

    def test_says_which_step_has_no_counterpart(self, author):
        from sklearn.ensemble import GradientBoostingRegressor
        from sklearn.linear_model import Ridge

        model = GradientBoostingRegressor(n_estimators=2, init=Ridge())
        hopeless = model_version(
            author, model=registered_model(author, "beta"), status=VersionStatus.QUARANTINED,
            content=pickle.dumps(model.fit(ROWS, ROWS[:, 0])),
        )  # fmt: skip
        ModelVersion.objects.filter(pk=hopeless.pk).update(
            format="pickle", model_path="parameters.json"
        )

        conversion, made_id = self.converted(selectors.get_version(hopeless.public_id), author)

        assert made_id is None
        assert conversion.status == ConversionStatus.FAILED
        assert conversion.reason == (
            "ONNX cannot express it: Setting init to an estimator is not supported"
        )
        assert events_of(hopeless)[-1] == "conversion.failed"


class TestRefuseMissing:
    """A forest loses on its way to ONNX where missing values go."""

    @pytest.fixture
    def forest(self, author):
        from sklearn.ensemble import RandomForestClassifier

        gaps = np.where(np.random.default_rng(7).random(ROWS.shape) < 0.3, np.nan, ROWS)
        fitted = RandomForestClassifier(9, random_state=7).fit(gaps, ROWS[:, 0] > 0)
        made = model_version(
            author, model=registered_model(author, "wood"), status=VersionStatus.QUARANTINED,
            content=pickle.dumps(fitted),
        )  # fmt: skip
        ModelVersion.objects.filter(pk=made.pk).update(
            format="pickle", model_path="parameters.json"
        )
        return selectors.get_version(made.public_id)

    def converted(self, version, author, missing_values):
        conversion = asked(version, author, target="onnx", missing_values=missing_values)
        made_id = jobs.convert_version(conversion_id=conversion.public_id)
        conversion.refresh_from_db()
        return conversion, made_id

    def test_is_offered_to_who_is_refused(self, forest, author):
        conversion, made_id = self.converted(forest, author, "compare")

        assert made_id is None
        assert conversion.agreement["missing_values"] == "compare"
        assert "21 of the rows have missing values" in conversion.reason
        assert conversion.reason.endswith("which compares complete rows alone.")

    def test_is_on_record_and_kept_by_whoever_loads_the_version(self, forest, author):
        conversion, made_id = self.converted(forest, author, "refuse")
        jobs.admit_version(version_id=made_id)

        made = selectors.get_version(made_id)
        assert (made.status, made.framework["missing_values"]) == ("ready", "refuse")
        assert made.description.endswith("Rows with missing values are not covered: it takes none.")
        assert (conversion.agreement["n_rows"], conversion.agreement["missing_values"]) == (
            20, "refuse",
        )  # fmt: skip
        event = json.loads(AuditEvent.objects.get(verb="registry.version.converted").canonical)
        assert event["after"]["missing_values"] == "refuse"
        assert event["after"]["agreement"] == conversion.agreement
        predictor = selectors.load("models:/wood/2").model
        assert len(predictor.predict(ROWS)) == 20
        with pytest.raises(MissingValuesError, match="1 of 20 rows have missing values, row 7"):
            predictor.predict(np.where(np.arange(20)[:, None] == 7, np.nan, ROWS))

    def test_is_said_of_a_copy_as_well(self, forest, author):
        _, made_id = self.converted(forest, author, "refuse")
        jobs.admit_version(version_id=made_id)
        registered_model(author, "copies")

        copied = services.register_version(
            name="copies", source="models:/wood/2", card=VersionCard(), actor=author, at=AT
        )
        jobs.admit_version(version_id=copied.public_id)

        copied.refresh_from_db()
        assert (copied.status, copied.framework["missing_values"]) == ("ready", "refuse")

    def test_is_no_reason_against_a_conversion_of_all_rows(self, version, author):
        self.converted(version, author, "refuse")

        self.converted(version, author, "compare")

        with pytest.raises(Conflict, match="see version 3"):
            asked(version, author, target="onnx", missing_values="refuse")

    def test_wants_complete_rows(self, version, author):
        rows = [[1.0, 2.0, 3.0], [1.0, None, 3.0]]

        with pytest.raises(InvalidInput, match=r"rows\.1: a value is missing") as refused:
            asked(version, author, rows, target="onnx", missing_values="refuse")

        assert refused.value.extensions["errors"][0]["path"] == "rows.1"
        with pytest.raises(InvalidInput, match="refuse is for onnx"):
            asked(version, author, missing_values="refuse")

    def test_is_another_request_under_a_key(self, version, author):
        asked(version, author, target="onnx", idempotency_key="k")

        with pytest.raises(DuplicateRequest):
            asked(version, author, target="onnx", missing_values="refuse", idempotency_key="k")


class TestCopies:
    def test_of_a_conversion_keep_the_original(self, version, author):
        jobs.convert_version(conversion_id=asked(version, author).public_id)

        with pytest.raises(Conflict, match="part of the record"):
            services.delete_version(version_id=version.public_id, actor=author, at=AT)

    def test_of_the_same_bytes_under_other_names_are_told_apart(self, version, author):
        from crowetrade_site.core import storage

        sha256 = version.manifest["files"][0]["sha256"]
        services.store_file(
            path="desk/other/model.pkl", sha256=sha256, n_bytes=len(storage.read(sha256)),
            actor=author, at=AT,
        )  # fmt: skip
        with pytest.raises(Conflict, match="the same bytes under other names"):
            services.register_version(
                name="alpha", source="desk/other", card=VersionCard(), actor=author, at=AT
            )
        made = services.register_version(
            name="alpha", source="desk/other", card=VersionCard(), actor=author, at=AT,
            allow_duplicate=True,
        )  # fmt: skip

        assert made.digest == version.digest
        assert not selectors.compare_versions(version, made)["is_same_files"]
