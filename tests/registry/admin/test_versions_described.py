"""What is said of a version in the admin: attested, compared, described, tagged, signed."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.artifacts.manifest import Manifest
from registry.lifecycle import Stage
from registry.models import Evidence, ModelVersion
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.registry import (
    bring_evidence,
    events_of,
    model_version,
    promotion,
    registered_model,
)
from tests.registry.admin.browser import address, login, offered, press, said, shown
from tests.registry.artifacts.test_signing import bundle_of, pem, statement_of

pytestmark = pytest.mark.django_db
BUTTONS = ("attest", "compare", "describe", "tag", "untag", "sign", "remove")


def signed(version):
    """Return a signature over the files of a version, and the key it is checked with."""
    key = ed25519.Ed25519PrivateKey.generate()
    bundle = bundle_of(statement_of(Manifest.from_json(version.manifest)), key)
    return bundle, pem(key).decode()


class TestAttest:
    def test_meets_the_gate_that_asked_for_it(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)
        browser = login(validator)
        link = f"{address(version, 'attest')}?topic=kill-switch-drill"
        assert link in shown(browser, version)
        dialog = browser.get(link).content.decode()
        assert 'value="kill-switch-drill"' in dialog.partition('name="topic"')[2].partition(">")[0]

        answer = press(
            browser, version, "attest", topic="kill-switch-drill", summary="Stopped in 0.4 s.",
            figures='{"seconds": 0.4}', expires_at="2099-01-01",
        )  # fmt: skip

        assert said(answer) == ["The evidence is kept."]
        piece = version.evidence.get()
        assert (piece.handed_in_by, piece.summary) == (validator, "Stopped in 0.4 s.")
        assert piece.figures == {"seconds": 0.4, "topic": "kill-switch-drill"}
        assert str(piece.expires_at.date()) == "2099-01-01"
        assert events_of(version)[-1] == "evidence.attested"
        assert "attested by vera" in shown(browser, version)

    def test_warns_of_a_topic_that_no_gate_asks_for(self, author, validator):
        version = model_version(author, stage=Stage.STAGING)

        answer = press(login(validator), version, "attest", topic="kill-drill", summary="Fine.")

        assert "asks for the topic 'kill-drill'" in said(answer)[1]
        assert Evidence.objects.count() == 1

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"expires_at": "2001-01-01"}, "would have ended already"),
            ({"figures": "[1]"}, "An object is asked"),
            ({"topic": ""}, "This field is required."),
        ],
    )
    def test_tells_what_is_refused_and_loses_nothing(self, author, validator, fields, refusal):
        version = model_version(author, stage=Stage.STAGING)
        form = {"topic": "kill-switch-drill", "summary": "A page of findings."} | fields

        html = press(login(validator), version, "attest", **form).content.decode()

        assert refusal in html
        assert "A page of findings." in html
        assert not Evidence.objects.exists()

    def test_is_offered_to_validators_who_are_no_authors(self, author, validator):
        version = model_version(author)
        twin = account(Role.ADMIN)
        model_version(twin, content=b'{"same": 1}')
        same = model_version(author, content=b'{"same": 1}')

        assert "attest" in offered(login(validator), version, BUTTONS)
        for role in (Role.RESEARCHER, Role.OPERATOR, Role.AUDITOR):
            assert "attest" not in offered(login(account(role)), version, BUTTONS)
        assert "attest" not in offered(login(twin), same, BUTTONS)
        answer = press(login(twin), same, "attest", topic="t", summary="mine")
        assert "of their own" in answer.content.decode()


class TestDescribe:
    def test_describes_tags_and_deletes(self, author):
        version = model_version(author)
        browser = login(author)
        assert offered(browser, version, BUTTONS) == {
            "compare", "describe", "tag", "sign", "remove",
        }  # fmt: skip

        press(browser, version, "describe", description="Second fit,\r\nmore data.")
        press(browser, version, "tag", key="seed", value="7")
        version.refresh_from_db()
        assert (version.description, version.tags) == ("Second fit,\nmore data.", {"seed": "7"})
        dialog = browser.get(address(version, "describe")).content.decode()
        assert "more data." in dialog
        assert "seed: 7" in browser.get(address(version, "untag")).content.decode()
        press(browser, version, "untag", key="seed")
        answer = press(browser, version, "remove", reason="a mistake")

        assert answer.headers["HX-Redirect"] == address(version.registered_model)
        assert not ModelVersion.objects.exists()
        trail = AuditEvent.objects.order_by("-id").values_list("verb", "reason")
        assert trail[0] == ("registry.version.deleted", "a mistake")
        assert events_of(version)[1:] == [
            "version.described", "version.tagged", "version.untagged", "version.deleted",
        ]  # fmt: skip

    @pytest.mark.parametrize("how", ["left", "archived", "held", "evidence", "copied"])
    def test_offers_no_deletion_of_what_is_part_of_the_record(self, author, how):
        stages = {"left": Stage.TESTING, "archived": Stage.ARCHIVED}
        version = model_version(author, stage=stages.get(how, Stage.DEVELOPMENT))
        if how == "held":
            ModelVersion.objects.update(is_held=True)
        if how == "evidence":
            bring_evidence(version, "backtest")
        if how == "copied":
            services.register_version(
                name=registered_model(author).name, actor=author, at=timezone.now(),
                source=f"models:/{version.registered_model}/1",
                card=VersionCard(),
            )  # fmt: skip

        assert "remove" not in offered(login(author), version, BUTTONS)
        answer = press(login(author), version, "remove", reason="away")
        assert "part of the record" in answer.content.decode()

    def test_is_offered_to_nobody_else(self, author, operator):
        version = model_version(author)

        assert offered(login(operator), version, BUTTONS) == {"compare"}
        assert offered(login(account(Role.AUDITOR)), version, BUTTONS) == {"compare"}
        assert offered(login(account()), version, BUTTONS) == {"compare", "sign"}


class TestSign:
    def test_keeps_a_signature_that_holds(self, author, validator):
        version = model_version(author)
        bundle, public_key = signed(version)

        answer = press(
            login(validator), version, "sign", bundle=json.dumps(bundle), public_key=public_key
        )

        assert said(answer) == ["The signature holds, and is kept."]
        assert version.signatures.get().attached_by == validator
        assert events_of(version)[-1] == "signature.attached"

    def test_tells_why_one_does_not_and_loses_nothing(self, author):
        version, other = model_version(author), model_version(author)
        bundle, public_key = signed(other)

        html = press(
            login(author), version, "sign", bundle=json.dumps(bundle), public_key=public_key
        ).content.decode()

        assert 'role="alert"' in html
        assert public_key.splitlines()[1] in html
        assert not version.signatures.exists()


class TestCompare:
    @pytest.fixture
    def pair(self, author):
        model = registered_model(author, "alpha")
        one, other = (model_version(author, model=model) for _ in range(2))
        ModelVersion.objects.filter(pk=one.pk).update(
            metrics={"auc": 0.58, "loss": 0.7}, parameters={"depth": 3}, datasets=["a" * 64],
            framework={"format": "skops"},
        )  # fmt: skip
        ModelVersion.objects.filter(pk=other.pk).update(
            metrics={"auc": 0.61, "loss": 0.7}, parameters={"depth": 3, "seed": 7},
            datasets=["a" * 64, "b" * 64], framework={"format": "skops"},
        )  # fmt: skip
        bring_evidence(one, "pbo", probability=0.2)
        bring_evidence(other, "pbo", probability=0.1)
        return one, other

    def rows(self, answer):
        return {
            (section.title, row.name): (row.one, row.other, row.is_same, row.change)
            for section in answer.context["sections"] for row in section.rows
        }  # fmt: skip

    def test_shows_both_side_by_side_and_marks_what_differs(self, pair, author):
        answer = login(author).get(address(pair[0], "compare"), {"with": "alpha/2"})

        rows = self.rows(answer)
        assert rows["Metrics", "auc"] == ("0.58", "0.61", False, "+0.03")
        assert rows["Metrics", "loss"] == ("0.7", "0.7", True, "")
        assert rows["Parameters", "depth"] == ("3", "3", True, "")
        assert rows["Parameters", "seed"] == ("", "7", False, "")
        assert rows["Framework", "format"] == ("skops", "skops", True, "")
        assert rows["Data", "bbbbbbbbbbbb…"][:3] == ("", "bbbbbbbbbbbb…", False)
        assert rows["Files", "parameters.json"][2] is False
        assert rows["Evidence", "pbo: probability"] == ("0.2", "0.1", False, "-0.1")
        html = answer.content.decode()
        assert html.count('class="rg-differs"') == sum(not row[2] for row in rows.values())

    def test_shows_what_checks_found_and_of_accounts_the_main_figures(self, pair, author):
        found = {"of": "x", "n_cuts": 8, "n_differing": 0, "n_responding": 7, "n_bars": 100}
        bring_evidence(pair[0], "backtest", "causality", "data_quality", **found, kurtosis=3.0)
        bring_evidence(pair[1], "causality", **(found | {"n_cuts": 38, "n_responding": 20}))

        rows = self.rows(login(author).get(address(pair[0], "compare"), {"with": "alpha/2"}))

        assert rows["Evidence", "causality: n_cuts"] == ("8", "38", False, "+30")
        assert rows["Evidence", "causality: n_differing"] == ("0", "0", True, "")
        assert rows["Evidence", "causality: n_responding"][3] == "+13"
        assert ("Evidence", "causality: of") not in rows
        assert ("Evidence", "data_quality: n_cuts") in rows
        assert ("Evidence", "backtest: n_bars") in rows
        assert ("Evidence", "backtest: kurtosis") not in rows

    def test_begins_with_the_version_in_production_or_the_one_before(self, pair, author):
        browser = login(author)
        assert browser.get(address(pair[1], "compare")).context["other"] == pair[0]
        assert browser.get(address(pair[0], "compare")).context["other"] == pair[1]
        best = model_version(author, model=pair[0].registered_model, stage=Stage.PRODUCTION)
        assert browser.get(address(pair[1], "compare")).context["other"] == best

    @pytest.mark.parametrize(
        ("wanted", "refusal"),
        [
            ("alpha/9", "no version 9"), ("beta/1", "no registered model"), ("x", "NAME/NUMBER"),
            ("alpha/1\0", "NAME/NUMBER"), ("alpha/" + "1" * 400, "NAME/NUMBER"),
        ],
    )  # fmt: skip
    def test_says_that_there_is_no_such_version(self, pair, author, wanted, refusal):
        answer = login(author).get(address(pair[0], "compare"), {"with": wanted})

        assert refusal in answer.context["refusal"]

    def test_says_that_there_is_no_other(self, author):
        answer = login(author).get(address(model_version(author), "compare"))

        assert "The model has no other version." in answer.content.decode()

    def test_escapes_what_people_wrote(self, pair, author):
        ModelVersion.objects.update(parameters={"<script>1": "<script>2"}, tags={"<b>": "<i>"})

        html = login(author).get(address(pair[0], "compare")).content.decode()

        assert not any(mark in html for mark in ("<script>1", "<script>2", "<b>", "<i>"))

    def test_is_closed_without_a_role_and_where_there_is_no_version(self, pair):
        assert login(account("")).get(address(pair[0], "compare")).status_code in {302, 403}
        pair[0].pk = 999_999
        assert login(account()).get(address(pair[0], "compare")).status_code == 404

    def test_asks_the_database_a_few_times_only(self, pair, author):
        browser = login(author)
        with CaptureQueriesContext(connection) as queries:
            browser.get(address(pair[0], "compare"))

        assert len(queries) <= 8


class TestBudgets:
    @pytest.mark.parametrize("action", ["attest", "describe", "tag", "untag", "sign", "remove"])
    def test_hold_for_the_dialogs(self, author, validator, action):
        version = model_version(author, stage=Stage.STAGING)
        promotion(version, author, validator=validator, at=timezone.now())
        browser = login(account(Role.ADMIN))

        with CaptureQueriesContext(connection) as queries:
            browser.get(address(version, action))

        assert len(queries) <= 5

    def test_hold_for_the_page_of_an_author(self, author):
        version = model_version(author)
        browser = login(author)
        with CaptureQueriesContext(connection) as queries:
            shown(browser, version)

        assert len(queries) <= 28
