"""Types that a desk trusts: two people, and at once no more."""

import pytest
from django.db import IntegrityError, connection, transaction

from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput
from crowetrade_site.core.roles import Role
from registry import jobs, selectors, services
from registry.artifacts.trusted import TRUSTED_TYPES
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, RegisteredModel, TrustedType
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import events_of, model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "scipy.interpolate._interpolate.interp1d"


@pytest.fixture
def author(transactional_db):
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def validator(transactional_db):
    return account(Role.VALIDATOR, "vera")


def proposed(actor, name=NAME, desk="g10"):
    return services.propose_type(desk=desk, name=name, actor=actor, at=AT, reason="Isotonic fits.")


def approved(author, validator, name=NAME):
    row = proposed(author, name)
    return services.approve_type(type_id=row.public_id, actor=validator, at=AT)


class TestTrustedTypes:
    def test_take_two_people(self, author, validator):
        row = proposed(author)
        assert selectors.trusted_types_of("g10") == TRUSTED_TYPES

        services.approve_type(type_id=row.public_id, actor=validator, at=AT)

        assert selectors.trusted_types_of("g10") == TRUSTED_TYPES | {NAME}
        assert selectors.trusted_types_of("other") == TRUSTED_TYPES
        assert events_of(row) == ["trusted_type.proposed", "trusted_type.approved"]

    def test_are_not_approved_by_who_proposed_them(self, validator):
        row = proposed(validator)

        with pytest.raises(Forbidden, match="that they proposed"):
            services.approve_type(type_id=row.public_id, actor=validator, at=AT)
        with pytest.raises(IntegrityError), transaction.atomic():
            TrustedType.objects.update(approved_by=validator, approved_at=AT)

    def test_are_not_approved_by_researchers(self, author):
        with pytest.raises(Forbidden):
            services.approve_type(
                type_id=proposed(author).public_id, actor=account(Role.RESEARCHER), at=AT
            )

    @pytest.mark.parametrize("name", ["builtins.eval", "os.system", "functools.x", "eval", ""])
    def test_never_run_what_they_are_given(self, author, name):
        with pytest.raises(InvalidInput):
            proposed(author, name)

    def test_are_proposed_once(self, author):
        proposed(author)

        with pytest.raises(Conflict):
            proposed(author)
        with pytest.raises(Conflict, match="own list"):
            proposed(author, "numpy.dtype")

    def test_end_at_once(self, author, validator):
        row = approved(author, validator)

        services.revoke_type(type_id=row.public_id, actor=validator, at=AT, reason="Unsafe.")

        assert selectors.trusted_types_of("g10") == TRUSTED_TYPES
        with pytest.raises(Conflict, match="revoked already"):
            services.revoke_type(type_id=row.public_id, actor=validator, at=AT, reason="Again.")
        with pytest.raises(Conflict, match="is revoked"):
            services.approve_type(type_id=row.public_id, actor=validator, at=AT)
        proposed(author)

    def test_are_revoked_for_a_reason_by_a_judge(self, author, validator):
        row = approved(author, validator)

        with pytest.raises(InvalidInput):
            services.revoke_type(type_id=row.public_id, actor=validator, at=AT, reason=" ")
        with pytest.raises(Forbidden):
            services.revoke_type(
                type_id=row.public_id, actor=account(Role.RESEARCHER), at=AT, reason="x"
            )


class TestVersions:
    @pytest.fixture
    def neighbors(self):
        import numpy as np
        import skops.io
        from sklearn.neighbors import KNeighborsClassifier

        x = np.arange(10.0)[:, None]
        return skops.io.dumps(KNeighborsClassifier(2, algorithm="kd_tree").fit(x, x[:, 0] > 4))

    @pytest.fixture
    def needed(self, neighbors):
        from skops.io import get_untrusted_types

        return [name for name in get_untrusted_types(data=neighbors) if name not in TRUSTED_TYPES]

    def registered(self, author, content, name="alpha"):
        made = model_version(
            author, model=registered_model(author, name), status=VersionStatus.PENDING,
            content=content,
        )  # fmt: skip
        jobs.admit_version(version_id=made.public_id)
        made.refresh_from_db()
        return made

    def test_end_with_a_type_that_newer_rules_found_them_to_need(
        self, author, validator, neighbors, needed
    ):
        row, *_ = [approved(author, validator, name) for name in needed]
        version = self.registered(author, neighbors)
        # as if earlier rules had not seen the types
        ModelVersion.objects.filter(pk=version.pk).update(trusted_types=[], scanned_by="")

        assert jobs.rescan_versions().n_passed == 1
        services.revoke_type(type_id=row.public_id, actor=validator, at=AT, reason="Unsafe.")

        version.refresh_from_db()
        assert version.trusted_types == sorted(needed)
        assert selectors.trusted_no_more(version) == [row.name]
        assert events_of(version)[-1] == "version.rescanned"

    def test_need_their_desk_s_types(self, author, validator, neighbors, needed):
        assert self.registered(author, neighbors).status == VersionStatus.REFUSED
        rows = [approved(author, validator, name) for name in needed]

        version = self.registered(author, neighbors, "beta")

        assert version.status == VersionStatus.READY, version.status_message
        assert version.trusted_types == sorted(needed)
        selectors.load("models:/beta/1")
        services.revoke_type(
            type_id=rows[0].public_id, actor=validator, at=AT, reason="No longer reviewed."
        )
        with pytest.raises(Conflict, match="trusts no more"):
            selectors.load("models:/beta/1")
        report = selectors.judge(version, Stage.TESTING, at=AT).report
        assert f"gate artifact_scan: {needed[0]} is trusted no more" in report.failures


class TestCompromised:
    def test_is_final_whatever_writes(self, author):
        version = model_version(author)
        services.report_tampering(version_id=version.public_id, path="x", found="", at=AT)

        for value in (None, AT.replace(year=2027)):
            with pytest.raises(IntegrityError, match="stays so"), transaction.atomic():
                ModelVersion.objects.filter(pk=version.pk).update(compromised_at=value)
        clearing = (
            "SET LOCAL session_replication_role = replica; "
            "UPDATE registry_modelversion SET compromised_at = NULL"
        )
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(clearing)


class TestTransferModel:
    def test_gives_it_to_somebody_else_once(self, author):
        model, heir = registered_model(author, "alpha"), account(Role.RESEARCHER, "hedda")

        given = services.transfer_model(
            name="alpha", owner="hedda", actor=author, at=AT, reason="Desk moved."
        )

        assert given.owner == heir
        assert events_of(model) == ["model.created", "model.transferred"]
        with pytest.raises(Forbidden):
            services.transfer_model(
                name="alpha", owner="author", actor=author, at=AT, reason="Back."
            )

    @pytest.mark.parametrize(("owner", "reason"), [("nobody", "x"), ("vera", "x"), ("hedda", " ")])
    def test_refuses_who_cannot_own(self, author, validator, owner, reason):
        registered_model(author, "alpha")
        account(Role.RESEARCHER, "hedda")

        with pytest.raises(InvalidInput):
            services.transfer_model(name="alpha", owner=owner, actor=author, at=AT, reason=reason)

    def test_refuses_who_has_it(self, author):
        registered_model(author, "alpha")

        with pytest.raises(Conflict):
            services.transfer_model(
                name="alpha", owner="author", actor=account(Role.ADMIN), at=AT, reason="x"
            )


class TestDesk:
    """The name of a desk that trusts types of its own brings these along."""

    @pytest.fixture
    def stranger(self, author, validator):
        registered_model(author, "curves", desk="g10")
        approved(author, validator)
        return account(Role.RESEARCHER, "stranger")

    def created(self, actor, name="mine", desk="g10"):
        return services.create_model(name=name, actor=actor, at=AT, card={"desk": desk})

    def test_is_not_claimed_by_strangers(self, stranger):
        with pytest.raises(Forbidden, match="g10 trusts types of its own"):
            self.created(stranger)

        self.created(stranger, desk="fx")
        with pytest.raises(Forbidden, match="g10 trusts types of its own"):
            services.update_model(name="mine", card={"desk": "g10"}, actor=stranger, at=AT)
        assert selectors.get_model("mine").desk == "fx"

    def test_is_claimed_by_who_has_a_model_there_proposed_a_type_or_approves(
        self, stranger, author, validator
    ):
        assert self.created(author).desk == "g10"
        RegisteredModel.objects.update(owner=stranger)
        assert self.created(author, "of the one who proposed").desk == "g10"
        assert self.created(account(Role.ADMIN, "ada"), "of an admin").desk == "g10"
        assert self.created(stranger, "of an heir").desk == "g10"

    def test_that_trusts_no_type_any_more_is_anybody_s(self, stranger, validator):
        row = TrustedType.objects.get()
        services.revoke_type(type_id=row.public_id, actor=validator, at=AT, reason="Not needed.")

        assert self.created(stranger).desk == "g10"
