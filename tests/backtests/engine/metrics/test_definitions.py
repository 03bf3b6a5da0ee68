from pathlib import Path

import pytest

from backtests.engine.metrics import DEFINITIONS, Column, sentence_of
from backtests.engine.metrics.reasons import SENTENCES, Reason

PAGE = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"


def row_of(name):
    spec = DEFINITIONS[name]
    cells = (name, spec.unit, spec.sentence, spec.missing or "–", spec.source or "–")
    return f"| {' | '.join(cells)} |"


class TestDefinitions:
    def test_stand_in_the_order_of_the_columns(self):
        assert [column.name.lower() for column in Column] == list(DEFINITIONS)
        assert [int(column) for column in Column] == list(range(len(DEFINITIONS)))

    @pytest.mark.parametrize("name", DEFINITIONS)
    def test_are_on_the_page_word_for_word(self, name):
        assert row_of(name) in PAGE.read_text().splitlines()

    def test_have_known_units(self):
        units = {spec.unit for spec in DEFINITIONS.values()}

        assert units == {
            "fraction", "ratio", "per year", "days", "periods", "trades", "currency", "bps",
            "probability",
        }  # fmt: skip


class TestSentenceOf:
    def test_completes_the_phrase_for_every_reason(self):
        assert set(SENTENCES) == set(Reason)
        assert sentence_of(0) == ""
        for reason in set(Reason) - {Reason.NONE}:
            assert sentence_of(reason) == f"not computed, because {SENTENCES[reason]}"
