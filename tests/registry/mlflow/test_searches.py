"""Searches over MLflow's wire: filters, orders, pages, and how much they ask."""

import re

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry import querysets, services
from registry.models import ModelVersion
from registry.rules import filters
from registry.selectors.searching import Search, search_versions
from tests.factories.mlflow import ARTIFACTS, HOST, refused, said
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'"
NAMES = ["alpha", "beta", "fx 100%", "fx_carry", "fxcarry"]


def found(wire, filter_=None, **said_):
    answer = said(wire.get("registered-models/search", filter=filter_, **said_))
    return [model["name"] for model in answer["registered_models"]]


def versions(wire, filter_=None, **said_):
    answer = said(wire.get("model-versions/search", filter=filter_, **said_))
    return [(one["name"], one["version"]) for one in answer["model_versions"]]


@pytest.fixture
def named(author, at):
    """Models with tags: one carries a dotted key, one is a prompt."""
    for name in NAMES:
        registered_model(author, name)
    for name, key, value in (
        ("alpha", "desk", "g10"), ("beta", "desk", "em"), ("beta", "a.b c", "Yes"),
        ("fxcarry", "mlflow.prompt.is_prompt", "true"), ("fx_carry", "7", "seven"),
    ):  # fmt: skip
        services.tag_model(name=name, key=key, value=value, actor=author, at=at)


class TestSearchModels:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            (None, NAMES), ("", NAMES),
            ("name = 'alpha'", ["alpha"]), ("name != 'alpha'", NAMES[1:]),
            ("name LIKE 'fx%'", NAMES[2:]), ("name LIKE 'FX%'", []),
            ("name ILIKE 'FX%'", NAMES[2:]),
            ("name LIKE 'fx_carry'", ["fx_carry"]), ("name LIKE 'fx\\_carry'", []),
            ("name LIKE '%0\\%'", []), ("name IN ('alpha', 'beta', 'gamma')", ["alpha", "beta"]),
            ("name NOT IN ('alpha', 'beta')", NAMES[2:]),
            ("tags.desk = 'g10'", ["alpha"]), ("tags.desk != 'g10'", ["beta"]),
            ("tags.desk LIKE '%'", ["alpha", "beta"]), ("tags.desk ILIKE 'G%'", ["alpha"]),
            ("tag.`a.b c` = 'Yes'", ["beta"]), ("tag.`a.b c` ILIKE 'yes'", ["beta"]),
            ("tags.7 = 'seven'", ["fx_carry"]), ("tags.7 LIKE 'sev%'", ["fx_carry"]),
            ("tags.desk = 'em' AND name LIKE 'b%'", ["beta"]),
            (NO_PROMPTS, NAMES[:-1]), (f"name LIKE 'fx%' AND {NO_PROMPTS}", NAMES[2:-1]),
            ("tag.`mlflow.prompt.is_prompt` = 'true'", ["fxcarry"]),
            ("tag.`mlflow.prompt.is_prompt` = 'false'", NAMES[:-1]),
        ],
    )  # fmt: skip
    def test_finds_what_the_filter_says(self, wire, named, text, names):
        assert sorted(found(wire, text)) == sorted(names)

    def test_takes_an_order(self, wire, named):
        assert found(wire, order_by=["name DESC"]) == list(reversed(found(wire)))
        assert found(wire, order_by=["creation_timestamp"]) == NAMES

    @pytest.mark.parametrize(
        "said_",
        [
            {"filter": "owner = 'x'"}, {"order_by": ["owner"]}, {"page_token": "nonsense"},
            {"page_token": signing.dumps(["x"])}, {"max_results": 0}, {"max_results": 1001},
            {"max_results": "many"}, {"filter": "name = '\x00'"},
        ],
    )  # fmt: skip
    def test_refuses_what_it_cannot_answer(self, wire, said_):
        answer = wire.get("registered-models/search", **said_)

        refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_pages_without_gaps_while_models_come_and_go(self, wire, named, author, at):
        ask = {"filter": NO_PROMPTS, "order_by": ["name"], "max_results": 2}
        first = said(wire.get("registered-models/search", **ask))
        seen = [model["name"] for model in first["registered_models"]]

        services.delete_model(name=seen[0], actor=author, at=at)
        registered_model(author, "aaa")
        token = first["next_page_token"]
        rest = said(wire.get("registered-models/search", **ask, page_token=token))
        seen += [model["name"] for model in rest["registered_models"]]

        assert sorted(seen) == NAMES[:-1]
        assert "next_page_token" not in rest

    def test_takes_a_token_for_its_own_search_alone(self, wire, named):
        token = said(wire.get("registered-models/search", max_results=1))["next_page_token"]

        for said_ in ({"filter": "name LIKE 'f%'"}, {"order_by": ["name DESC"]}):
            answer = wire.get("registered-models/search", page_token=token, **said_)
            assert "another filter" in refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_does_not_ask_more_for_more_models(self, wire, author):
        counts = []
        for n_more in (1, 8):
            for _ in range(n_more):
                model = registered_model(author)
                model_version(author, model=model)
                model_version(author, model=model, stage="staging")
            found(wire)
            with CaptureQueriesContext(connection) as asked:
                found(wire)
            counts.append(len(asked))

        assert counts[0] == counts[1] <= 5


class TestSearchVersions:
    @pytest.fixture
    def registered(self, author, wire):
        for name in ("fx", "eq"):
            model = registered_model(author, name)
            for stage in ("development", "testing", "production"):
                model_version(author, model=model, stage=stage)
        ModelVersion.objects.filter(registered_model__name="fx", number=2).update(
            run_id="r1", tags={"by": "ci"}
        )

    @pytest.mark.parametrize(
        ("text", "found_"),
        [
            ("name = 'fx'", [("fx", "1"), ("fx", "2"), ("fx", "3")]),
            ("name='fx' AND version_number > 1", [("fx", "2"), ("fx", "3")]),
            ("version_number = 3", [("eq", "3"), ("fx", "3")]),
            ("version_number != 3 AND name IN ('eq')", [("eq", "1"), ("eq", "2")]),
            ("run_id = 'r1'", [("fx", "2")]), ("run_id IN ('r1', 'r2')", [("fx", "2")]),
            ("tags.by LIKE 'c_'", [("fx", "2")]),
            ("tags.`registry.stage` = 'testing'", [("eq", "2"), ("fx", "2")]),
            ("source_path LIKE 'desk/%' AND name = 'eq' AND version_number <= 1", [("eq", "1")]),
        ],
    )  # fmt: skip
    def test_finds_what_the_filter_says(self, wire, registered, text, found_):
        assert sorted(versions(wire, text)) == found_

    @pytest.mark.parametrize("most", [0, 1000])  # rows that are read by their keys
    def test_finds_a_tag_whether_few_have_it_or_many(self, wire, registered, monkeypatch, most):
        monkeypatch.setattr(querysets, "MOST_KEYS", most)

        assert versions(wire, "tags.by = 'ci'") == [("fx", "2")]
        assert versions(wire, "tags.by = 'ci' AND name = 'eq'") == []
        assert versions(wire, "tags.by = 'cd'") == []

    def test_finds_a_source_by_the_address_that_it_is_shown_with(self, wire, registered):
        shown = said(wire.get("model-versions/get", name="fx", version="1"))["model_version"]

        assert shown["source"].startswith(f"{HOST}{ARTIFACTS}/desk/")
        assert versions(wire, f"source_path = '{shown['source']}'") == [("fx", "1")]

    def test_has_the_last_change_first(self, wire, registered):
        said(wire.patch("model-versions/update", name="eq", version="1", description="new"))

        assert versions(wire)[0] == ("eq", "1")
        assert versions(wire, order_by=["name", "version_number ASC"])[:2] == [
            ("eq", "1"), ("eq", "2"),
        ]  # fmt: skip

    @pytest.mark.parametrize("order", [[], ["version_number DESC"], ["name DESC"]])
    def test_pages_through_all_in_any_order(self, wire, registered, order):
        seen, token = [], None
        while token != "":
            answer = said(
                wire.get("model-versions/search", max_results=4, order_by=order, page_token=token)
            )
            seen += [(one["name"], one["version"]) for one in answer["model_versions"]]
            token = answer.get("next_page_token", "")

        assert seen == versions(wire, order_by=order)
        assert len(set(seen)) == 6

    def test_shows_aliases(self, wire, registered):
        said(wire.post("registered-models/alias", name="fx", alias="best", version="1"))

        answer = said(wire.get("model-versions/search", filter="name = 'fx'"))

        aliases = {one["version"]: one["aliases"] for one in answer["model_versions"]}
        assert aliases == {"1": ["best"], "2": [], "3": []}

    def test_does_not_ask_more_for_more_versions(self, wire, registered):
        versions(wire)

        with CaptureQueriesContext(connection) as asked:
            assert len(versions(wire)) == 6

        assert len(asked) <= 3


def like(pattern, text, *, any_case=False):
    """Say whether a pattern holds for a text, read without the database."""
    wild = {"%": ".*", "_": "."}
    words = "".join(wild.get(sign, re.escape(sign)) for sign in pattern)
    flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
    return re.fullmatch(words, text, flags) is not None


class TestSources:
    TEXTS = [
        "",
        "s3",
        "s3://b/Momentum/1",
        "s3://b/momentum/2",
        "desk/été-fx/1",
        "a%b_c/d\\e",
        "ΑΣΒ/x",
    ]

    @pytest.fixture
    def sources(self, author):
        model = registered_model(author, "fx")
        for text in self.TEXTS:
            pk = model_version(author, model=model).pk
            ModelVersion.objects.filter(pk=pk).update(source=text)

    @staticmethod
    def found(operator, pattern):
        clause = filters.Clause("source_path", filters.Operator(operator), pattern)
        order = filters.parse_order(["creation_timestamp ASC"], filters.VERSIONS)
        rows = search_versions(Search([clause], order))
        return [row.source for row in rows]

    @pytest.mark.parametrize("most", [0, 1000])  # rows that are read by their keys
    @pytest.mark.parametrize(
        "pattern",
        ["%", "%momentum%", "%MOMENTUM/_", "s3%", "s3", "%s3", "%mom%tum/2", "%été%", "%té-fx%",
         "%ΑΣ%", "%ΑΣΒ/x", "%a%b_c/d\\e", "%%b_c%", "%tum/3", "%mum%", "s3://b/momentum/2",
         "%/_", "___"],
    )  # fmt: skip
    def test_are_found_by_any_part(self, sources, monkeypatch, pattern, most):
        monkeypatch.setattr(querysets, "MOST_KEYS", most)

        assert self.found("LIKE", pattern) == [t for t in self.TEXTS if like(pattern, t)]
        assert self.found("ILIKE", pattern) == [
            text for text in self.TEXTS if like(pattern, text, any_case=True)
        ]
        assert self.found("=", pattern) == [text for text in self.TEXTS if text == pattern]

    @pytest.mark.parametrize("operator", ["LIKE", "ILIKE", "="])
    def test_are_looked_up_in_the_index_of_parts(self, sources, operator):
        with CaptureQueriesContext(connection) as asked:
            self.found(operator, "s3://b/momentum/2")

        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(f"EXPLAIN {asked.captured_queries[0]['sql']}")
            plan = " ".join(line for (line,) in cursor.fetchall())
            cursor.execute("RESET enable_seqscan")
        assert "version_source" in plan  # of its parts, or of the whole

    def test_that_changed_are_found_by_what_they_are_now(self, sources):
        ModelVersion.objects.filter(source="s3://b/momentum/2").update(source="desk/zebra")

        assert self.found("LIKE", "%zebra%") == ["desk/zebra"]
        assert self.found("LIKE", "%momentum%") == []
