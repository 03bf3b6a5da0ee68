"""Evidence, measured and attested."""

from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.models import Evidence
from tests.factories import registry
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import events_of, model_version

pytestmark = pytest.mark.django_db
sources = count(1)


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def version(author):
    return model_version(author)


@pytest.fixture
def validator():
    return account(Role.VALIDATOR, "vera")


def attest(version, actor, **more):
    given = {"topic": "drill", "summary": "Stopped.", "actor": actor, "at": AT}
    return services.attest_evidence(version_id=version.public_id, **given | more)


def measure(version, kind="backtest", figures=None, **more):
    source = {"source": next(sources)}
    return registry.measure(version, kind, figures or {"n_bars": 500}, **source | more)


class TestAttest:
    def test_is_signed_for_and_told_once(self, version, validator):
        piece = attest(version, validator, figures={"seconds": 0.4})

        assert (piece.is_measured, piece.handed_in_by) == (False, validator)
        assert piece.figures == {"topic": "drill", "seconds": 0.4}
        assert events_of(version)[1:] == ["evidence.attested"]

    def test_supersedes_its_own_topic_alone(self, version, validator):
        first = attest(version, validator)
        other = attest(version, validator, topic="committee")
        attest(version, validator, summary="Stopped again.")

        for piece, status in ((first, "superseded"), (other, "valid")):
            piece.refresh_from_db()
            assert piece.status == status

    def test_refuses_what_was_handed_in_before(self, version, validator):
        attest(version, validator)

        with pytest.raises(Conflict, match="before"):
            attest(version, validator)

    @pytest.mark.parametrize(
        "more",
        [
            {"topic": " "},
            {"summary": ""},
            {"summary": "x" * 10_001},
            {"expires_at": AT},
            {"expires_at": AT - timedelta(days=1)},
        ],
    )
    def test_refuses_what_says_nothing(self, version, validator, more):
        with pytest.raises(InvalidInput):
            attest(version, validator, **more)

    @pytest.mark.parametrize("figure", [10**400, -(10**400), {"of": [1.0, 10**400]}, float("inf")])
    def test_refuses_numbers_that_nothing_computes_with(self, version, validator, figure):
        with pytest.raises(InvalidInput, match="'seconds' holds a number that float64 cannot"):
            attest(version, validator, figures={"seconds": figure})
        assert not Evidence.objects.exists()

    @pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OPERATOR, Role.AUDITOR])
    def test_is_for_those_who_judge(self, version, role):
        with pytest.raises(Forbidden):
            attest(version, account(role))

    def test_is_never_for_ones_own(self, version, author):
        author.groups.add(account(Role.VALIDATOR).groups.get())
        roles.forget(author)

        with pytest.raises(Forbidden, match="of their own"):
            attest(version, author)
        assert not Evidence.objects.exists()

    def test_by_nobody_is_refused_by_the_database(self, version):
        with pytest.raises(IntegrityError, match="attested_by_somebody"), transaction.atomic():
            Evidence.objects.create(
                version=version, kind="manual", is_measured=False, digest="x", source="x",
                produced_at=AT,
            )  # fmt: skip


class TestRecord:
    def test_is_measured_and_told_once(self, version):
        piece = measure(version)

        assert (piece.is_measured, piece.handed_in_by) == (True, None)
        assert events_of(version)[1:] == ["evidence.measured"]
        assert AuditEvent.objects.latest("id").actor == "system"

    @pytest.mark.parametrize("minutes", [-30, 30])
    def test_supersedes_what_came_in_before_whatever_clocks_say(self, version, minutes):
        old = measure(version, produced_at=AT + timedelta(minutes=minutes))
        measure(version)

        old.refresh_from_db()
        assert old.status == "superseded"

    def test_of_a_proven_look_ahead_is_superseded_by_another_proof_alone(self, version):
        found, clean, again = (
            measure(version, kind="causality", figures={"of": "r", "n_differing": n})
            for n in (7, 0, 2)
        )

        for piece, status in ((found, "superseded"), (clean, "superseded"), (again, "valid")):
            piece.refresh_from_db()
            assert piece.status == status
        measure(version, kind="causality", figures={"of": "r", "n_differing": 0})
        again.refresh_from_db()
        assert again.status == "valid"

    def test_waits_where_it_is_dated_in_the_future(self, version):
        with pytest.raises(Unavailable, match="check the clocks"):
            measure(version, produced_at=timezone.now() + timedelta(minutes=30))

        assert measure(version, produced_at=timezone.now() + timedelta(minutes=3)).pk

    @pytest.mark.parametrize(
        ("kind", "of", "one", "other"),
        [
            ("reproduction", "a", {"code": "a" * 64}, {"code": "b" * 64}),
            ("causality", "a", {"code": "a" * 64}, {"code": "b" * 64}),
            ("data_quality", "a", {"data": "a" * 64}, {"data": "b" * 64}),
        ],
    )
    def test_supersedes_its_own_code_or_data_alone(self, version, kind, of, one, other):
        figures, before = {"of": of}, AT - timedelta(days=1)
        kept, old = (
            measure(
                version, kind=kind, figures=figures, produced_at=before,
                digests={"artifact": version.digest} | more,
            )
            for more in (other, one)
        )  # fmt: skip

        measure(version, kind=kind, figures=figures, digests={"artifact": version.digest} | one)

        kept.refresh_from_db()
        old.refresh_from_db()
        assert (kept.status, old.status) == ("valid", "superseded")

    @pytest.mark.parametrize(
        "more", [{"kind": "manual"}, {"kind": "horoscope"}, {"digests": {"artifact": "0" * 64}}]
    )
    def test_refuses_other_bytes_and_kinds(self, version, more):
        with pytest.raises(InvalidInput):
            measure(version, **more)

    def test_of_one_source_is_taken_once(self, version):
        assert measure(version, source="r").pk == measure(version, source="r").pk
        assert events_of(version)[1:] == ["evidence.measured"]

    def test_of_none_is_not_found(self, version):
        version.public_id = uuid4()

        with pytest.raises(NotFound):
            measure(version)

    def test_names_its_data_as_versions_do(self, version):
        own = {"artifact": version.digest}
        piece = measure(version, digests=own | {"data": "sha256:" + "AB" * 32})

        assert piece.digests == own | {"data": "ab" * 32}
        with pytest.raises(InvalidInput, match="'SPY daily' is none"):
            measure(version, digests=own | {"data": "SPY daily"})
