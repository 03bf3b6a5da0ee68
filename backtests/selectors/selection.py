"""The honest statistics of a study as rows of a table: what is left of its best trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.selectors.figures import label_of, write_count, write_ratio, write_share

LABELS = {
    "best_sharpe": "Sharpe ratio of the best, as observed",
    "n_effective": "Independent trials it amounts to",
    "expected_maximum": "Best Sharpe ratio expected by luck",
    "probabilistic_sharpe": "Probabilistic Sharpe ratio",
    "deflated_sharpe": "Deflated Sharpe ratio",
    "deflated_sharpe_all": "Deflated Sharpe ratio, all trials independent",
    "p_value": "p-value of the best alone",
    "bonferroni_p_value": "p-value, Bonferroni",
    "holm_p_value": "p-value, Holm",
    "n_accepted": "Trials that pass",
    "minimum_track_record_bars": "Minimum track record, bars",
    "minimum_track_record_years": "Minimum track record, years",
    "minimum_backtest_years": "Minimum backtest, years",
    "haircut_sharpe_bonferroni": "Sharpe ratio after a Bonferroni haircut",
    "haircut_sharpe_holm": "Sharpe ratio after a Holm haircut",
    "haircut_sharpe_bhy": "Sharpe ratio after a BHY haircut",
    "spa_p_value": "p-value, superior predictive ability",
    "pbo": "Probability of backtest overfitting",
    "probability_of_loss": "Probability of loss out of sample",
    "performance_degradation": "Slope of out of sample on in sample",
}
MOST_OVERFIT = 0.5  # as the registry's default gate has it
# Said of a figure that brings no definition of its own.
MEANINGS = {
    "n_effective": "How many independent trials the correlated ones amount to.",
    "expected_maximum": "What the best of as many trials without skill is expected to show.",
    "probabilistic_sharpe": "Probability that the true ratio is above 0, were it the only trial.",
    "deflated_sharpe": "Probability that the true ratio is above what luck gives the best of so "
    "many trials.",
    "holm_p_value": "Probability of so good a result without skill, adjusted for all trials.",
    "haircut_sharpe_holm": "The ratio that is left once the number of trials is paid for.",
    "minimum_backtest_years": "Below this length so many trials show as good a ratio by luck.",
    "spa_p_value": "Probability that no trial is better than cash.",
    "pbo": "How often the best of one half of the time is below the median in the other half.",
}


def list_statistics(
    selection: Mapping[str, Any], labels: Mapping[str, str] = LABELS
) -> list[dict[str, Any]]:
    """Return label, value, reason and meaning of each figure, in the order of the labels."""
    order = {name: place for place, name in enumerate(labels)}
    shown = sorted(_figures(selection).items(), key=lambda pair: order.get(pair[0], len(order)))
    return [
        {
            "name": name,
            "label": labels.get(name, label_of(name)),
            "text": _write(name, figure),
            "reason": figure.get("reason", ""),
            "meaning": figure.get("definition") or MEANINGS.get(name, ""),
        }
        for name, figure in shown
        if isinstance(figure, Mapping) and "value" in figure
    ]


@dataclass(frozen=True)
class Leading:
    """What the bootstrap says of the leaders of a sweep, as text.

    Attributes
    ----------
    rows : list of dict
        Label, text, reason and meaning of each test.
    note : str
        Which trials were run again for it, and what their choice does to the tests.
    """

    rows: list[dict[str, Any]]
    note: str


def get_leading(kept: Mapping[str, Any]) -> Leading | None:
    """Return what the bootstrap says of the leaders; None where they were not run again."""
    found = kept.get("leading")
    if not found:
        return None
    if "spa_p_value" not in found:
        row = {"label": "Bootstrap of the leaders", "text": "–", "meaning": ""}
        return Leading([row | {"reason": found["reason"]}], "")
    n, n_trials, reasons = found["n_leaders"], found["n_trials"], found["reasons"]
    ability, superior = found["spa_p_value"], found["superior"]
    alike, is_whole = found["confidence_set"], found["is_whole"]
    rows = [
        {
            "label": "p-value, superior predictive ability",
            "text": "–" if ability["value"] is None else f"{ability['value']:.3g}",
            "reason": ability["reason"],
            "meaning": ability["definition"],
        },
        {
            "label": "Better than cash, StepM",
            "text": "–" if superior is None else f"{len(superior['superior'])} of {n}",
            "reason": reasons.get("superior", ""),
            "meaning": "Leaders whose mean return is above 0, with the family-wise error held at "
            + ("5 %." if is_whole else "5 % among the leaders only."),
        },
        {
            "label": "Model confidence set",
            "text": "–" if alike is None else f"{len(alike['included'])} of {found['n_compared']}",
            "reason": reasons.get("confidence_set", ""),
            "meaning": f"Of the first {found['n_compared']} leaders, those that cannot be told "
            "from the one with the best mean return. It says how alike they are, not that they "
            "are good.",
        },
    ]
    return Leading(rows, _note(found, n, n_trials))


def _note(found: Mapping[str, Any], n: int, n_trials: int) -> str:
    bars = "" if found["bars_each"] == 1 else f", each the sum of {found['bars_each']} bars"
    said = f"By {found['n_observations']:,} returns{bars}"
    if found["is_whole"]:
        return f"{said} of all {n_trials:,} trials ever made on this data, run again."
    return (
        f"{said} of {n:,} trials, run again: those of this study's "
        f"{found.get('n_searched', n_trials):,} that lead by their mean return over its standard "
        "error, by bars and by 16 blocks of time. They were chosen for these very returns, and "
        f"{n_trials:,} trials were ever made on this data; the tests know of neither, and are no "
        "bound for what they would say of all. Decide by Holm."
    )


def verdict_of(selection: Mapping[str, Any], *, is_alone: bool = True) -> str:
    """Return what the statistics decide against cash, in words; empty where they do not.

    `is_alone` is whether no verdict against a benchmark stands beside it.
    """
    accepted = selection.get("is_accepted")
    if accepted is None:
        return ""
    if accepted:
        said = (
            "The best passes against cash: luck alone seldom gives so good a result in so many "
            "trials."
        )
        return said + (" Whether it beats a benchmark is another question." if is_alone else "")
    return "The best does not pass against cash: so many trials give a result like this by luck."


def doubt_of(selection: Mapping[str, Any]) -> str:
    """Return why the choice of the best does not carry over; empty where nothing speaks against it.

    The tests against cash ask whether the best is luck, and not whether choosing it was any use:
    halves of the time that choose badly for each other speak against that, whatever those say.
    """
    found = []
    pbo = value_of(selection, "pbo")
    if pbo is not None and pbo > MOST_OVERFIT:
        found.append(
            f"the probability of backtest overfitting is {write_share(pbo)}, above "
            f"{MOST_OVERFIT:.0%}"
        )
    slope = value_of(selection, "performance_degradation")
    if slope is not None and slope < 0.0:
        found.append(
            f"the slope of out of sample on in sample is {write_ratio(slope)}: the better it "
            "looked, the worse it did"
        )
    return f"The choice of the best does not carry over: {'; '.join(found)}." if found else ""


def value_of(selection: Mapping[str, Any], name: str) -> float | None:
    """Return the value of one figure; None where there is none."""
    figure = _figures(selection).get(name)
    return figure.get("value") if isinstance(figure, Mapping) else None


def _figures(selection: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures, which may stand in a section of their own."""
    inner = selection.get("figures")
    return inner if isinstance(inner, Mapping) else selection


def _write(name: str, figure: Mapping[str, Any]) -> str:
    value, unit = figure["value"], figure.get("unit", "")
    if value is None:
        return "–"
    if name.endswith("p_value"):
        return f"{value:.3g}"
    if unit in {"bars", "trials"} or name.startswith("n_"):
        return write_count(value) if value >= 100 else f"{value:.3g}"
    return write_share(value) if unit == "probability" else write_ratio(value)
