"""The search section of a run's spec."""

import pytest
from pydantic import BaseModel, ConfigDict

from backtests.search import KINDS, DocumentError, ExpressionError, SpaceError, parse, plan
from backtests.search.document import SearchDocument
from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput

METRICS = ("sharpe", "turnover", "max_drawdown")
OVER = {
    "signals.0.fast": {"low": 2, "high": 50, "step": 1},
    "signals.0.slow": {"low": 10, "high": 200, "step": 10},
    "signals.0.kind": ["cross", "momentum"],
    "costs.impact.y": {"low": 0.1, "high": 10.0, "log": True, "when": {"signals.0.kind": "cross"}},
}
TRIALS = {"n_trials": 20}


class TestParse:
    def test_takes_the_example_of_the_product(self):
        parsed = parse({"kind": "grid", "over": {"signals.1.lookback_days": [63, 126, 252]}})

        assert parsed.over["signals.1.lookback_days"].values == [63, 126, 252]
        assert parsed.objective[0].maximize == "sharpe"

    def test_takes_symbols_in_paths(self):
        over = {"portfolio.weights.BTC-USD": [0.1, 0.2], "portfolio.weights.^GSPC": [0.3]}

        assert list(parse({"kind": "grid", "over": over}).over) == list(over)

    @pytest.mark.parametrize("kind", KINDS)
    def test_stores_defaults_and_reads_them_again(self, kind):
        more = {} if kind == "grid" else TRIALS
        parsed = parse({"kind": kind, "over": OVER, **more})

        stored = parsed.model_dump(mode="json")

        assert parse(stored) == parsed
        assert stored["objective"] == [{"maximize": "sharpe", "minimize": None}]

    @pytest.mark.parametrize("kind", KINDS)
    def test_says_what_every_key_means(self, kind):
        for name, field in KINDS[kind].model_fields.items():
            assert field.description or name in {"kind", "n_trials"}, name

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ({"over": OVER}, "kind is missing; it is one of grid, random,"),
            ({"kind": "gird", "over": OVER}, "kind: 'gird' is unknown; did you mean 'grid'?"),
            ({"kind": "grid"}, "over: Field required."),
            ({"kind": "grid", "ovr": OVER}, "ovr: unknown key; did you mean 'over'?"),
            ({"kind": "grid", "over": {}}, "over: Dictionary should have at least 1 item"),
            ({"kind": "grid", "over": OVER, "n_trials": 5}, "n_trials: unknown key; "),
            ({"kind": "random", "over": OVER}, "n_trials: Field required."),
            ({"kind": "random", "over": OVER, "n_trials": 0}, "n_trials: Input should be greater"),
            ({"kind": "tpe", "over": OVER, "n_trials": "9"}, "n_trials: Input should be a valid"),
            (
                {"kind": "tpe", "over": OVER, "n_trials": 9, "generatoin": 4},
                "generatoin: unknown key; did you mean 'generation'?",
            ),
            (
                {"kind": "grid", "over": {"a.b": {"low": 1, "hihg": 3}}},
                "over.a.b.hihg: unknown key; did you mean 'high'?",
            ),
            (
                {"kind": "grid", "over": {"a": {"values": [1], "wen": {}}}},
                "over.a.wen: unknown key; did you mean 'when'?",
            ),
            ({"kind": "grid", "over": {"a": [1, 1]}}, "over.a: 1 is given twice."),
            ({"kind": "grid", "over": {"a": {"low": 3, "high": 1}}}, "over.a: low 3 is not below"),
            ({"kind": "grid", "over": {"a..b": [1]}}, "over.a..b: is no path"),
            ({"kind": "grid", "over": OVER, "objective": {"maximise": "sharpe"}},
             "objective.0.maximise: unknown key; did you mean 'maximize'?"),
            ({"kind": "grid", "over": OVER, "objective": {}}, "either to maximize or to minimize"),
            ({"kind": "grid", "over": OVER, "objective": []}, "objective: List should have"),
            (["grid"], "valid dictionary"),
        ],
    )  # fmt: skip
    def test_names_what_is_wrong_in_one_line(self, document, sentence):
        with pytest.raises(DocumentError) as refusal:
            parse(document)

        assert sentence in str(refusal.value)
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize(
        "document",
        [
            {"kind": "grid", "ovr": OVER},
            {"kind": "random", "over": OVER, "n_trial": 9},
            {"kind": "grid", "over": {"a.b": {"low": 1, "hihg": 3}}},
        ],
    )
    def test_says_a_misspelt_key_once(self, document):
        with pytest.raises(DocumentError) as refusal:
            parse(document)

        assert [message.split(";")[0] for _, message in refusal.value.faults] == ["unknown key"]

    def test_says_what_is_missing_beside_a_key_that_is_no_misspelling_of_it(self):
        with pytest.raises(DocumentError, match="n_trials: Field required"):
            parse({"kind": "random", "over": OVER, "zzz": 1})


class TestInsideASpec:
    """A larger document may have it as a part, and the site's reader of documents agrees."""

    class Spec(BaseModel):
        model_config = ConfigDict(extra="forbid")
        search: SearchDocument

    def test_is_read(self):
        spec = documents.parse(
            self.Spec, {"search": {"kind": "random", "over": OVER, "n_trials": 2}}
        )

        assert plan(spec.search).space.paths[0] == "signals.0.fast"

    @pytest.mark.parametrize(
        ("search", "sentence"),
        [
            ({"kind": "grid", "ovr": OVER}, "search.ovr: unknown key; did you mean 'over'?"),
            ({"kind": "gird", "over": OVER}, "'gird' is not one of"),
            (
                {"kind": "grid", "over": {"a": {"low": 1, "high": 3, "stp": 1}}},
                "search.over.a.stp: unknown key; did you mean 'step'?",
            ),
        ],
    )
    def test_is_refused_with_a_path(self, search, sentence):
        with pytest.raises(InvalidInput) as refusal:
            documents.parse(self.Spec, {"search": search})

        assert sentence in refusal.value.detail


class TestPlan:
    def test_knows_the_number_of_trials_beforehand(self):
        grid = {"kind": "grid", "over": {"a": [1, 2], "b": {"low": 0, "high": 4, "step": 2}}}
        halving = {"kind": "halving", "over": OVER, "n_trials": 81, "min_budget": 0.01}

        assert plan(grid).n_trials == 6
        assert plan({"kind": "random", "over": OVER, "n_trials": 10**6}).n_trials == 10**6
        assert plan(halving).n_trials == 81 + 27 + 9 + 3 + 1
        assert plan(halving).cost == pytest.approx(5)

    def test_reads_short_names_of_parameters(self):
        search = plan(
            {
                "kind": "random", "over": OVER, **TRIALS,
                "constraints": ["fast < signals.0.slow", "max_drawdown < 0.3", "turnover < slow"],
            },
            metrics=METRICS,
        )  # fmt: skip

        assert search.space.constraints[0].names == {"signals.0.fast", "signals.0.slow"}
        assert [limit.names for limit in search.limits] == [
            {"max_drawdown"}, {"turnover", "signals.0.slow"},
        ]  # fmt: skip
        for trial in search.ask(20):
            assert trial.parameters["signals.0.fast"] < trial.parameters["signals.0.slow"]

    @pytest.mark.parametrize(
        ("more", "error", "sentence"),
        [
            ({"objective": "sharp"}, ExpressionError, "did you mean 'sharpe'?"),
            ({"objective": "sharpe > 1"}, ExpressionError, "not a number, as an objective must be"),
            ({"constraints": ["fast"]}, ExpressionError, "not a comparison, as a constraint"),
            ({"constraints": ["fst < 2"]}, ExpressionError, "'fst', which nobody knows; did you"),
            ({"constraints": ["kind < 2"]}, SpaceError, "compares signals.0.kind"),
            ({"kind": "nsga2"}, DocumentError, "objective: nsga2 needs several"),
            (
                {"kind": "cma_es", "objective": ["sharpe", {"minimize": "turnover"}]},
                DocumentError, "objective: cma_es has one",
            ),
            ({"kind": "cma_es"}, SpaceError, "signals.0.kind: cma_es needs numbers that increase"),
        ],
    )  # fmt: skip
    def test_refuses_in_one_line(self, more, error, sentence):
        with pytest.raises(error) as refusal:
            plan({"kind": "random", "over": OVER, **TRIALS, **more}, metrics=METRICS)

        assert sentence in str(refusal.value)

    def test_asks_which_parameter_is_meant(self):
        document = {
            "kind": "random", "over": {"a.x": [1, 2], "b.x": [1, 2]}, **TRIALS,
            "constraints": ["x < 2"],
        }  # fmt: skip

        with pytest.raises(ExpressionError, match=r"'x', which may be a\.x or b\.x"):
            plan(document)
