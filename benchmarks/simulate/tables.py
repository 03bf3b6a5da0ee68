"""The tables of docs/experiments.md, and what in them must hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.simulate.looking import Method, Watched, methods, planned, watch
from benchmarks.simulate.noises import HARD, MAIN, NORMAL, Noise, draw
from benchmarks.simulate.others import Rate, sample_ratio_rates, sharpe_rates
from experiments.statistics.sequential import planned_sequence

SEED = 20261128
N_PERIODS = 2_000
EFFECT = 2.8015851  # at which a test with one look has a power of 80 %
_BOUNDED = ("empirical Bernstein, clipped at 10 sd", "betting, clipped at 10 sd")
_LEAST_POWER = 0.65  # of the default; the best of those that hold for ever has 0.55
_SHAPES = (0.0, 0.1, 0.25, 0.4)


@dataclass(slots=True)
class Page:
    """Lines of markdown, and the rows that are not as they must be.

    Attributes
    ----------
    n_paths : int
        Experiments of each cell.
    """

    n_paths: int
    lines: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def most(self) -> float:
        """5 % and two binomial errors."""
        return 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / self.n_paths)

    def require(self, holds: bool, row: str) -> None:
        """Note a row that is not as it must be."""
        if not holds:
            self.missed.append(row)

    def say(self, *lines: str) -> None:
        """Add lines."""
        self.lines.extend(lines)

    def table(self, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table."""
        self.say("| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading))
        self.say(*("| " + " | ".join(row) + " |" for row in rows), "")


def write_looking(page: Page) -> None:
    """Add type-I error, coverage, power and mean stop of every method under the four laws."""
    rules = methods(N_PERIODS)
    nothing = [_watched(noise, rules, page, 1) for noise in MAIN]
    effect = [_watched(noise, rules, page, 2, EFFECT) for noise in MAIN]
    names = [*(rule.name for rule in rules), *_BOUNDED]
    laws = [noise.name for noise in MAIN]
    rates = np.array([watched.rates() for watched in nothing]).T
    page.say("### A/A: how often a difference is found where there is none", "")
    page.table(
        ["method", *laws], [[n, *map(_percent, row)] for n, row in zip(names, rates, strict=True)]
    )
    covered = 1.0 - np.array([watched.misses.mean(axis=0) for watched in effect]).T
    page.say("### Simultaneous coverage: no interval ever misses the true effect", "")
    page.table(
        ["method", *laws], [[n, *map(_percent, row)] for n, row in zip(names, covered, strict=True)]
    )
    powers = [watched.rates() for watched in effect]
    stops = [watched.mean_stops(N_PERIODS) for watched in effect]
    page.say(
        "### Power, and mean stop in brackets, where a test with one look has a power of 80 %", ""
    )
    cells = [
        [f"{p[at]:.1%} ({s[at]:,.0f})" for p, s in zip(powers, stops, strict=True)]
        for at in range(len(names))
    ]
    page.table(["method", *laws], [[n, *row] for n, row in zip(names, cells, strict=True)])
    for at, name in enumerate(names):
        must = name.startswith("**") or "batches" in name or "HAC" in name
        for law, rate, cover in zip(laws, rates[at], covered[at], strict=True):
            if must:
                page.require(rate <= page.most, f"A/A of {name}, {law}: {rate:.2%}")
                page.require(cover >= 1 - page.most, f"coverage of {name}, {law}: {cover:.2%}")
            if name == _BOUNDED[0]:
                page.require(rate <= 0.005, f"A/A of {name}, {law}: {rate:.2%}")
        if name.startswith("**"):
            page.require(powers[0][at] >= _LEAST_POWER, f"power of {name}: {powers[0][at]:.1%}")


def write_default(page: Page) -> None:
    """Add how the default does elsewhere: other laws, other horizons, other shapes."""
    page.say("### The default under harder laws, 2,000 periods", "")
    rows = []
    for noise in HARD:
        rates = [_percent(_of_batch(noise, batch, page)) for batch in (10, 50)]
        rows.append([noise.name, *rates, _percent(_share_warned(noise, min(page.n_paths, 500)))])
    page.table(["law", "A/A, batches of 10", "batches of 50", "batches of 10: warned"], rows)
    page.say("### The default with other horizons", "")
    rows = []
    for horizon, n in ((250, 250), (500, 500), (1_000, 1_000), (1_000, 4_000)):
        name = f"{horizon:,}" if n == horizon else f"{horizon:,}, looked at until {n:,}"
        rule = [planned(n, horizon)]
        rates = [
            watch(noise, rule, page.n_paths, [SEED, 4, noise.number, n]).rates()[0]
            for noise in MAIN
        ]
        for noise, rate in zip(MAIN, rates, strict=True):
            page.require(rate <= page.most, f"A/A, horizon {name}, {noise.name}: {rate:.2%}")
        power = watch(NORMAL, [planned(horizon, horizon)], page.n_paths, [SEED, 5, n], EFFECT)
        rows.append([name, *map(_percent, rates), _percent(power.rates()[0])])
    page.table(["horizon", *(noise.name for noise in MAIN), "power, normal"], rows)
    page.say("### The shape of the default: power (mean stop) by size of the effect, normal", "")
    rules = [planned(N_PERIODS, N_PERIODS, f"shape {shape:g}", shape) for shape in _SHAPES]
    watched = [
        watch(NORMAL, rules, page.n_paths, [SEED, 6, at], EFFECT * at / 2) for at in (1, 2, 4)
    ]
    rows = [
        [rule.name] + [f"{w.rates()[at]:.1%} ({w.mean_stops(N_PERIODS)[at]:,.0f})" for w in watched]
        for at, rule in enumerate(rules)
    ]
    page.table(["", "half the effect", "the effect", "twice the effect"], rows)


def write_others(page: Page) -> None:
    """Add sample ratios and Sharpe ratios."""
    ratios = sample_ratio_rates(max(page.n_paths // 5, 20), SEED)
    page.say("### Sample ratio: false alarms over 200 looks", "")
    page.table(["test", "false alarms"], [[r.name, _rate(r)] for r in ratios])
    alarm = ratios[1]
    page.require(
        alarm.rate <= 0.01 + 2 * math.sqrt(0.0099 / alarm.n), f"{alarm.name}: {_rate(alarm)}"
    )
    sharpe = sharpe_rates(max(page.n_paths // 2, 50), SEED)
    page.say("### Equal Sharpe ratios of 500 returns, AR(1) 0.2: false differences at 5 %", "")
    page.table(["test", "false differences"], [[r.name, _rate(r)] for r in sharpe])
    robust = sharpe[1]
    page.require(robust.rate <= 0.064 + 3 * robust.error, f"{robust.name}: {_rate(robust)}")


def markdown(rows: Sequence[dict[str, str | float]]) -> tuple[list[str], list[list[str]]]:
    """Return heading and cells of rows that are dictionaries."""
    heading = list(rows[0])
    return heading, [[str(row[name]) for name in heading] for row in rows]


def _watched(
    noise: Noise, rules: list[Method], page: Page, purpose: int, effect: float = 0.0
) -> Watched:
    seed = [SEED, purpose, noise.number]
    return watch(noise, rules, page.n_paths, seed, effect, is_bounded=True)


def _of_batch(noise: Noise, batch: int, page: Page) -> float:
    rule = planned(N_PERIODS, N_PERIODS, batch=batch)
    return float(watch(noise, [rule], page.n_paths, [SEED, 3, noise.number]).rates()[0])


def _share_warned(noise: Noise, n_paths: int) -> float:
    """Return how often the default says that its batches are too short."""
    rng = np.random.default_rng([SEED, 7, noise.number])
    values = np.empty(N_PERIODS)
    warned = 0
    for _ in range(n_paths):
        draw(noise.number, rng, values)
        warned += bool(planned_sequence(values, horizon=N_PERIODS).warnings)
    return warned / n_paths


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}"


def _rate(rate: Rate) -> str:
    return f"{rate.rate:.1%} ± {rate.error:.1%}"
