"""The filter language: what is read, and what is refused with its clause."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.rules.errors import RuleError
from registry.rules.filters import (
    MODELS,
    VERSIONS,
    Clause,
    Operator,
    Order,
    parse_filter,
    parse_order,
)


class TestParseFilter:
    @pytest.mark.parametrize(
        ("text", "clause"),
        [
            ("name = 'fx'", Clause("name", Operator.EQUAL, "fx")),
            ('name != "fx"', Clause("name", Operator.UNEQUAL, "fx")),
            ("attribute.name LIKE 'fx%'", Clause("name", Operator.LIKE, "fx%")),
            ("`name` ilike 'FX_'", Clause("name", Operator.ILIKE, "FX_")),
            ("name IN ('a', \"b\")", Clause("name", Operator.IN, ("a", "b"))),
            ("name not in('a')", Clause("name", Operator.NOT_IN, ("a",))),
            ("run_id='r'", Clause("run_id", Operator.EQUAL, "r")),
            ("source_path LIKE '%x'", Clause("source_path", Operator.LIKE, "%x")),
            ("version_number >= 3", Clause("version_number", Operator.AT_LEAST, 3)),
            ("version_number<-1", Clause("version_number", Operator.LESS, -1)),
            ("tags.desk = 'g10'", Clause("desk", Operator.EQUAL, "g10", is_tag=True)),
            ("TAG.`a.b c` != 'x'", Clause("a.b c", Operator.UNEQUAL, "x", is_tag=True)),
            ("tag.\"a.b\" LIKE 'x'", Clause("a.b", Operator.LIKE, "x", is_tag=True)),
            ("tags.mlflow.user = 'u'", Clause("mlflow.user", Operator.EQUAL, "u", is_tag=True)),
            ("tags.2024 = ''", Clause("2024", Operator.EQUAL, "", is_tag=True)),
            ("name = 'it''s AND so'", Clause("name", Operator.EQUAL, "it's AND so")),
            ("name = 'Zürich `x`'", Clause("name", Operator.EQUAL, "Zürich `x`")),
        ],
    )
    def test_reads_a_clause(self, text, clause):
        assert parse_filter(text, VERSIONS) == (clause,)

    def test_reads_clauses_joined_by_and_in_any_case(self):
        text = "name LIKE 'fx%' AND tag.`mlflow.prompt.is_prompt` != 'true' and tags.x='y'"

        clauses = parse_filter(text, MODELS)

        assert [clause.field for clause in clauses] == ["name", "mlflow.prompt.is_prompt", "x"]

    @pytest.mark.parametrize("text", ["", "  ", "\n"])
    def test_finds_nothing_in_an_empty_filter(self, text):
        assert parse_filter(text, MODELS) == ()

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("owner = 'x'", "'owner'"), ("name", "ends too early"), ("name =", "ends too early"),
            ("name = fx", "'fx'"), ("name = 3", "'3'"), ("name > 'a'", "operators"),
            ("name = 'a' OR name = 'b'", "'OR'"), ("NOT name = 'a'", "NOT"),
            ("(name = 'a')", "'('"), ("name = 'a' AND", "after the last AND"),
            ("AND name = 'a'", "before AND"), ("name = 'a' AND AND name = 'b'", "before AND"),
            ("name = 'a", "cannot be read from here"), ("name == 'a'", "'='"),
            ("version_number = '1'", "\"'1'\""), ("version_number = 1.5", "whole number"),
            ("version_number = 99999999999999999999", "whole number"),
            ("version_number LIKE 1", "operators"), ("run_id IN ()", "')'"),
            ("run_id IN ('a'", "missing"), ("run_id IN 'a'", "missing"),
            ("tags.a IN ('b')", "operators"),
            ("tags.a = 1", "'1'"), ("tags. = 'x'", "'='"), ("params.x = 'y'", "neither tags"),
            ("name = 'a';", "cannot be read"), ("name = 'a' name = 'b'", "left over"),
            ("name NOT LIKE 'x'", "no operator"), ("name = 'a\x00'", "cannot be read"),
        ],
    )  # fmt: skip
    def test_refuses_with_the_clause(self, text, word):
        with pytest.raises(RuleError, match=re.escape(word)):
            parse_filter(text, VERSIONS)

    def test_names_the_one_clause_of_many_that_is_wrong(self):
        with pytest.raises(RuleError, match="clause \"owner = 'x'\" cannot"):
            parse_filter("name = 'fx' AND owner = 'x' AND name = 'y'", MODELS)

    def test_knows_versions_from_models(self):
        with pytest.raises(RuleError, match="registered models have no attribute 'run_id'"):
            parse_filter("run_id = 'x'", MODELS)

    @pytest.mark.parametrize(
        "text",
        [
            "name = 'x'" + " AND name = 'x'" * 50,
            "name = '" + "x" * 20_000 + "'",
            f"name IN ({', '.join(['1'] * 3)})",
            "name IN (" + ", ".join(["'x'"] * 1001) + ")",
        ],
    )
    def test_refuses_what_has_no_end(self, text):
        with pytest.raises(RuleError):
            parse_filter(text, MODELS)

    @given(st.text(max_size=60))
    def test_reads_or_refuses_whatever_is_written(self, text):
        with suppress(RuleError):
            parse_filter(text, VERSIONS)

    @given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
    def test_reads_any_text_in_quotes_as_itself(self, value):
        quoted = value.replace("'", "''")

        assert parse_filter(f"name = '{quoted}'", MODELS)[0].value == value


class TestParseOrder:
    def test_orders_models_by_name_and_versions_by_their_last_change(self):
        assert parse_order([], MODELS) == (Order("name", False),)
        assert parse_order([], VERSIONS) == (
            Order("last_updated_timestamp", True), Order("name", False),
            Order("version_number", True),
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("entry", "order"),
        [
            ("name", Order("name", False)), ("name desc", Order("name", True)),
            ("creation_timestamp ASC", Order("creation_timestamp", False)),
            ("attribute.`version_number` DESC", Order("version_number", True)),
        ],
    )  # fmt: skip
    def test_reads_a_field_and_a_direction(self, entry, order):
        assert parse_order([entry], VERSIONS)[0] == order

    def test_breaks_ties(self):
        order = parse_order(["creation_timestamp"], VERSIONS)

        assert [by.field for by in order] == ["creation_timestamp", "name", "version_number"]

    @pytest.mark.parametrize(
        "entries", [["owner"], ["name UP"], [""], ["name ASC NULLS"], ["name", "name DESC"]]
    )
    def test_refuses_what_is_no_order(self, entries):
        with pytest.raises(RuleError):
            parse_order(entries, VERSIONS)

    def test_has_no_version_numbers_for_models(self):
        with pytest.raises(RuleError, match="version_number"):
            parse_order(["version_number"], MODELS)
