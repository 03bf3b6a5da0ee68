"""The drawings of a study: every cell and bar in its place and shade."""

import re

import pytest

from backtests.selectors import drawings
from crowetrade_site.core.drawings import canvas

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


def fold(year: int, train: float, test: float | None, **parameters) -> dict:
    return {
        "train": [[f"{year}-01-01", f"{year}-12-20"]],
        "purge": [[f"{year}-12-21", f"{year}-12-31"]],
        "embargo": [],
        "test": [[f"{year + 1}-01-01", f"{year + 1}-06-30"]],
        "train_value": train,
        "test_value": test,
        "parameters": parameters,
    }


FOLDS = [
    fold(2001, 1.5, 0.5, fast=5, kind="slow<er>"),
    fold(2002, 1.0, None, fast=20, kind="quick"),
    fold(2003, 0.5, 1.25, fast=5, kind="quick"),
]


class TestDrawTimeline:
    def test_places_every_part_on_the_calendar(self):
        marks = drawings.draw_timeline(FOLDS).marks

        bars = re.findall(
            r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+" class="ct-(\w+)">'
            r"<title>([^<]*)", marks,
        )  # fmt: skip
        assert len(bars) == 9
        assert bars[0][4] == "fold 1, train: 2001-01-01 to 2001-12-20"
        first = {part: (float(x), float(width)) for x, _, width, part, _ in bars[:3]}
        assert first["train"][0] == canvas.LEFT
        for part, following in (("train", "purge"), ("purge", "test")):
            assert sum(first[part]) == pytest.approx(first[following][0], abs=0.02)
        last = bars[-1]
        assert float(last[0]) + float(last[2]) == pytest.approx(canvas.RIGHT, abs=0.02)
        assert len({y for _, y, _, _, _ in bars}) == 3

    def test_names_the_years(self):
        marks = drawings.draw_timeline(FOLDS).marks

        assert [year for year in ("2001", "2002", "2003", "2004") if f">{year}</text>" in marks]
        assert [part for part in ("train", "purge", "embargo", "test") if f">{part}<" in marks] == [
            "train", "purge", "embargo", "test",
        ]  # fmt: skip

    def test_bounds_how_many_are_drawn(self):
        picture = drawings.draw_timeline([FOLDS[0]] * 90)

        assert "one row for each of 40 folds" in picture.description.lower()
        assert picture.height <= canvas.HEIGHT


class TestDrawDegradation:
    def test_joins_training_and_test(self):
        picture = drawings.draw_degradation(FOLDS, objective="sharpe", write="{:.2f}".format)

        assert picture.marks.count("<circle") == 5  # the second fold has no test
        assert "fold 2: 1.00 in training, none in test" in picture.marks
        assert "In 1 it had less in the test" in picture.description
        places = [float(y) for y in re.findall(r'cy="([\d.]+)"', picture.marks)]
        assert all(canvas.TOP <= y <= canvas.BOTTOM for y in places)

    def test_is_none_where_nothing_is_known(self):
        empty = [one | {"train_value": None, "test_value": None} for one in FOLDS]

        assert drawings.draw_degradation(empty, objective="sharpe", write=str) is None


class TestDrawChoices:
    def test_has_a_band_for_each_parameter(self):
        picture = drawings.draw_choices(FOLDS, {"fast": {}, "kind": []})

        assert picture.marks.count("<circle") == 6
        assert "fold 1: slow&lt;er&gt;" in picture.marks
        assert "<er>" not in picture.marks
        heights = re.findall(r'cy="([\d.]+)"', picture.marks)[:3]
        assert heights[0] == heights[2] != heights[1]

    def test_is_none_where_all_chose_the_same(self):
        assert drawings.draw_choices([FOLDS[0]] * 3, {"fast": {}, "kind": []}) is None


class TestDrawPaths:
    def test_marks_the_figure_in_sample(self):
        picture = drawings.draw_paths([0.1, 0.3, 0.2], 0.9, name="Sharpe", write="{:.1f}".format)

        assert picture.marks.count("<circle") == 3
        assert "in sample 0.9" in picture.marks
        assert "median path 0.2" in picture.marks
        assert "more than 3 of 3 paths" in picture.description

    def test_stacks_paths_that_are_alike(self):
        marks = drawings.draw_paths([0.5, 0.5, 0.5], None, name="Sharpe", write=str).marks

        assert len(set(re.findall(r'cy="([\d.]+)"', marks))) == 3

    def test_turns_many_paths_into_bars(self):
        values = [at / 100 for at in range(200)]

        marks = drawings.draw_paths(values, 0.5, name="Sharpe", write="{:.2f}".format).marks

        counts = [int(n) for n in re.findall(r"<title>(\d+) paths from", marks)]
        assert sum(counts) == 200
        assert "<circle" not in marks

    def test_is_none_without_a_path(self):
        assert drawings.draw_paths([], 1.0, name="Sharpe", write=str) is None
