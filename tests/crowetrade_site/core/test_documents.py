import json
from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from crowetrade_site.core import documents
from crowetrade_site.core.errors import LISTED, TOLD, InvalidInput


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Momentum(Part):
    kind: Literal["momentum"]
    lookback_days: int = 252


class Cross(Part):
    kind: Literal["cross"]
    fast_bars: int = 10
    slow_bars: int = 20

    @model_validator(mode="after")
    def _ordered(self):
        if self.fast_bars >= self.slow_bars:
            raise ValueError("fast_bars must be below slow_bars")
        return self


class Costs(Part):
    commission_bps: float = 0.0


class Free(Part):
    rebate_bps: float


class Spec(Part):
    name: str = "x"
    side: Literal["long", "short"] = "long"
    start: date | None = None
    signals: list[Annotated[Momentum | Cross, Field(discriminator="kind")]] = []
    pair: tuple[Momentum, Costs] | None = None
    costs: Costs | None = None
    terms: Costs | Free | None = None
    by_symbol: dict[str, Costs] = {}
    size: int | str = 1


def refusal(document) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        documents.parse(Spec, document)
    return caught.value


class TestParse:
    def test_returns_a_validated_document(self):
        spec = documents.parse(Spec, {"start": "1999-11-01", "signals": [{"kind": "cross"}]})

        assert spec.start == date(1999, 11, 1)
        assert spec.signals == [Cross(kind="cross")]

    @pytest.mark.parametrize(
        ("document", "path", "nearest"),
        [
            ({"nmae": 1}, "nmae", "name"),
            ({"costs": {"comission_bps": 1}}, "costs.comission_bps", "commission_bps"),
            (
                {"signals": [{"kind": "cross"}, {"kind": "momentum", "lookbak_days": 1}]},
                "signals.1.lookbak_days",
                "lookback_days",
            ),
            (
                {"by_symbol": {"AAPL": {"commision_bps": 1}}},
                "by_symbol.AAPL.commision_bps",
                "commission_bps",
            ),
            (
                {"pair": [{"kind": "momentum"}, {"comission_bps": 1}]},
                "pair.1.comission_bps",
                "commission_bps",
            ),
            ({"terms": {"comission_bps": 1}}, "terms.comission_bps", "commission_bps"),
        ],
    )
    def test_names_the_nearest_key_of_an_unknown_one(self, document, path, nearest):
        error = refusal(document)

        assert error.extensions["errors"][0] == {
            "path": path,
            "message": f"unknown key; did you mean {nearest!r}?",
        }
        assert error.detail.startswith(f"{path}: unknown key; did you mean {nearest!r}?")
        assert error.status == 422

    def test_lists_the_known_keys_when_none_is_near(self):
        error = refusal({"costs": {"qqq": 1}})

        assert error.detail == "costs.qqq: unknown key; there are: commission_bps."

    def test_is_not_confused_by_a_key_named_like_the_union_s_tag(self):
        error = refusal({"signals": [{"kind": "momentum", "momentum": 3}]})

        assert error.extensions["errors"][0]["path"] == "signals.0.momentum"

    @pytest.mark.parametrize(
        ("document", "path", "words"),
        [
            (
                {"signals": [{"kind": "momentun"}]},
                "signals.0",
                "'momentun' is not one of 'momentum'",
            ),
            ({"signals": [{}]}, "signals.0", "Unable to extract tag using discriminator 'kind'"),
            ({"side": "shrot"}, "side", "'shrot' is not one of 'long' or 'short'"),
            ({"costs": {"commission_bps": "x"}}, "costs.commission_bps", "valid number"),
            ({"costs": 3}, "costs", "valid dictionary"),
            ({"signals": {"kind": "cross"}}, "signals", "valid list"),
            (
                {"signals": [{"kind": "cross", "fast_bars": 30}]},
                "signals.0",
                "fast_bars must be below slow_bars",
            ),
            ({"size": []}, "size", "valid integer"),
            ({"start": "2020-13-45"}, "start", "valid date"),
            ({"terms": {}, "side": 1}, "side", "not one of"),
        ],
    )
    def test_says_where_and_what_is_wrong(self, document, path, words):
        errors = refusal(document).extensions["errors"]

        assert errors[0]["path"] == path
        assert words in errors[0]["message"]

    def test_reports_every_fault_and_unknown_keys_first(self):
        error = refusal({"side": "up", "costs": {"x": 1}, "nmae": 2})

        paths = [each["path"] for each in error.extensions["errors"]]
        assert paths == ["costs.x", "nmae", "side"]
        assert all(f"{path}: " in error.detail for path in paths)

    def test_says_the_first_few_faults_in_one_line(self):
        error = refusal({f"unknown_{number}": 1 for number in range(7)})

        assert len(error.extensions["errors"]) == 7
        assert error.detail.count("unknown key") == TOLD
        assert error.detail.endswith(f"({7 - TOLD} more)")

    def test_names_the_place_within_a_larger_document(self):
        with pytest.raises(InvalidInput) as caught:
            documents.parse(Costs, {"x": 1}, within="strategy.costs")

        assert caught.value.extensions["errors"][0]["path"] == "strategy.costs.x"

    def test_refuses_keys_that_are_not_text(self):
        assert refusal({1: 2}).extensions["errors"] == [
            {"path": "1", "message": "Keys should be strings"}
        ]

    @pytest.mark.parametrize("label", ["a.b", "", 'a"b'])
    def test_quotes_a_name_that_would_read_as_two(self, label):
        (fault,) = refusal({"by_symbol": {label: {"x": 1}}}).extensions["errors"]

        head, quoted, tail = fault["path"].partition(json.dumps(label))
        assert (head, quoted, tail) == ("by_symbol.", json.dumps(label), ".x")

    def test_tells_alternatives_of_one_place_as_one_fault(self):
        assert refusal({"size": []}).extensions["errors"] == [
            {"path": "size", "message": "Input should be a valid integer or a valid string"}
        ]

    def test_tells_a_key_that_is_not_text_where_it_stands(self):
        assert refusal({"by_symbol": {1: {}}}).extensions["errors"] == [
            {"path": "by_symbol.1", "message": "Keys should be strings"}
        ]

    def test_takes_a_key_for_what_it_is(self):
        (fault,) = refusal({"by_symbol": {"[key]": 3}}).extensions["errors"]

        assert fault["path"] == "by_symbol.[key]"

    def test_lists_a_hundred_faults_and_counts_the_others(self):
        error = refusal({f"unknown_{number}": 1 for number in range(2500)})

        assert len(error.extensions["errors"]) == LISTED == 100
        assert error.extensions["n_more_errors"] == 2400
        assert error.detail.endswith("(2496 more)")

    def test_reads_the_schema_of_a_class_once(self, monkeypatch):
        class Fresh(Part):
            name: str = "x"

        asked, schema = [], Fresh.model_json_schema
        monkeypatch.setattr(Fresh, "model_json_schema", lambda: asked.append(1) or schema())

        for _ in range(2):
            with pytest.raises(InvalidInput):
                documents.parse(Fresh, {"a": 1, "b": 2})

        assert len(asked) == 1

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    @pytest.mark.parametrize("shape", [lambda t: {"name": t}, lambda t: {"by_symbol": {t: {}}}])
    def test_refuses_text_no_database_takes(self, text, shape):
        assert "NUL character or half a surrogate pair" in refusal(shape(text)).detail

    def test_refuses_a_document_without_end(self):
        nested: dict = {}
        for _ in range(60):
            nested = {"a": nested}

        assert "nested deeper than 50" in refusal(nested).detail

    def test_refuses_a_short_text_that_unfolds_without_end(self):
        text = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        )

        assert "more than 100000 values" in refusal(documents.loads(text)).detail

    def test_echoes_little_of_what_it_was_given(self):
        error = refusal({"side": "x" * 100_000, "y" * 100_000: 1})

        assert len(str(error.problem())) < 2000
