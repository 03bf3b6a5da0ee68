"""Nobody decides about their own work, by whatever way it came into the registry."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from crowetrade_site.core.errors import Conflict, Forbidden, GateNotMet, StaleState
from crowetrade_site.core.services import console_user
from registry import selectors, services
from registry.lifecycle import Stage, VersionStatus
from registry.models import Approval, ModelVersion, RegisteredModel
from registry.selectors.dossiers import Dossiers
from registry.selectors.judging import judge_by
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    attest_drill,
    events_of,
    hand_in,
    model_version,
    promotion,
    registered_model,
)

pytestmark = pytest.mark.django_db
migration = import_module("registry.migrations.0017_who_answers_and_what_is_discarded")
LIGHT = "staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n"


@pytest.fixture
def author(db):
    """Someone who may both make models and judge them."""
    user = account("researcher")
    user.groups.add(Group.objects.get_or_create(name="validator")[0])
    return user


@pytest.fixture
def other(db):
    return account("researcher")


def copy_of(version, owner):
    name = registered_model(owner).name
    found = services.register_version(
        name=name, source=f"models:/{version.registered_model.name}/{version.number}",
        card=VersionCard(), actor=owner, at=AT,
    )  # fmt: skip
    ModelVersion.objects.filter(pk=found.pk).update(
        stage=Stage.TESTING, status=VersionStatus.READY, left_development_at=AT
    )
    return selectors.get_version(found.public_id)


class TestAuthors:
    def test_of_a_copy_are_those_of_its_original(self, author, other):
        original = model_version(author)
        copied = copy_of(original, other)

        assert selectors.authors_of(copied) == {author.pk, other.pk}
        with pytest.raises(Forbidden, match="of their own"):
            attest_drill(copied, author)
        request = promotion(copied, other)
        with pytest.raises(Forbidden, match="of their own"):
            services.approve_promotion(request_id=request.public_id, actor=author, at=AT)

    def test_are_who_handed_the_files_in(self, author):
        admin = account("admin")
        folder = hand_in(author)
        model = registered_model(admin)

        version = services.register_version(
            name=model.name, source=folder, card=VersionCard(), actor=admin, at=AT
        )

        assert selectors.authors_of(version) == {author.pk, admin.pk}

    def test_are_who_handed_a_logged_model_in(self, author):
        admin, logged = account("admin"), f"m-{'7' * 32}"
        hand_in(author, folder=f"0/models/{logged}/artifacts")

        version = services.register_version(
            name=registered_model(admin).name, source=f"models:/{logged}", card=VersionCard(),
            actor=admin, at=AT,
        )  # fmt: skip

        assert selectors.authors_of(version) == {author.pk, admin.pk}

    def test_are_who_handed_in_what_was_copied(self, author, other):
        admin = account("admin")
        original = services.register_version(
            name=registered_model(admin).name, source=hand_in(author, folder="root"),
            card=VersionCard(), actor=admin, at=AT,
        )  # fmt: skip
        ModelVersion.objects.filter(pk=original.pk).update(status=VersionStatus.READY)

        copied = copy_of(original, other)

        assert selectors.authors_of(copied) == {author.pk, admin.pk, other.pk}
        request = promotion(copied, other)
        standing = selectors.standing_of(selectors.get_request(request.public_id), at=AT)
        assert not {author, admin} & set(standing.may_approve)
        assert not selectors.waiting_for(author, at=AT).exists()
        assert selectors.waiting_for(account("validator"), at=AT).exists()
        with pytest.raises(Forbidden, match="of their own"):
            services.approve_promotion(request_id=request.public_id, actor=author, at=AT)

    def test_are_not_who_handed_in_something_else(self, author, other):
        folder = hand_in(author)
        hand_in(other, folder=f"{folder}-2")
        version = services.register_version(
            name=registered_model(author).name, source=folder, card=VersionCard(), actor=author,
            at=AT,
        )  # fmt: skip

        assert selectors.authors_of(version) == {author.pk}

    def test_are_found_in_as_many_queries_for_any_number(self, author, django_assert_num_queries):
        versions = [model_version(author).pk for _ in range(5)]

        with django_assert_num_queries(2):
            selectors.authors_of_each(versions)


class TestJudging:
    def test_of_many_reads_who_assigned_policies_at_once(self, author):
        for _ in range(4):
            version = model_version(author)
            RegisteredModel.objects.filter(pk=version.registered_model_id).update(
                policy_assigned_by=author, policy_assigned_at=AT
            )

        def n_queries(some):
            with CaptureQueriesContext(connection) as queries:
                known = Dossiers(some, AT)
                reports = [judge_by(known, version, Stage.STAGING).report for version in some]
            assert all("was assigned to" in report.results[0].reason for report in reports)
            return len(queries)

        rows = list(selectors.list_versions().order_by("pk"))
        assert n_queries(rows[:1]) == n_queries(rows)


class TestAttested:
    def test_counts_no_more_once_its_signer_is_an_author(self, author, other):
        version = model_version(other, stage=Stage.STAGING)
        attest_drill(version, author)
        met = drill_of(version)
        copy_of(version, author)

        result = drill_of(version)

        assert met.outcome == "met"
        assert result.outcome == "not met"
        assert result.reason == "who attests it had a hand in this version: somebody else attests"

    def test_by_another_takes_its_place(self, author, other):
        version = model_version(other, stage=Stage.STAGING)
        attest_drill(version, author)
        copy_of(version, author)
        attest_drill(version, account("validator"))

        assert drill_of(version).outcome == "met"


def drill_of(version):
    report = selectors.judge(version, Stage.PRODUCTION, at=AT).report
    return next(one for one in report.results if one.name == "manual:kill-switch-drill")


class TestPolicy:
    def test_of_a_model_of_ones_own_is_chosen_by_others(self, author):
        model = registered_model(author)

        with pytest.raises(Forbidden, match="model of their own"):
            services.assign_policy(
                model_name=model.name, policy="default", actor=author, at=AT, reason="Easier."
            )

    def test_of_a_model_of_ones_own_is_stored_by_others(self, author, other):
        registered_model(other)
        copied = model_version(author, model=registered_model(author))
        text = selectors.policy_in_force("default").text + "# more\n"
        text = text.replace("request_days: 30", "request_days: 20")
        asked = {"text": text, "at": AT, "reason": "Easier."}

        with pytest.raises(Forbidden, match="model of their own"):
            services.store_policy(name="default", actor=author, **asked)
        assert services.store_policy(name="light", actor=author, **asked).number == 1
        assert copied.registered_model.policy == "default"
        judge = account("validator")
        assert services.store_policy(name="default", actor=judge, **asked).number == 3

    def test_of_a_copy_is_chosen_by_no_author_of_the_original(self, author, other):
        copied = copy_of(model_version(author), other)
        name = copied.registered_model.name

        with pytest.raises(Forbidden, match="model of their own"):
            services.assign_policy(
                model_name=name, policy="default", actor=author, at=AT, reason="Easier."
            )
        with pytest.raises(Forbidden, match="model of their own"):
            services.store_policy(name="default", text=LIGHT, actor=author, at=AT, reason="Easier.")

    def test_that_was_stored_before_the_model_came_is_a_gate_not_met(self, author):
        services.store_policy(name="default", text=LIGHT, actor=author, at=AT, reason="Easier.")
        version = model_version(author, stage=Stage.TESTING)
        ask = {"version_id": version.public_id, "target": Stage.STAGING, "actor": author, "at": AT}

        with pytest.raises(GateNotMet, match="another validator or admin stores it") as refused:
            services.request_promotion(**ask)

        assert refused.value.extensions["report"]["gates"][0]["name"] == "policy"
        judge = account("validator")
        taken = services.store_policy(
            name="default", text=LIGHT, actor=judge, at=AT, reason="I answer for it."
        )
        assert taken.number == 4
        assert services.request_promotion(**ask).policy == taken

    def test_is_a_gate_not_met_of_a_copy_too(self, author, other):
        services.store_policy(name="default", text=LIGHT, actor=author, at=AT, reason="Easier.")
        copied = copy_of(model_version(author), other)

        report = selectors.judge(copied, Stage.STAGING, at=AT).report

        assert [one.split(":")[0] for one in report.failures] == ["gate policy"]
        theirs = model_version(other, stage=Stage.TESTING)
        assert selectors.judge(theirs, Stage.STAGING, at=AT).report.is_met


class TestAssignedPolicy:
    """Who assigned the policy answers for it, as who stored it does."""

    @pytest.fixture
    def judge(self, db):
        return account("validator", "vera")

    def assign(self, model, actor, policy="default"):
        return services.assign_policy(
            model_name=model.name, policy=policy, actor=actor, at=AT, reason="It fits."
        )

    def standing(self, request):
        return selectors.standing_of(selectors.get_request(request.public_id), at=AT)

    def test_of_a_version_that_its_assigner_registered_later_is_a_gate_not_met(self, other):
        assigner = account("admin", "ada")
        model = registered_model(other)
        self.assign(model, assigner)
        version = model_version(assigner, model=model, stage=Stage.TESTING)

        with pytest.raises(GateNotMet, match=f"assigned to {model} by ada, who owns") as refused:
            promotion(version, other)

        assert refused.value.extensions["report"]["gates"][0]["name"] == "policy"
        self.assign(model, account("validator"))
        assert promotion(version, other).policy.name == "default"

    def test_of_a_model_that_its_assigner_was_given_later_is_a_gate_not_met(self, other):
        assigner = account("admin", "ada")
        model = registered_model(other)
        version = model_version(other, model=model, stage=Stage.TESTING)
        self.assign(model, assigner)
        services.transfer_model(name=model.name, owner="ada", actor=other, at=AT, reason="I leave.")

        with pytest.raises(GateNotMet, match="by ada, who owns the model"):
            promotion(version, other)

    def test_of_a_copy_of_what_its_assigner_made_is_a_gate_not_met(self, author, other):
        model = registered_model(other)
        self.assign(model, author)
        original = model_version(author)
        copied = services.register_version(
            name=model.name, card=VersionCard(), actor=other, at=AT,
            source=f"models:/{original.registered_model.name}/{original.number}",
        )  # fmt: skip

        report = selectors.judge(
            selectors.get_version(copied.public_id), Stage.STAGING, at=AT
        ).report

        assert "gate policy" in [one.split(":")[0] for one in report.failures]

    def test_is_approved_under_by_nobody_who_assigned_it(self, other, judge):
        version = model_version(other, stage=Stage.TESTING)
        self.assign(version.registered_model, judge)
        request, second = promotion(version, other), account("validator")

        assert self.standing(request).may_approve == [second]
        assert not selectors.waiting_for(judge, at=AT).exists()
        with pytest.raises(Forbidden, match="that they assigned: default"):
            services.approve_promotion(request_id=request.public_id, actor=judge, at=AT)
        assert events_of(request)[-1] == "promotion.approval_refused"
        services.approve_promotion(request_id=request.public_id, actor=second, at=AT)
        assert request.approvals.get().policy_assigned_by == judge

    def test_takes_an_approval_of_its_assigner_back(self, other, judge):
        version = model_version(other, stage=Stage.STAGING)
        request, second = promotion(version, other), account("validator")
        for person in (judge, second):
            services.approve_promotion(request_id=request.public_id, actor=person, at=AT)

        self.assign(version.registered_model, judge)

        standing = self.standing(request)
        assert [one.approver for one in standing.tally.standing] == [second]
        assert standing.execution_refusals == [
            "vera may approve it no more; it takes another approval"
        ]
        with pytest.raises(StaleState, match="vera may approve it no more"):
            services.execute_promotion(
                request_id=request.public_id, actor=account("operator"), at=AT
            )

    def test_is_approved_under_once_another_has_assigned_it_again(self, other, judge):
        version = model_version(other, stage=Stage.TESTING)
        self.assign(version.registered_model, judge)
        self.assign(version.registered_model, account("admin"))
        request = promotion(version, other)

        services.approve_promotion(request_id=request.public_id, actor=judge, at=AT)

        version.refresh_from_db()
        assert version.stage == Stage.STAGING

    def test_that_the_requester_assigned_is_judged_by_others(self, other, judge):
        version = model_version(other, stage=Stage.TESTING)
        operating = account("researcher", "rita")
        operating.groups.add(Group.objects.get_or_create(name="validator")[0])
        self.assign(version.registered_model, operating)

        request = promotion(version, operating)

        assert self.standing(request).may_approve == [judge]
        with pytest.raises(Forbidden, match="request of their own"):
            services.approve_promotion(request_id=request.public_id, actor=operating, at=AT)

    @pytest.mark.parametrize("column", ["policy_stored_by", "policy_assigned_by"])
    def test_is_held_by_the_database_too(self, other, judge, column):
        request = promotion(model_version(other, stage=Stage.TESTING), other)

        with pytest.raises(IntegrityError, match=column.split("_")[1]):
            Approval.objects.create(
                request=request, approver=judge, requester=other, author=other, approved_at=AT,
                **{column: judge},
            )  # fmt: skip

    def test_is_read_off_the_trail_by_the_migration(self, other, judge):
        model, untouched = registered_model(other), registered_model(other)
        self.assign(model, account("admin"))
        self.assign(model, judge)
        RegisteredModel.objects.update(policy_assigned_by=None, policy_assigned_at=None)

        migration.read_off_the_trail(apps, None)

        model.refresh_from_db()
        untouched.refresh_from_db()
        assert (model.policy_assigned_by, model.policy_assigned_at) == (judge, AT)
        assert untouched.policy_assigned_by is None


class TestCard:
    @pytest.fixture
    def staged(self, author):
        return model_version(author, stage=Stage.STAGING)

    def update(self, version, actor, **card):
        return services.update_model(
            name=version.registered_model.name, card=card, actor=actor, at=AT, reason="A change."
        )

    @pytest.mark.parametrize(
        "card",
        [{"limits": {"gross": 9}}, {"operators": ["me"]}, {"desk": "em"}, {"tier": "low"},
         {"purpose": "Any."}],
    )  # fmt: skip
    def test_of_what_is_in_use_is_changed_by_others_alone(self, author, staged, card):
        for actor in (author, account("researcher"), account("operator")):
            with pytest.raises(Forbidden, match="neither its owner nor an author"):
                self.update(staged, actor, **card)

        judge = account("validator")
        changed = self.update(staged, judge, **card)

        assert {name: getattr(changed, name) for name in card} == card
        assert events_of(changed)[-1] == "model.updated"

    def test_loses_operators_by_its_owner_at_any_time(self, author, staged):
        with pytest.raises(Forbidden, match="neither its owner nor an author"):
            self.update(staged, author, operators=[], limits={})
        with pytest.raises(Forbidden):
            self.update(staged, account("researcher"), operators=[])

        assert self.update(staged, author, operators=[]).operators == []

        with pytest.raises(Forbidden, match="neither its owner nor an author"):
            self.update(staged, author, operators=["ops"])

    def test_is_changed_by_no_author_who_is_an_admin(self, author):
        admin = account("admin")
        model_version(author, model=(model := registered_model(author)))
        version = services.register_version(
            name=model.name, source=hand_in(admin), card=VersionCard(), actor=admin, at=AT
        )
        ModelVersion.objects.filter(pk=version.pk).update(
            stage=Stage.PRODUCTION, left_development_at=AT
        )

        with pytest.raises(Forbidden, match="neither its owner nor an author"):
            self.update(version, admin, limits={})

    def test_stays_the_owners_otherwise(self, author, staged):
        same = staged.registered_model.limits

        assert self.update(staged, author, description="More.", limits=same).description == "More."
        with pytest.raises(Forbidden):
            self.update(staged, account("validator"), description="Mine.", limits={})
        developed = model_version(author)
        assert self.update(developed, author, limits={"gross": 2}).limits == {"gross": 2}


class TestNames:
    def test_stay_once_people_rely_on_them(self, author):
        version = model_version(author, stage=Stage.TESTING)
        name = version.registered_model.name

        with pytest.raises(Conflict, match="keeps its name"):
            services.rename_model(name=name, new_name="other", actor=author, at=AT)


class TestRollBack:
    def test_brings_nothing_back_that_may_not_be_opened(self, author):
        model = registered_model(author)
        first = model_version(author, model=model)
        ModelVersion.objects.filter(pk=first.pk).update(
            stage=Stage.ARCHIVED, was_production_at=AT, left_development_at=AT,
            status=VersionStatus.QUARANTINED,
        )  # fmt: skip
        present = model_version(author, model=model, stage=Stage.PRODUCTION)

        with pytest.raises(GateNotMet, match="served to nobody"):
            services.roll_back(
                model_name=model.name, actor=account("operator"), at=AT, reason="Drifted."
            )
        present.refresh_from_db()
        assert present.stage == Stage.PRODUCTION


class TestMove:
    def test_tells_the_aliases_that_are_left(self, author):
        version = model_version(author)
        services.set_alias(
            name=version.registered_model.name, alias="best", number=version.number,
            actor=author, at=AT,
        )  # fmt: skip
        assert selectors.get_version(version.public_id).alias_names == ["best"]

        archived = services.move_version(
            version_id=version.public_id, target=Stage.ARCHIVED, actor=author, at=AT, reason="Old."
        )

        assert archived.alias_names == []

    def test_writes_down_that_it_ended_a_request(self, author):
        version = model_version(author, stage=Stage.TESTING)
        request = promotion(version, author)

        services.move_version(
            version_id=version.public_id, target=Stage.DEVELOPMENT, actor=author, at=AT,
            reason="Not yet.",
        )  # fmt: skip

        assert events_of(request)[-1] == "promotion.withdrawn"


class TestConsole:
    def test_is_nobody_who_approves(self, author):
        console, validator = console_user(), account("validator")
        request = promotion(model_version(author, stage=Stage.TESTING), author)

        standing = selectors.standing_of(selectors.get_request(request.public_id), at=AT)

        assert standing.may_approve == [validator]
        with pytest.raises(Forbidden, match="no person's"):
            services.approve_promotion(request_id=request.public_id, actor=console, at=AT)
