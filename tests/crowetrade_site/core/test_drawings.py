"""Drawings that several apps share: curves, bands, shares and intervals in their places."""

import math
import re

import pytest

from crowetrade_site.core.drawings import (
    Curve,
    canvas,
    draw_curves,
    draw_intervals,
    draw_shares,
    nice_ticks,
    write_day,
    write_time_of,
)


def drawn(curves, along=None, **more):
    along = list(range(len(curves[0].values))) if along is None else along
    asked = {"title": "t", "said": "s", "write": "{:.2f}".format} | more
    return draw_curves(along, curves, **asked)


class TestNiceTicks:
    @pytest.mark.parametrize(
        ("first", "last"), [(-1.0, 2.0), (0.123, 0.1234), (-5e9, 7e9), (1.0, 1.0 + 1e-6)]
    )
    def test_are_round_and_inside(self, first, last):
        ticks = nice_ticks(first, last)

        assert 2 <= len(ticks) <= canvas.N_TICKS + 1
        assert all(first - 1e-9 * abs(first) <= at <= last + 1e-9 * abs(last) for at in ticks)


class TestDrawCurves:
    def test_spans_the_plot_from_edge_to_edge(self):
        marks = drawn([Curve("a", [0.0, 1.0, 2.0])]).marks

        path = re.search(r'class="ct-curve" d="M([\d.]+) [\d.]+L[\d.]+ [\d.]+L([\d.]+) ', marks)
        assert float(path[1]) == canvas.LEFT
        assert float(path[2]) == canvas.RIGHT

    def test_rises_with_its_values(self):
        marks = drawn([Curve("a", [0.0, 1.0])]).marks

        first, last = re.search(r'd="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)"/></g>', marks).groups()
        assert float(first) > float(last)

    def test_lifts_the_pen_where_nothing_is_known(self):
        marks = drawn([Curve("a", [0.0, 1.0, math.nan, 2.0, 1.0])]).marks

        assert re.search(r'class="ct-curve" d="([^"]+)"', marks)[1].count("M") == 2

    def test_cuts_a_band_that_has_only_begun(self):
        curve = Curve("a", [0.0] * 4, lower=[-math.inf, -9, -1, -1], upper=[math.inf, 9, 1, 1])

        marks = drawn([curve]).marks

        ys = [float(pair.split(",")[1]) for pair in
              re.search(r'class="ct-band" points="([^"]+)"', marks)[1].split()]  # fmt: skip
        assert min(ys) >= canvas.TOP - 1e-9
        assert max(ys) <= canvas.BOTTOM + 1e-9

    def test_sets_long_labels_narrower_where_they_would_be_cut_off(self):
        short, long = (
            drawn(
                [Curve("a", [0.0, 1.0])], write=lambda value, unit=unit: f"{value:.1f}{unit}"
            ).marks
            for unit in ("", " million")
        )

        assert "textLength" not in short
        assert f'textLength="{canvas.LEFT - 8}"' in long

    def test_escapes_names_and_names_several(self):
        marks = drawn(
            [Curve("a<b>", [1.0, 2.0]), Curve("c", [2.0, 1.0])], levels=[(0.0, "x<y>")]
        ).marks

        assert "<b>" not in marks
        assert "<y>" not in marks
        assert marks.count('class="ct-key') == 2

    def test_draws_no_more_points_than_can_be_told_apart(self):
        marks = drawn([Curve("a", [float(at % 7) for at in range(100_000)])]).marks

        assert marks.count("L") <= 401

    @pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
    def test_is_none_without_a_value(self, values):
        assert drawn([Curve("a", values)]) is None

    @pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [0.0, 0.0]])
    def test_draws_what_never_varies(self, values):
        assert "nan" not in drawn([Curve("a", values)]).marks.lower()


class TestDrawShares:
    def test_stacks_to_the_whole(self):
        shares = [Curve("a", [0.5, 0.2]), Curve("b", [0.5, 0.8])]

        marks = draw_shares(
            [0.0, 86_400.0 * 9], shares, title="t", said="s", write_along=write_day
        ).marks

        ys = [float(pair.split(",")[1]) for points in re.findall(r'points="([^"]+)"', marks)
              for pair in points.split()]  # fmt: skip
        assert min(ys) == canvas.TOP
        assert max(ys) == canvas.BOTTOM
        assert "80.0%" in marks
        assert "1970-01-01" in marks

    def test_is_none_without_any(self):
        assert draw_shares([], [], title="t", said="s") is None


class TestWriteTimeOf:
    def test_is_of_days_or_of_minutes(self):
        assert write_time_of(0.0, 86_400.0 * 30)(0.0) == "1970-01-01"
        assert write_time_of(0.0, 3_600.0)(60.0) == "01-01 00:01"


class TestDrawIntervals:
    ROWS = (("a<b>", 0.5, 0.1, 0.9), ("c", -0.1, -0.4, 0.2))

    def test_sets_those_apart_that_leave_0_out(self):
        picture = draw_intervals(self.ROWS, name="less hold", write="{:.1f}".format)

        assert picture.marks.count('class="ct-apart"') == 1
        assert picture.marks.count('class="ct-open"') == 1
        assert "<b>" not in picture.marks
        assert "1 of the intervals leave 0 out" in picture.description

    def test_is_none_without_rows(self):
        assert draw_intervals([], name="less hold", write=str) is None
