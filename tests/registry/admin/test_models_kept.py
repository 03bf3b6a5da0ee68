"""Models kept in the admin: cards, names, aliases, tags, versions, and what is deleted."""

import json
from io import BytesIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from crowetrade_site.core import storage
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.admin import able
from registry.lifecycle import Stage
from registry.models import ModelVersion, RegisteredModel, StoredFile
from registry.services.catalog import CARD_FIELDS
from tests.factories.accounts import account
from tests.factories.registry import (
    SIGNATURE,
    bring_evidence,
    events_of,
    hand_in,
    model_version,
    registered_model,
)
from tests.registry.admin.browser import address, login, offered, press, said, shown

pytestmark = pytest.mark.django_db
BUTTONS = (
    "edit_card", "set_alias", "delete_alias", "register_version", "tag", "untag", "transfer",
    "rename", "remove",
)  # fmt: skip
LIST = "admin:registry_registeredmodel_register"


def register(browser, **fields):
    """Send the dialog of the list."""
    fields = {"_form_submitted": "True"} | fields
    return browser.post(reverse(LIST), fields, headers={"HX-Request": "true"})


def seen(model):
    """Return the card as a dialog carries what its viewer saw."""
    return {
        "initial-desk": model.desk, "initial-tier": model.tier, "initial-purpose": model.purpose,
        "initial-description": model.description,
        "initial-operators": "\n".join(model.operators),
        "initial-limits": json.dumps(model.limits), "initial-dependencies": "",
        "initial-review_date": str(model.review_date or ""),
    }  # fmt: skip


def card_of(model, **fields):
    """Return the dialog of a card, filled with what it says and some of it changed."""
    unchanged = {name.removeprefix("initial-"): value for name, value in seen(model).items()}
    return seen(model) | unchanged | {"reason": "review of May"} | fields


class TestRegister:
    def test_registers_a_name_with_what_is_known_of_its_card(self, author):
        answer = register(
            login(author), name="alpha", desk="g10", tier="high", operators="otto\r\n\r\nolga ",
            limits='{"gross": 2.0}', purpose="Timing\r\nof majors.", review_date="2030-03-01",
        )  # fmt: skip

        model = RegisteredModel.objects.get()
        assert answer.headers["HX-Redirect"] == address(model)
        assert said(answer) == ["alpha is registered, and yours."]
        assert (model.owner, model.operators, model.limits) == (
            author, ["otto", "olga"], {"gross": 2.0},
        )  # fmt: skip
        assert (model.purpose, str(model.review_date)) == ("Timing\nof majors.", "2030-03-01")
        assert events_of(model) == ["model.created"]

    def test_tells_what_is_refused_and_loses_nothing(self, author):
        registered_model(author, "alpha")

        html = register(login(author), name="Alpha", desk="g10").content.decode()

        assert "There is a registered model" in html
        assert 'value="g10"' in html

    @pytest.mark.parametrize(("field", "text"), [("limits", "[1]"), ("limits", "{"), ("name", "")])
    def test_points_at_the_field_that_is_wrong(self, author, field, text):
        answer = register(login(author), **{"name": "alpha", field: text})

        assert 'class="errors' in answer.content.decode()
        assert not RegisteredModel.objects.exists()

    @pytest.mark.parametrize("role", Role)
    def test_is_offered_to_those_who_may(self, role):
        person = account(role)
        browser = login(person)
        listed = browser.get(reverse("admin:registry_registeredmodel_changelist"))

        answer = register(browser, name="alpha")

        may = role in {Role.RESEARCHER, Role.ADMIN}
        assert (reverse(LIST) in listed.content.decode()) == may
        assert (answer.status_code == 200) == may == RegisteredModel.objects.exists()


class TestCard:
    def test_writes_what_was_changed_and_nothing_else(self, author):
        model = registered_model(author, "alpha")

        answer = press(
            login(author), model, "edit_card", **card_of(model, desk="g20", operators="ops\r\nolga")
        )

        assert said(answer) == ["The card is written."]
        event = AuditEvent.objects.latest("id")
        told = json.loads(event.canonical)
        assert (event.verb, event.reason) == ("registry.model.updated", "review of May")
        assert told["after"] == {"desk": "g20", "operators": ["ops", "olga"]}

    def test_writes_nothing_where_nothing_was_changed(self, author):
        model = registered_model(author)

        answer = press(login(author), model, "edit_card", **card_of(model))

        assert "Nothing was changed." in answer.content.decode()
        assert events_of(model) == ["model.created"]

    def test_does_not_write_over_what_somebody_wrote_meanwhile(self, author):
        model = registered_model(author, desk="g10")
        form = card_of(model, desk="g20")
        services.update_model(
            name=model.name, card={"desk": "em", "purpose": "Other."}, actor=author,
            at=timezone.now(),
        )  # fmt: skip

        html = press(login(author), model, "edit_card", **form).content.decode()

        assert "Somebody changed this meanwhile, to: em." in html
        assert 'value="g20"' in html
        form = card_of(model, tier="low")
        press(login(author), model, "edit_card", **form)
        model.refresh_from_db()
        assert (model.desk, model.purpose, model.tier) == ("em", "Other.", "low")

    def test_shows_what_the_card_says(self, author):
        model = registered_model(author, operators=["otto", "olga"])

        html = login(author).get(address(model, "edit_card")).content.decode()

        assert ">otto\nolga</textarea>" in html.replace("\n\n", "\n").replace(">\n", ">")
        assert "&quot;gross&quot;: 1.0" in html
        assert 'value="2099-01-01"' in html

    def test_keeps_guarded_fields_closed_to_the_owner_while_a_version_is_in_use(
        self, author, validator
    ):
        model = registered_model(author, desk="g10")
        model_version(author, model=model, stage=Stage.STAGING)
        form = card_of(model, desk="g20", description="New words.")

        press(login(author), model, "edit_card", **form)

        model.refresh_from_db()
        assert (model.desk, model.description) == ("g10", "New words.")
        html = login(author).get(address(model, "edit_card")).content.decode()
        assert "validators and admins who have no part in it change desk, limits" in html
        press(login(validator), model, "edit_card", **card_of(model, desk="g20", description="x"))
        model.refresh_from_db()
        assert (model.desk, model.description) == ("g20", "New words.")


CHANGES = {
    "description": "d", "desk": "d", "purpose": "p", "tier": "low", "operators": [],
    "limits": {"gross": 9}, "dependencies": ["x"], "review_date": None,
}  # fmt: skip


class TestWhoMay:
    """What the pages offer is what the services accept."""

    @pytest.mark.parametrize("stage", [None, *Stage])
    @pytest.mark.parametrize("who", ["owner", "author", *Role])
    def test_change_which_field_of_a_card(self, stage, who):
        people = {"owner": account(Role.ADMIN), "author": account(Role.ADMIN)}
        model = registered_model(people["owner"])
        if stage is not None:
            model_version(people["author"], model=model, stage=stage)
        person = people.get(who) or account(who)

        found = able.card_fields(model, person, able.count_versions(model, person))

        assert found == {name for name in CARD_FIELDS if self._takes(model, name, person)}

    @staticmethod
    def _takes(model, name, person):
        change = {name: CHANGES[name]}
        try:
            services.update_model(name=model.name, card=change, actor=person, at=timezone.now())
        except DomainError:
            return False
        return True

    @pytest.mark.parametrize(
        ("who", "expected"),
        [
            ("owner", {"edit_card", "register_version", "tag", "transfer", "rename", "remove"}),
            ("named", {"register_version"}),
            (Role.RESEARCHER, set()),
            (Role.VALIDATOR, set()),
            (Role.OPERATOR, set()),
            (Role.AUDITOR, set()),
            (
                Role.ADMIN,
                {"edit_card", "register_version", "tag", "transfer", "rename", "remove"},
            ),
        ],
    )
    def test_do_what_to_a_model_without_versions(self, author, who, expected):
        people = {"owner": author, "named": account(Role.RESEARCHER, "ned")}
        model = registered_model(author, operators=["ned"])
        person = people.get(who) or account(who)

        assert offered(login(person), model, BUTTONS) == expected

    def test_do_less_to_one_that_is_part_of_the_record(self, author, validator, operator):
        model = registered_model(author)
        version = model_version(author, model=model, stage=Stage.STAGING)
        services.set_alias(
            name=model.name, alias="candidate", number=1, actor=author, at=timezone.now()
        )

        assert offered(login(author), model, BUTTONS) == {
            "edit_card", "register_version", "tag", "transfer", "set_alias", "delete_alias",
        }  # fmt: skip
        assert offered(login(validator), model, BUTTONS) == {"edit_card"}
        assert offered(login(operator), model, BUTTONS) == set()
        ModelVersion.objects.filter(pk=version.pk).update(stage=Stage.PRODUCTION)
        assert offered(login(operator), model, BUTTONS) == {"set_alias"}

    def test_delete_nothing_that_has_evidence(self, author):
        version = model_version(author)
        bring_evidence(version, "backtest")

        assert "remove" not in offered(login(author), version.registered_model, BUTTONS)
        answer = press(login(author), version.registered_model, "remove", reason="clutter")
        assert "part of the record" in answer.content.decode()
        assert "clutter" in answer.content.decode()


class TestAliases:
    def test_are_set_moved_and_deleted(self, author):
        model = registered_model(author)
        for _ in range(2):
            model_version(author, model=model)
        browser = login(author)

        first = press(browser, model, "set_alias", alias="candidate", number="1", reason="first")
        press(browser, model, "set_alias", alias="candidate", number="2", reason="better")

        assert said(first) == ["@candidate stands for version 1."]
        assert "@candidate" in shown(browser, model).partition("<h3>Aliases")[2]
        press(browser, model, "delete_alias", alias="candidate", reason="over")
        assert not model.aliases.exists()
        trail = AuditEvent.objects.filter(verb__startswith="registry.alias").order_by("id")
        assert list(trail.values_list("verb", "reason")) == [
            ("registry.alias.set", "first"), ("registry.alias.moved", "better"),
            ("registry.alias.deleted", "over"),
        ]  # fmt: skip

    def test_name_those_of_production(self, author, settings):
        settings.PRODUCTION_ALIASES = frozenset({"live", "prod"})
        model = registered_model(author)

        html = login(author).get(address(model, "set_alias")).content.decode()

        assert "For what is in production alone: <code>live</code>, <code>prod</code>." in html
        assert "champion" not in html

    @pytest.mark.parametrize(
        ("alias", "number", "refusal"),
        [
            ("champion", "1", "means production"),
            ("v7", "1", "reserved"),
            ("a", "9", "no version 9"),
        ],
    )
    def test_tell_what_is_refused(self, author, alias, number, refusal):
        model = model_version(author).registered_model

        html = press(
            login(author), model, "set_alias", alias=alias, number=number, reason="kept words"
        ).content.decode()

        assert refusal in html
        assert "kept words" in html

    def test_show_those_alone_that_somebody_may_delete(self, author, operator):
        version = model_version(author, stage=Stage.PRODUCTION)
        model = version.registered_model
        for alias, person in (("champion", operator), ("canary", author)):
            services.set_alias(
                name=model.name, alias=alias, number=1, actor=person, at=timezone.now()
            )

        assert able.aliases_to_delete(model, author) == ["canary"]
        assert able.aliases_to_delete(model, operator) == ["champion"]
        html = login(author).get(address(model, "delete_alias")).content.decode()
        assert "@canary" in html
        assert "@champion" not in html


class TestNamesAndTags:
    def test_are_written_and_taken_off(self, author):
        model = registered_model(author)
        browser = login(author)

        press(browser, model, "tag", key="team", value="systematic")
        assert "systematic" in shown(browser, model)
        assert "untag" in offered(browser, model, BUTTONS)
        press(browser, model, "untag", key="team")
        answer = press(browser, model, "rename", new_name="beta")

        model.refresh_from_db()
        assert (model.name, model.tags) == ("beta", {})
        assert said(answer)[-1] == "It is called beta now."
        assert events_of(model)[1:] == ["model.tagged", "model.untagged", "model.renamed"]

    def test_say_what_is_refused(self, author):
        model = registered_model(author)

        html = press(login(author), model, "tag", key="registry.x", value="v").content.decode()

        assert "are the registry&#x27;s own" in html

    def test_delete_leads_to_the_list(self, author):
        model = model_version(author).registered_model

        answer = press(login(author), model, "remove", reason="a mistake")

        assert answer.headers["HX-Redirect"] == reverse("admin:registry_registeredmodel_changelist")
        assert not RegisteredModel.objects.exists()
        assert AuditEvent.objects.latest("id").reason == "a mistake"


def chosen(name, content):
    """Return a file as a browser sends it."""
    file = BytesIO(content)
    file.name = name
    return file


class TestVersionByForm:
    def test_stores_files_hashed_and_registers_them(self, author):
        model = registered_model(author)
        large = b"x" * 3_000_000

        answer = press(
            login(author), model, "register_version", description="First fit",
            files=[chosen("parameters.json", b'{"a": 1}'), chosen("weights.bin", large)],
            signature=json.dumps(SIGNATURE), metrics='{"auc": 0.58}', datasets=f"sha256:{'0' * 64}",
        )  # fmt: skip

        version = ModelVersion.objects.get()
        assert answer.headers["HX-Redirect"] == address(version)
        assert [file["path"] for file in version.manifest["files"]] == [
            "parameters.json", "weights.bin",
        ]  # fmt: skip
        assert storage.read(version.manifest["files"][1]["sha256"]) == large
        assert (version.created_by, version.metrics) == (author, {"auc": 0.58})
        assert version.datasets == ["0" * 64]
        assert version.signature == SIGNATURE
        assert events_of(StoredFile.objects.first()) == ["file.stored"]
        assert events_of(version) == ["version.registered"]

    @pytest.mark.parametrize(
        "signature", ['{"inputs": 7}', "{"], ids=["by the service", "by the form"]
    )
    def test_keeps_the_files_where_the_rest_is_refused(self, author, signature):
        model = registered_model(author)
        form = {"description": "kept words", "signature": signature}

        answer = press(
            login(author), model, "register_version", files=[chosen("p.json", b"{}")], **form
        )

        html = answer.content.decode()
        folder = StoredFile.objects.get().path.rpartition("/")[0]
        assert "kept words" in html
        assert f'value="{folder}"' in html
        assert "Your files are kept here" in html
        press(
            login(author), model, "register_version", source=folder,
            **form | {"signature": json.dumps(SIGNATURE)},
        )  # fmt: skip
        assert ModelVersion.objects.get().source == folder

    def test_knows_a_name_however_its_accents_are_written(self, author):
        model = registered_model(author)
        files = [chosen("e\u0301.json", b"{}")]

        press(login(author), model, "register_version", files=files)

        assert ModelVersion.objects.get().manifest["files"][0]["path"] == "\u00e9.json"

    def test_has_the_browser_count_the_files(self, author, settings):
        settings.DATA_UPLOAD_MAX_NUMBER_FILES = 7
        model = registered_model(author)

        html = login(author).get(address(model, "register_version")).content.decode()

        assert "n: 0, most: 7" in html
        assert "up to 7 go at once" in html

    def test_takes_a_source_instead(self, author):
        model = registered_model(author)

        press(login(author), model, "register_version", source=hand_in(author))

        assert model.versions.get().n_files == 1

    def test_says_which_version_has_these_files(self, author):
        version = model_version(author, content=b'{"a": 1}')
        model = version.registered_model
        browser = login(author)

        def again(**more):
            files = [chosen("parameters.json", b'{"a": 1}')]
            return press(browser, model, "register_version", files=files, **more)

        refused = again().content.decode()
        assert "has exactly these files; tick “Register files once more that a version" in refused
        assert "allow_duplicate to" not in refused
        again(allow_duplicate="on")
        assert model.versions.count() == 2

    def test_says_at_every_refusal_that_the_files_are_kept(self, author):
        model = registered_model(author)
        browser = login(author)
        press(browser, model, "register_version", files=[chosen("p.json", b"{}")], signature="{")
        folder = StoredFile.objects.get().path.rpartition("/")[0]

        again = press(browser, model, "register_version", source=folder, signature="{")

        assert "Your files are kept here" in again.content.decode()

    @pytest.mark.parametrize(
        ("names", "source", "refusal"),
        [
            ((), "", "one of the two"),
            (("a.json",), "desk/x", "one of the two"),
            (("a.json", "a.json"), "", "Two of these files are called a.json"),
            ((), "desk/nothing", "No file was handed in"),
        ],
    )
    def test_refuses_what_is_not_clear(self, author, names, source, refusal):
        files = [chosen(name, b"{}") for name in names]

        answer = press(
            login(author), registered_model(author), "register_version", files=files, source=source
        )

        assert refusal in answer.content.decode()
        assert not StoredFile.objects.exists()

    def test_refuses_a_file_that_is_too_large_before_any_is_stored(self, author, settings):
        settings.MODEL_FILE_MAX_BYTES = 10
        files = [chosen("a.json", b"{}"), chosen("b.json", b"x" * 11)]

        answer = press(login(author), registered_model(author), "register_version", files=files)

        assert "b.json has more than 10 bytes" in answer.content.decode()
        assert not StoredFile.objects.exists()

    def test_takes_no_file_of_somebody_who_may_not(self, author, validator):
        model = registered_model(author)

        answer = press(login(validator), model, "register_version", files=[chosen("a.json", b"{}")])

        assert "This needs models:write" in answer.content.decode()
        assert not StoredFile.objects.exists()


class TestBudgets:
    @pytest.mark.parametrize(
        ("action", "budget"),
        [("edit_card", 6), ("set_alias", 4), ("delete_alias", 6), ("register_version", 4)],
    )
    def test_hold_for_the_dialogs(self, author, action, budget):
        model = registered_model(author)
        for _ in range(3):
            model_version(author, model=model)
        browser = login(author)

        with CaptureQueriesContext(connection) as queries:
            browser.get(address(model, action))

        assert len(queries) <= budget

    def test_do_not_grow_with_versions_and_aliases_for_the_owner(self, author):
        model = registered_model(author)
        browser, counts = login(author), []
        shown(browser, model)  # the first page of a process pays for the others
        for _ in range(2):
            for _ in range(4):
                number = model_version(author, model=model).number
                services.set_alias(
                    name=model.name, alias=f"a{number}", number=number, actor=author,
                    at=timezone.now(),
                )  # fmt: skip
            with CaptureQueriesContext(connection) as queries:
                shown(browser, model)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 15
