"""Models, cards, tags and aliases: each success, each refusal, one entry of the trail."""

from datetime import date

import pytest

from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import Stage
from registry.models import RegisteredModel, Waiver
from registry.services.catalog import NameTaken
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import events_of, model_version, promotion, registered_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def model(author):
    return registered_model(author, "alpha")


def told() -> int:
    return AuditEvent.objects.count()


class TestCreateModel:
    def test_keeps_the_card_and_tells_it_once(self, author):
        model = services.create_model(
            name="beta", card={"review_date": date(2027, 1, 1)}, tags={"a": "b"}, actor=author,
            at=AT,
        )  # fmt: skip

        assert (model.owner, model.tags, model.review_date) == (
            author,
            {"a": "b"},
            date(2027, 1, 1),
        )
        assert events_of(model) == ["model.created"]

    @pytest.mark.parametrize(
        "more", [{"name": "a/b"}, {"card": {"colour": 1}}, {"card": {"tier": "x"}},
                 {"tags": {"": "x"}}]
    )  # fmt: skip
    def test_refuses_what_is_not_acceptable(self, author, more):
        with pytest.raises(InvalidInput):
            services.create_model(**{"name": "beta", "actor": author, "at": AT} | more)

        assert (RegisteredModel.objects.count(), told()) == (0, 0)

    def test_says_that_a_name_of_older_rules_is_taken(self, model, author):
        older = "\uff46x"  # clients that find it taken go on with what there is
        with pytest.raises(InvalidInput, match="look like others"):
            services.create_model(name=older, actor=author, at=AT)
        RegisteredModel.objects.filter(pk=model.pk).update(name=older)

        with pytest.raises(NameTaken):
            services.create_model(name=older, actor=author, at=AT)

    def test_refuses_readers_and_names_that_are_taken(self, model, author):
        before = told()

        with pytest.raises(Conflict, match="registered model 'alpha' already"):
            services.create_model(name="ALPHA", actor=author, at=AT)
        with pytest.raises(Forbidden):
            services.create_model(name="beta", actor=account(Role.AUDITOR), at=AT)
        assert told() == before


class TestWrite:
    def test_update_tells_before_and_after(self, model, author):
        services.update_model(
            name="alpha", card={"desk": "em"}, actor=author, at=AT, reason="moved"
        )

        event = AuditEvent.objects.latest("id")
        assert '"before":{"desk":"g10"}' in event.canonical
        assert '"after":{"desk":"em"}' in event.canonical
        assert event.reason == "moved"

    def test_rename_keeps_versions(self, model, author):
        model_version(author, model=model)

        renamed = services.rename_model(name="alpha", new_name="beta", actor=author, at=AT)

        assert renamed.versions.count() == 1
        assert events_of(model)[-1] == "model.renamed"

    def test_tag_and_untag(self, model, author):
        services.tag_model(name="alpha", key="k", value="v", actor=author, at=AT)
        services.untag_model(name="alpha", key="k", actor=author, at=AT)
        services.untag_model(name="alpha", key="k", actor=author, at=AT)

        assert events_of(model) == ["model.created", "model.tagged", "model.untagged"]

    @pytest.mark.parametrize(
        ("verb", "more"),
        [
            ("update_model", {"card": {"desk": "x"}}),
            ("rename_model", {"new_name": "beta"}),
            ("tag_model", {"key": "k", "value": "v"}),
            ("untag_model", {"key": "k"}),
            ("delete_model", {}),
        ],
    )
    def test_is_for_the_owner_of_a_model_that_is_there(self, model, author, verb, more):
        before = told()

        with pytest.raises(Forbidden, match="belongs to author"):
            getattr(services, verb)(name="alpha", actor=account(Role.RESEARCHER), at=AT, **more)
        with pytest.raises(NotFound):
            getattr(services, verb)(name="gamma", actor=author, at=AT, **more)
        assert told() == before


class TestDeleteModel:
    def test_takes_versions_waivers_and_aliases_with_it(self, model, author):
        version = model_version(author, model=model)
        Waiver.objects.create(
            version=version, author=author, granted_by=account(Role.ADMIN), reason="x",
            granted_at=AT, expires_at=AT.replace(year=2027),
        )  # fmt: skip
        services.set_alias(name="alpha", alias="x", number=1, actor=author, at=AT)

        services.delete_model(name="alpha", actor=author, at=AT, reason="a typo")

        assert not RegisteredModel.objects.exists()
        assert events_of(model)[-1] == "model.deleted"

    @pytest.mark.parametrize("kept", ["left", "held", "copied"])
    def test_leaves_what_is_part_of_the_record(self, model, author, kept):
        version = model_version(author, model=model, stage=Stage.DEVELOPMENT)
        if kept == "copied":
            other = registered_model(author)
            services.register_version(
                name=other.name, source="models:/alpha/1", actor=author, at=AT,
                card=VersionCard(),
            )  # fmt: skip
        else:
            columns = {"left": {"left_development_at": AT}, "held": {"is_held": True}}[kept]
            type(version).objects.filter(pk=version.pk).update(**columns)

        with pytest.raises(Conflict, match=r"part of the record|its record stays"):
            services.delete_model(name="alpha", actor=author, at=AT)


class TestAliases:
    def test_are_set_moved_and_taken_away(self, model, author):
        first, second = (model_version(author, model=model) for _ in range(2))
        for number in (1, 2):
            services.set_alias(name="alpha", alias="x", number=number, actor=author, at=AT)
        services.delete_alias(name="alpha", alias="x", actor=author, at=AT)
        services.delete_alias(name="alpha", alias="x", actor=author, at=AT)

        assert events_of(first)[-1] == "alias.set"
        assert events_of(second)[-2:] == ["alias.moved", "alias.deleted"]

    def test_are_not_taken_over_by_the_author_of_another_version(self, author):
        """Whoever loads by the word would run somebody else's file."""
        bob = account(Role.RESEARCHER, "bob")
        model = registered_model(author, "beta", operators=["bob"])
        model_version(author, model=model)
        model_version(bob, model=model)
        given = {"name": "beta", "alias": "challenger", "at": AT}
        services.set_alias(**given, number=1, actor=author)
        before = told()

        with pytest.raises(Forbidden, match="registered by author"):
            services.set_alias(**given, number=2, actor=bob)
        assert told() == before
        assert selectors.get_aliased("beta", "challenger").number == 1

        services.set_alias(**given, number=2, actor=author)
        with pytest.raises(Forbidden, match="registered by author"):
            services.set_alias(**given, number=1, actor=bob)
        services.set_alias(**given | {"alias": "bobs"}, number=2, actor=bob)

    def test_of_a_deployment_mean_production_as_well(self, author, settings):
        settings.PRODUCTION_ALIASES = frozenset({"live"})
        model = registered_model(author, "beta")
        model_version(author, model=model, stage=Stage.PRODUCTION)
        second = model_version(author, model=model, stage=Stage.STAGING)
        operator = account(Role.OPERATOR)
        given = {"name": "beta", "alias": "Live", "at": AT}

        with pytest.raises(Forbidden, match="means production"):
            services.set_alias(**given, number=1, actor=author)
        with pytest.raises(Conflict, match="means production"):
            services.set_alias(**given, number=2, actor=operator)
        services.set_alias(**given, number=1, actor=operator)
        request = promotion(second, operator)
        for _ in range(2):
            services.approve_promotion(
                request_id=request.public_id, actor=account(Role.VALIDATOR), at=AT
            )
        services.execute_promotion(request_id=request.public_id, actor=operator, at=AT)

        assert list(model.aliases.values_list("alias", "version__number")) == [("Live", 2)]

    def test_never_stand_for_what_is_archived(self, model, author):
        model_version(author, model=model, stage=Stage.ARCHIVED)

        with pytest.raises(Conflict, match="archived"):
            services.set_alias(name="alpha", alias="x", number=1, actor=author, at=AT)

    @pytest.mark.parametrize("alias", ["champion", "Champion", "production"])
    def test_that_mean_production_stand_for_production_alone(self, model, author, alias):
        model_version(author, model=model, stage=Stage.STAGING)

        with pytest.raises(Conflict, match="means production"):
            services.set_alias(
                name="alpha", alias=alias, number=1, actor=account(Role.OPERATOR), at=AT
            )

    def test_that_mean_production_are_not_the_authors(self, model, author):
        model_version(author, model=model, stage=Stage.PRODUCTION)
        operator = account(Role.OPERATOR)
        given = {"name": "alpha", "alias": "champion", "at": AT}

        with pytest.raises(Forbidden):
            services.set_alias(**given, number=1, actor=author)
        services.set_alias(**given, number=1, actor=operator)
        with pytest.raises(Forbidden):
            services.delete_alias(**given, actor=author)
        services.delete_alias(**given, actor=operator)

    def test_that_mean_production_go_with_it(self, model, author):
        """Whoever loads the champion finds one at every moment."""
        model_version(author, model=model, stage=Stage.PRODUCTION)
        second = model_version(author, model=model, stage=Stage.STAGING)
        operator = account(Role.OPERATOR)
        for alias in ("champion", "mine"):
            actor = operator if alias == "champion" else author
            services.set_alias(name="alpha", alias=alias, number=1, actor=actor, at=AT)
        request = promotion(second, operator)
        for _ in range(2):
            services.approve_promotion(
                request_id=request.public_id, actor=account(Role.VALIDATOR), at=AT
            )

        services.execute_promotion(request_id=request.public_id, actor=operator, at=AT)
        assert list(model.aliases.values_list("alias", "version__number")) == [("champion", 2)]

        services.roll_back(model_name="alpha", actor=operator, at=AT, reason="drifted")
        assert list(model.aliases.values_list("alias", "version__number")) == [("champion", 1)]
