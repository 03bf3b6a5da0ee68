"""The drawings of a study: every cell and bar in its place and shade."""

import re

import pytest

from backtests.selectors import drawings
from backtests.selectors.drawings import canvas

SURFACE = {
    "paths": ["signals.0.fast_bars", "costs.<b>"],
    "labels": [[2.0, 3.0], [4.0, 5.5, 8.0]],
    "mean": [[-1.0, 0.0, None], [0.5, 1.0, 2.0]],
}


def drawn(surface=SURFACE, best=(3, 8), **more):
    asked = {"objective": "sharpe", "write": "{:.1f}".format, "is_maximized": True} | more
    return drawings.draw_surface(surface, best, **asked)


class TestDrawSurface:
    def test_has_a_cell_for_every_mean(self):
        cells = re.findall(r"<path d=\"M(\d) (\d)h1v1h-1z\"><title>([^<]*)", drawn().marks)

        assert sorted(cells) == [
            ("0", "0", "2 × 4: -1.0"), ("0", "1", "2 × 5.5: 0.0"), ("1", "0", "3 × 4: 0.5"),
            ("1", "1", "3 × 5.5: 1.0"), ("1", "2", "3 × 8: 2.0"),
        ]  # fmt: skip

    @pytest.mark.parametrize(("is_maximized", "shade"), [(True, 8), (False, 0)])
    def test_gives_the_best_the_lightest_shade(self, is_maximized, shade):
        marks = drawn(is_maximized=is_maximized).marks

        group = re.search(rf'<g class="ct-q{shade}">(.*?)</g>', marks)[1]
        assert "3 × 8: 2.0" in group
        assert "(better)" in marks

    def test_rings_the_best(self):
        centers = set(re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn().marks))

        assert centers == {("319.50", "71.00")}

    @pytest.mark.parametrize("best", [None, ("slow", 8)])
    def test_rings_nothing_that_has_no_place(self, best):
        assert "<circle" not in drawn(best=best).marks

    def test_escapes_what_people_wrote(self):
        picture = drawn()

        assert "<b>" not in picture.marks
        assert "&lt;b&gt;" in picture.marks

    def test_is_none_where_nothing_is_feasible(self):
        assert drawn(SURFACE | {"mean": [[None] * 3] * 2}) is None

    def test_lets_no_freak_hide_the_others(self):
        means = [[float(j + 10 * i) for j in range(10)] for i in range(10)]
        means[9][9] = 1e9
        surface = SURFACE | {"labels": [list(range(10)), list(range(10))], "mean": means}

        marks = drawn(surface, best=None).marks

        assert all(f'<g class="ct-q{at}"><path' in marks for at in range(9))
        assert "≥ 97.0 (better)" in marks


class TestDrawDistribution:
    DISTRIBUTION = {"counts": [1, 0, 3], "edges": [-1.0, 0.0, 1.0, 2.0]}

    def draw(self, best=2.0, **more):
        return drawings.draw_distribution(
            self.DISTRIBUTION, best, objective="sharpe", write="{:.1f}".format, **more
        )

    def test_has_a_bar_for_every_bin(self):
        picture = self.draw()

        assert picture.marks.count('class="ct-count"') == 3
        assert "<title>3 trials from 1.0 to 2.0</title>" in picture.marks
        assert "<title>1 trial from -1.0 to 0.0</title>" in picture.marks
        assert picture.title == "sharpe of all 4 feasible trials"

    def test_marks_the_best_and_what_luck_gives(self):
        picture = self.draw(by_luck=2.5)

        assert "best 2.0" in picture.marks
        assert "by luck 2.5" in picture.marks  # beyond the last bar, and still inside
        places = [float(x) for x in re.findall(r'd="M([\d.]+) [\d.]+V', picture.marks)]
        assert all(canvas.LEFT <= x <= canvas.RIGHT for x in places)

    @pytest.mark.parametrize(
        ("first", "last"), [(-1.0, 2.0), (0.123, 0.1234), (-5e9, 7e9), (1.0, 1.0 + 1e-6)]
    )
    def test_has_round_numbers_below(self, first, last):
        ticks = drawings.nice_ticks(first, last)

        assert 2 <= len(ticks) <= drawings.N_TICKS + 1
        assert all(first - 1e-9 * abs(first) <= at <= last + 1e-9 * abs(last) for at in ticks)
