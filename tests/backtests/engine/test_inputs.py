import numpy as np
import pandas as pd
import pytest

from backtests.engine import Bars, EngineError, Targets
from backtests.engine.errors import (
    InconsistentBarError,
    InvalidActionError,
    InvalidPriceError,
    InvalidVolumeError,
    PartialBarError,
    SettingsError,
    ShapeError,
    TargetsError,
    UnsortedStampsError,
)

DAY_NS = 86_400_000_000_000
TS = np.arange(3, dtype=np.int64) * DAY_NS
NAN = float("nan")


def sound_columns():
    return {
        "open": np.array([[10.0, 20.0]] * 3),
        "high": np.array([[12.0, 22.0]] * 3),
        "low": np.array([[9.0, 19.0]] * 3),
        "close": np.array([[11.0, 21.0]] * 3),
    }


def make(**changed):
    return Bars(TS, **{**sound_columns(), **changed}, symbols=["A", "B"])


def with_value(name, value):
    values = sound_columns()[name]
    values[1, 1] = value
    return {name: values}


class TestBars:
    def test_accepts_one_dimension_for_one_instrument(self):
        bars = Bars(TS, [1.0, 2.0, 3.0], symbols="A")

        assert bars.close.shape == (3, 1)
        assert bars.symbols == ("A",)

    def test_accepts_datetime64_stamps(self):
        bars = Bars(TS.view("datetime64[ns]"), [1.0, 2.0, 3.0], symbols="A")

        np.testing.assert_array_equal(bars.ts, TS)

    def test_accepts_a_bar_without_trade(self):
        columns = sound_columns()
        for values in columns.values():
            values[1, 1] = NAN

        assert np.isnan(make(**columns).close[1, 1])

    @pytest.mark.parametrize(
        ("changed", "error"),
        [
            (with_value("open", NAN), PartialBarError),
            (with_value("close", NAN), PartialBarError),
            (with_value("low", 0.0), InvalidPriceError),
            (with_value("high", np.inf), InvalidPriceError),
            (with_value("close", -1.0), InvalidPriceError),
            (with_value("high", 18.0), InconsistentBarError),
            (with_value("close", 23.0), InconsistentBarError),
            (with_value("open", 18.0), InconsistentBarError),
        ],
    )
    def test_names_the_bar_and_the_instrument_at_fault(self, changed, error):
        with pytest.raises(error, match=r"Bar 1 \(1970-01-02T00:00:00.*Z\) of B:") as caught:
            make(**changed)

        assert (caught.value.bar, caught.value.symbol) == (1, "B")
        assert isinstance(caught.value, EngineError)

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("volume", -1.0, InvalidVolumeError),
            ("volume", NAN, InvalidVolumeError),
            ("half_spread", 21.0, InvalidActionError),
            ("half_spread_open", 20.0, InvalidActionError),
            ("half_spread_open", -0.1, InvalidActionError),
            ("split", 0.0, InvalidActionError),
            ("split", np.inf, InvalidActionError),
            ("dividend", -0.1, InvalidActionError),
        ],
    )
    def test_checks_the_optional_columns(self, name, value, error):
        values = np.ones((3, 2))
        values[1, 1] = value

        with pytest.raises(error, match=r"Bar 1 .* of B"):
            make(**{name: values})

    @pytest.mark.parametrize("second", [0, -1])
    def test_refuses_stamps_that_do_not_increase(self, second):
        with pytest.raises(UnsortedStampsError, match="Bar 1"):
            Bars(np.array([0, second, 5]), [1.0, 1.0, 1.0], symbols="A")

    @pytest.mark.parametrize(
        "arguments",
        [
            {"close": [1.0, 2.0], "symbols": "A"},
            {"close": [1.0, 2.0, 3.0], "symbols": ["A", "B"]},
            {"close": np.ones((3, 2)), "symbols": ["A", "A"]},
            {"close": np.ones((3, 1, 1)), "symbols": "A"},
            {"close": ["x", "y", "z"], "symbols": "A"},
            {"close": [1.0, 2.0, 3.0], "open": [1.0, 2.0], "symbols": "A"},
            {"close": [1.0, 2.0, 3.0], "half_spread_open": [0.1, 0.1, 0.1], "symbols": "A"},
            {"close": [1.0, 2.0, 3.0], "high": [1.0, 2.0, 3.0], "symbols": "A"},
        ],
    )
    def test_refuses_arrays_that_do_not_fit(self, arguments):
        with pytest.raises(ShapeError):
            Bars(TS, **arguments)

    def test_refuses_stamps_that_are_not_whole_nanoseconds(self):
        with pytest.raises(ShapeError, match="int64"):
            Bars(TS.astype(float), [1.0, 2.0, 3.0], symbols="A")

    @pytest.mark.parametrize(
        ("stamps", "problem"),
        [
            (np.array(["NaT", "2020-01-01", "2020-01-02"], "datetime64[ns]"), r"Stamp 0 .*NaT"),
            (np.array(["2020-01-01", "2020-01-02", "NaT"], "datetime64[ns]"), r"Stamp 2 .*NaT"),
            (["2020-01-01", "2020-01-02", "2020-01-03"], "array of datetime64 .*, not <U10"),
        ],
    )
    def test_refuses_stamps_that_are_missing_or_text(self, stamps, problem):
        with pytest.raises(ShapeError, match=problem):
            Bars(stamps, [1.0, 2.0, 3.0], symbols="A")

    def test_takes_masked_prices_for_missing_ones(self):
        close = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])

        np.testing.assert_array_equal(Bars(TS, close, symbols="A").close[:, 0], [1.0, NAN, 3.0])

    def test_is_shown_in_one_line(self):
        assert repr(make()) == (
            "Bars(3 bars of 2 (A, B), 1970-01-01T00:00:00.000000000Z to "
            "1970-01-03T00:00:00.000000000Z)"
        )

    def test_does_not_copy_a_memory_mapped_file(self, tmp_path):
        path = tmp_path / "close.npy"
        np.save(path, np.ones((3, 2)))
        mapped = np.load(path, mmap_mode="r")

        bars = Bars(TS, mapped, symbols=["A", "B"])

        assert np.shares_memory(bars.close, mapped)

    def test_leaves_the_callers_array_writable(self):
        close = np.ones(3)

        bars = Bars(TS, close, symbols="A")

        assert close.flags.writeable
        assert not bars.close.flags.writeable

    def test_is_named_by_its_content(self):
        assert make().content_digest == make().content_digest
        assert make().content_digest != make(**with_value("close", 20.5)).content_digest
        assert make(digest="abc").content_digest == "abc"


class TestTargets:
    def test_refuses_infinite_values(self):
        with pytest.raises(TargetsError, match="Row 1"):
            Targets([0.0, np.inf])

    @pytest.mark.parametrize("arguments", [{"kind": "shares"}, {"band": -1.0}, {"band": NAN}])
    def test_refuses_settings_outside_their_domain(self, arguments):
        with pytest.raises(SettingsError):
            Targets([1.0], **arguments)

    def test_knows_the_rows_that_decide(self):
        targets = Targets([[NAN, NAN], [0.0, NAN], [1.0, 1.0]])

        assert targets.bars.tolist() == [1, 2]


class TestStamps:
    @pytest.mark.parametrize("unit", ["s", "ms", "us"])
    def test_in_another_unit_are_refused_with_the_factor(self, unit):
        days = np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]")
        stamps = days.astype(f"datetime64[{unit}]").astype(np.int64)

        with pytest.raises(ShapeError, match="multiply by"):
            Bars(stamps, np.full(5, 100.0), symbols=["A"])

    def test_of_a_pandas_index_are_taken_in_utc(self):
        index = pd.date_range("2020-01-01 16:00", periods=3, freq="D", tz="America/New_York")

        bars = Bars(index, np.full(3, 100.0), symbols=["A"])

        assert bars.ts[0] == np.datetime64("2020-01-01T21:00", "ns").astype(np.int64)


class TestFromQuotes:
    @pytest.mark.parametrize(
        ("bid", "ask", "error"),
        [
            (NAN, 10.2, PartialBarError),
            (10.0, NAN, PartialBarError),
            (10.3, 10.2, InvalidActionError),  # crossed
            (0.0, 10.2, InvalidActionError),
            (-1.0, 0.5, InvalidPriceError),
        ],
    )
    def test_names_the_quote_that_cannot_be(self, bid, ask, error):
        with pytest.raises(error, match=r"Bar 1 .* of A"):
            Bars.from_quotes(TS, [10.0, bid, 10.0], [10.2, ask, 10.2], symbols="A")

    def test_takes_no_quote_for_no_trade(self):
        bars = Bars.from_quotes(TS, [10.0, NAN, 10.0], [10.2, NAN, 10.2], symbols="A")

        assert np.isnan(bars.close[:, 0]).tolist() == [False, True, False]
        assert bars.half_spread[0, 0] == pytest.approx(0.1)
