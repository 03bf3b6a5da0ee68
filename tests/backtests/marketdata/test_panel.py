from __future__ import annotations

import threading

import numpy as np
import pytest

from backtests.marketdata.arrays import load_mapped
from backtests.marketdata.errors import ManifestError, OutsideRangeError
from backtests.marketdata.panel import PanelCache, open_columns, open_panel
from backtests.marketdata.stamps import show_moment

BARS = "date,AA,BB,CC\n" + "".join(
    f"2024-01-{day:02d},{10 + day},{20 + day},{30 + day}\n" for day in range(1, 11)
)


@pytest.fixture
def stored(run_import):
    outcome = run_import(BARS, kind="bars")
    places = {sha: outcome.files[name] for name, sha in outcome.manifest.files.items()}
    return outcome.manifest, places.__getitem__


class TestOpenPanel:
    def test_maps_without_copying_and_read_only(self, stored):
        panel = open_panel(*stored)

        close = panel["close"]
        assert (len(panel), panel.symbols) == (10, ("AA", "BB", "CC"))
        assert isinstance(close, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            close[0, 0] = 1.0

    def test_a_window_is_a_view_of_whole_days(self, stored):
        panel = open_panel(*stored)

        part = panel.window("2024-01-03", "2024-01-05")

        assert np.shares_memory(part["close"], panel["close"])
        assert part["close"][:, 0].tolist() == [13.0, 14.0, 15.0]
        assert show_moment(int(part.ts[-1])).startswith("2024-01-05")

    @pytest.mark.parametrize(
        ("start", "end"),
        [("2023-12-31", "2024-01-05"), ("2024-01-05", "2024-01-11"), ("2024-01-06", "2024-01-05")],
    )
    def test_a_window_outside_names_the_range_of_the_data(self, start, end, stored):
        with pytest.raises(OutsideRangeError, match=r"2024-01-01T.* to 2024-01-10T"):
            open_panel(*stored).window(start, end)

    def test_selects_in_the_order_asked_for(self, stored):
        panel = open_panel(*stored)

        assert panel.select(["CC", "AA"])["close"][0].tolist() == [31.0, 11.0]
        assert np.shares_memory(panel.select(["AA", "BB"])["close"], panel["close"])

    @pytest.mark.parametrize("symbols", [["AX"], [], ["AA", "AA"]])
    def test_refuses_a_bad_choice(self, symbols, stored):
        with pytest.raises(OutsideRangeError):
            open_panel(*stored).select(symbols)

    def test_an_unknown_field_names_the_nearest(self, stored):
        with pytest.raises(OutsideRangeError, match="did you mean 'close'"):
            open_panel(*stored)["clos"]

    def test_a_file_of_another_shape_is_refused(self, stored, tmp_path):
        manifest, _ = stored
        wrong = tmp_path / "wrong.npy"
        np.save(wrong, np.zeros(3))

        with pytest.raises(ManifestError, match="has shape"):
            open_columns(manifest, lambda _sha: wrong)

    def test_quotes_are_no_panel_but_columns(self, run_import):
        outcome = run_import("ts,bid,ask\n2024-01-02T10:00:00Z,1,2\n")
        places = {sha: outcome.files[name] for name, sha in outcome.manifest.files.items()}

        with pytest.raises(ManifestError, match="holds quotes"):
            open_panel(outcome.manifest, places.__getitem__)
        columns = open_columns(outcome.manifest, places.__getitem__)
        assert columns["ask"].tolist() == [2.0]


class TestPanelCache:
    def test_opens_once_and_drops_the_least_recently_used(self, run_import):
        outcomes = [run_import(BARS.replace("AA", name), kind="bars") for name in ("X", "Y", "Z")]
        opened = []

        def locate(sha: str):
            opened.append(sha)
            for outcome in outcomes:
                for name, digest in outcome.manifest.files.items():
                    if digest == sha:
                        return outcome.files[name]
            raise KeyError(sha)

        size = sum(load_mapped(path).nbytes for path in outcomes[0].files.values())
        cache = PanelCache(max_bytes=2 * size)
        x, y, z = (outcome.manifest for outcome in outcomes)
        cache.get(x, locate)
        cache.get(y, locate)
        before = len(opened)
        cache.get(x, locate)
        cache.get(z, locate)

        assert len(opened) == before + 2
        assert x.digest in cache
        assert y.digest not in cache
        assert cache.n_bytes <= 2 * size

    def test_threads_share_one_panel(self, stored):
        cache, panels = PanelCache(1 << 20), []
        threads = [
            threading.Thread(target=lambda: panels.append(cache.get(*stored))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({id(panel) for panel in panels}) == 1
