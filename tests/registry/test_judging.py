"""What a judgement reads of the past: failures stay in sight, of all versions of the same bytes."""

import hashlib
from datetime import timedelta

import pytest

from crowetrade_site.core import provenance
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import EvidenceStatus, Stage
from registry.models import Evidence
from registry.selectors import dossiers
from registry.services.versions import VersionCard
from tests.factories import registry
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db
POLICY = """
testing: {}
staging:
  gates:
    - {kind: backtest, minimum: {n_bars: 100}}
    - {kind: causality}
    - {kind: data_quality, maximum: {n_errors: 0}}
    - {kind: reproduction}
  approvals: {number: 1}
production: {approvals: {number: 2}}
"""
DATA, SPEC = "a" * 64, "5" * 64
GOOD = {"n_cuts": 9, "n_differing": 0, "n_responding": 9, "is_same_code": True}


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def version(author):
    services.store_policy(
        name="default", text=POLICY, actor=account(Role.ADMIN), at=AT, reason="For these tests."
    )
    return model_version(author)


def measure(
    version, kind="backtest", source="r1", *, minutes=0, quality="", spec=SPEC, strategy="",
    **figures,
):  # fmt: skip
    digests = {
        "artifact": version.digest, "data": DATA, "code": provenance.code_digest(),
        "quality": quality,
    }  # fmt: skip
    given = {"n_bars": 500} if kind == "backtest" else {}
    return registry.measure(
        version, kind, given | figures, digests=digests | {"spec": spec, "strategy": strategy},
        source=source,
        produced_at=AT + timedelta(minutes=minutes),
    )  # fmt: skip


def lines(version):
    report = selectors.judge(version, Stage.STAGING, at=AT + timedelta(hours=9)).report
    return {result.name: result for result in report.results}


def superseded(version, n, **figures):
    """Write many pieces as if each had superseded the one before."""
    Evidence.objects.bulk_create(
        Evidence(
            version=version, kind="backtest", is_measured=True, status=EvidenceStatus.SUPERSEDED,
            figures={"n_bars": 100 + k, **figures}, digests={"artifact": version.digest},
            digest=hashlib.sha256(f"{version.pk} {k} {figures}".encode()).hexdigest(),
            source=f"backtests.run:x{k}", produced_at=AT - timedelta(days=1, minutes=-k),
        )
        for k in range(n)
    )  # fmt: skip


class TestHistory:
    def test_of_one_kind_wipes_out_no_failure_of_another(self, version):
        measure(version)
        again = {"of": "r1", "is_same_code": True}
        measure(version, "reproduction", "q1", is_identical=False, **again)
        measure(version, "reproduction", "q2", minutes=1, is_identical=True, **again)
        superseded(version, dossiers.MOST_EARLIER + 1)

        reason = lines(version)["reproduction"].reason

        assert reason.endswith("; not identical before, and deciding nothing now: r1")

    def test_of_a_failure_is_not_wiped_out_by_good_ones_of_its_kind(self, version, monkeypatch):
        monkeypatch.setattr(dossiers, "MOST_EARLIER", 3)
        measure(version)
        again = {"of": "r1", "is_same_code": True}
        measure(version, "reproduction", "q", is_identical=False, **again)
        for k in range(6):
            measure(version, "reproduction", f"q{k}", minutes=k + 1, is_identical=True, **again)

        assert lines(version)["reproduction"].reason.endswith("deciding nothing now: r1")

    def test_counts_what_is_too_much_to_tell_and_its_extremes(self, version, monkeypatch):
        monkeypatch.setattr(dossiers, "MOST_EARLIER", 2)
        superseded(version, 5)
        superseded(version, 1, n_bars="no number")
        superseded(version, 2, sharpe=1.0)
        measure(version)

        reason = lines(version)["backtest"].reason

        assert reason.endswith(
            "superseded since: n_bars 100 and 101, and 6 older ones from 100 to 104"
        )

    def test_takes_as_many_queries_whatever_there_is(self, version, django_assert_max_num_queries):
        superseded(version, 300)
        measure(version)
        for k in range(20):
            measure(version, "causality", f"c{k}", of=f"r{k}", **GOOD)

        with django_assert_max_num_queries(9):
            selectors.judge(selectors.get_version(version.public_id), Stage.STAGING, at=AT)


class TestSameBytes:
    @pytest.fixture
    def copy(self, version, author):
        return services.register_version(
            name=version.registered_model.name, card=VersionCard(), actor=author, at=AT,
            source=f"models:/{version.registered_model.name}/{version.number}",
            allow_duplicate=True,
        )  # fmt: skip

    @pytest.fixture
    def register(self, version):
        """Return what registers the bytes once more, under a model of a person's own."""
        source = f"models:/{version.registered_model.name}/{version.number}"

        def made(person, *datasets):
            return services.register_version(
                name=registry.registered_model(person).name, source=source, actor=person, at=AT,
                card=VersionCard(datasets=list(datasets)), allow_duplicate=True,
            )  # fmt: skip

        return made

    def test_do_not_begin_anew_by_a_copy(self, version, copy):
        measure(version)
        failed = measure(version, "causality", "c1", of="r1", **GOOD | {"n_differing": 3})
        measure(copy, source="r2", minutes=1)

        result = lines(copy)["causality"]

        assert (result.outcome, result.evidence) == ("not met", (failed.digest,))
        assert "of r1, the same computation as r2, which is evidence of: backtest" in result.reason

    def test_are_made_from_what_any_of_them_is_said_to_be(self, version, author):
        unseen = POLICY.replace("{n_bars: 100}}", "{n_bars: 100}, unseen_data: true}")
        judge = account(Role.ADMIN, "judge")
        services.store_policy(name="default", text=unseen, actor=judge, at=AT, reason="Unseen.")
        cards = VersionCard(datasets=[DATA]), VersionCard(datasets=["b" * 64])
        source = f"models:/{version.registered_model.name}/{version.number}"
        elsewhere = registry.registered_model(author).name
        _, other = (
            services.register_version(
                name=elsewhere, source=source, card=card, actor=author, at=AT, allow_duplicate=True
            )
            for card in cards
        )
        measure(other, days_seen=0)

        result = lines(other)["backtest"]

        assert selectors.made_from(other).datasets == [DATA, "b" * 64]
        assert result.outcome == "not met"
        assert result.reason.endswith("which the version was made from: not out of sample")

    def test_are_not_made_from_what_a_stranger_says_afterwards(self, register, author):
        unseen = POLICY.replace("{n_bars: 100}}", "{n_bars: 100}, unseen_data: true}")
        judge = account(Role.ADMIN, "judge")
        services.store_policy(name="default", text=unseen, actor=judge, at=AT, reason="Unseen.")

        ours = register(author, "b" * 64)
        stranger = account(Role.RESEARCHER, "stranger")
        theirs = register(stranger, DATA)
        same = register(stranger, "b" * 64)  # says nothing new
        measure(ours, days_seen=0)
        measure(theirs, days_seen=0)

        assert selectors.made_from(ours) == (["b" * 64], [f"{theirs} by stranger"])
        assert selectors.made_from(theirs) == (["b" * 64, DATA], [])  # what was said before holds
        assert selectors.made_from(same).datasets == ["b" * 64, DATA]
        assert lines(ours)["backtest"].outcome == "met"
        assert f"are named by {theirs} by stranger: registered later" in (
            lines(ours)["backtest"].reason
        )
        assert lines(theirs)["backtest"].outcome == "not met"

    @pytest.mark.parametrize("card", ["owner", "operators"])
    def test_are_made_from_what_its_people_say_later(self, register, author, card):
        colleague = account(Role.RESEARCHER, "colleague")

        ours = register(author)
        ours.registered_model.owner = colleague if card == "owner" else author
        ours.registered_model.operators = ["colleague"] if card == "operators" else []
        ours.registered_model.save()
        register(colleague, DATA)

        assert selectors.made_from(selectors.get_version(ours.public_id)) == ([DATA], [])

    def test_tell_what_failed_under_another_number(self, version, copy):
        measure(version)
        failed = {"of": "r1", "is_identical": False, "is_same_code": True}
        measure(version, "reproduction", "q1", **failed)
        measure(version, "reproduction", "q2", minutes=1, **failed | {"is_identical": True})
        measure(copy, source="r2", minutes=1)
        measure(
            copy, "reproduction", "q3", minutes=2, **failed | {"of": "r2", "is_identical": True}
        )

        result = lines(copy)["reproduction"]

        assert result.outcome == "met"
        assert result.reason.endswith("; not identical before, and deciding nothing now: r1")

    def test_do_not_begin_anew_by_another_spec_of_them_nor_by_another_check(self, version, copy):
        failed = measure(version, "causality", "c1", of="r1", **GOOD | {"n_differing": 3})
        measure(version, "causality", "c2", minutes=1, of="r1", **GOOD)
        measure(copy, source="r2", spec="6" * 64)
        measure(copy, "causality", "c3", spec="6" * 64, of="r2", **GOOD)
        failed.refresh_from_db()

        result = lines(copy)["causality"]

        assert failed.status == "valid"
        assert (result.outcome, result.evidence) == ("not met", (failed.digest,))
        assert (
            "; of r1, of the same files and code as r2, which is evidence of: back" in result.reason
        )

    def test_are_judged_anew_by_whoever_approved_when_a_failure_is_told(self, version, copy):
        measure(version)
        before = selectors.judge(version, Stage.PRODUCTION, at=AT).evidence_digest
        failed = measure(copy, "reproduction", "q1", spec="6" * 64, of="r9", is_identical=False)

        judged = selectors.judge(version, Stage.PRODUCTION, at=AT)

        assert judged.report.is_met
        assert failed.digest in judged.report.evidence
        assert judged.evidence_digest != before

    def test_give_no_good_check_away(self, version, copy):
        measure(version)
        measure(version, "causality", "c1", of="r1", **GOOD)
        measure(copy, source="r2")

        assert lines(version)["causality"].outcome == "met"
        assert lines(copy)["causality"].outcome == "not computed"


class TestSameStrategy:
    """A line more in a file, or another file beside it: other bytes that trade the same."""

    THEIRS, OTHER = "7" * 64, "8" * 64

    @pytest.fixture
    def rewritten(self, version, author):
        return model_version(author, model=version.registered_model, content=b'{"note": 1}')

    def test_does_not_begin_anew_by_other_bytes(self, version, rewritten):
        failed = measure(
            version, "causality", "c1", of="r1", strategy=self.THEIRS, **GOOD | {"n_differing": 3}
        )
        measure(rewritten, source="r2", spec="6" * 64, strategy=self.THEIRS)
        measure(rewritten, "causality", "c2", of="r2", strategy=self.THEIRS, **GOOD)

        result = lines(rewritten)["causality"]

        assert version.digest != rewritten.digest
        assert (result.outcome, result.evidence) == ("not met", (failed.digest,))
        assert "of r1, of the same strategy and code as r2" in result.reason
        assert selectors.standing_against(rewritten, at=AT + timedelta(hours=9))

    def test_is_reproduced_before_other_bytes_of_it_go_up(self, version, rewritten):
        again = {"of": "r1", "is_same_code": True, "strategy": self.THEIRS}
        failed = measure(version, "reproduction", "q1", is_identical=False, **again)
        measure(rewritten, source="r2", strategy=self.THEIRS)

        stopped = lines(rewritten)["reproduction"]
        measure(
            rewritten, "reproduction", "q2", minutes=1, is_identical=True,
            **again | {"of": "r2"},
        )  # fmt: skip

        assert (stopped.outcome, stopped.evidence) == ("not met", (failed.digest,))
        assert lines(rewritten)["reproduction"].outcome == "met"

    @pytest.mark.parametrize("strategy", [OTHER, ""])
    def test_is_another_by_other_parameters(self, version, rewritten, strategy):
        measure(version, "causality", "c1", of="r1", strategy=strategy, **GOOD | {"n_differing": 3})
        measure(rewritten, source="r2", strategy=strategy and self.THEIRS)
        measure(rewritten, "causality", "c2", of="r2", strategy=strategy and self.THEIRS, **GOOD)

        assert lines(rewritten)["causality"].outcome == "met"

    def test_gives_no_good_check_to_other_bytes(self, version, rewritten):
        measure(version, strategy=self.THEIRS)
        measure(version, "causality", "c1", of="r1", strategy=self.THEIRS, **GOOD)
        measure(rewritten, source="r2", strategy=self.THEIRS)

        assert lines(rewritten)["causality"].outcome == "not computed"


class TestQuality:
    def test_of_one_import_is_not_superseded_by_that_of_another(self, version):
        dirty = measure(version, "data_quality", "r1", quality="d", n_errors=2)
        measure(version, "data_quality", "r2", minutes=1, quality="c", n_errors=0)
        measure(version, quality="d")

        dirty.refresh_from_db()
        result = lines(version)["data_quality"]

        assert dirty.status == "valid"
        assert (result.outcome, result.evidence) == ("not met", (dirty.digest,))

    def test_of_the_import_of_the_newest_run_decides_and_the_other_is_told(self, version):
        measure(version, "data_quality", "r1", quality="d", n_errors=2)
        measure(version, "data_quality", "r2", minutes=1, quality="c", n_errors=0)
        measure(version, quality="c")

        result = lines(version)["data_quality"]

        assert result.outcome == "met"
        assert "another import of the same data: n_errors is 2, at most 0 is" in result.reason
