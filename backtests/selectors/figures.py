"""Figures as people read them: names, units, groups."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Figure = dict[str, Any]

# Every metric of the engine in one group, in the order of the page.
GROUPS: dict[str, tuple[str, ...]] = {
    "Return and risk": (
        "total_return", "cagr", "annual_return", "annual_volatility", "downside_volatility",
        "stability",
    ),
    "Risk-adjusted": (
        "sharpe", "sharpe_standard_error", "probabilistic_sharpe", "deflated_sharpe",
        "minimum_track_record", "sortino", "calmar", "calmar_36_months", "mar", "omega",
        "profit_factor", "gain_to_pain", "ulcer_performance", "recovery_factor",
    ),
    "Drawdowns": (
        "max_drawdown", "average_drawdown", "longest_drawdown_days", "average_drawdown_days",
        "time_under_water", "ulcer_index",
    ),
    "Distribution of returns": (
        "value_at_risk_95", "conditional_value_at_risk_95", "gaussian_value_at_risk_95",
        "gaussian_conditional_value_at_risk_95", "cornish_fisher_value_at_risk_95",
        "cornish_fisher_conditional_value_at_risk_95", "tail_ratio", "skewness",
        "excess_kurtosis", "autocorrelation", "hit_rate", "payoff", "best_day", "worst_day",
        "best_month", "worst_month", "positive_months",
    ),
    "Trading and costs": (
        "turnover", "exposure_time", "average_gross_exposure", "average_net_exposure",
        "max_leverage", "total_costs", "cost_drag", "average_cost_bps", "break_even_cost_bps",
        "capacity",
    ),
    "Trades": (
        "n_trades", "trade_hit_rate", "trade_payoff", "trade_profit_factor", "trade_expectancy",
        "average_trade_return", "best_trade_return", "worst_trade_return",
        "average_holding_days", "median_holding_days", "longest_losing_streak",
        "system_quality_number", "kelly_fraction",
    ),
    "Against the benchmark": (
        "alpha", "beta", "correlation", "r_squared", "treynor", "tracking_error",
        "information_ratio", "up_capture", "down_capture",
    ),
}  # fmt: skip
LABELS = {
    "cagr": "CAGR",
    "calmar_36_months": "Calmar, 36 months",
    "mar": "MAR",
    "n_trades": "Closed trades",
    "payoff": "Payoff ratio",
    "probabilistic_sharpe": "Probabilistic Sharpe",
    "deflated_sharpe": "Deflated Sharpe",
    "r_squared": "R²",
    "sharpe": "Sharpe ratio",
}
# A length of time is written in the first unit of which it has at least one.
TIMES = ((1.0, "days"), (1 / 24, "hours"), (1 / 1440, "minutes"), (1 / 86_400, "seconds"))


_ROUNDING = 1e-9  # of a return: what taking a mean off leaves


def label_of(name: str) -> str:
    """Return a metric's name as people read it."""
    known = LABELS.get(name)
    plain = name.replace("_95", " 95 %").replace("_days", " time").removesuffix("_bps")
    words = plain.replace("cornish_fisher", "Cornish–Fisher").replace("_", " ")
    return known or words[:1].upper() + words[1:]


def write_figure(name: str, metric: Mapping[str, Any]) -> str:
    """Return a figure as people write it; a dash for what was not computed."""
    value, unit = metric["value"], metric["unit"]
    if value is None:
        return "–"
    if name == "turnover":
        return f"{value:,.0f}× a year" if value >= 100 else f"{value:,.1f}× a year"
    return WRITERS.get(unit, write_ratio)(value)


def write_ratio(value: float) -> str:
    """Return a bare number."""
    return f"{value:,.2f}"


def write_count(value: float) -> str:
    """Return a number of things."""
    return f"{value:,.0f}"


def write_share(value: float) -> str:
    """Return a fraction in percent; a small one keeps its first digits."""
    if abs(value) >= 10:
        return f"{value:,.0%}"
    return f"{value:.2%}" if abs(value) >= 0.0005 or value == 0 else f"{100 * value:.2g}%"


def write_signed(value: float) -> str:
    """Return a share with its sign; what taking a mean off leaves is 0."""
    text = write_share(value if abs(value) > _ROUNDING else 0.0)
    return text if value <= _ROUNDING else f"+{text}"


def write_amount(value: float) -> str:
    """Return an amount of money; a small one keeps its cents."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:,.2f}"


def write_time(days: float) -> str:
    """Return a length of time in the unit that fits it, never as 0 when there is some."""
    for size, unit in TIMES:
        if days >= size or (unit == "seconds" and days > 0):
            number = days / size
            text = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
            return f"{text} {unit.removesuffix('s') if text == '1' else unit}"
    return "0 days"


WRITERS: dict[str, Callable[[float], str]] = {
    "fraction": write_share,
    "probability": write_share,
    "per year": write_share,
    "days": write_time,
    "periods": lambda value: f"{write_count(value)} bars",
    "trades": write_count,
    "currency": write_amount,
    "bps": lambda value: f"{write_ratio(value)} bps",
}


def grouped(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return figures by group: those computed, then each reason for which others are missing.

    Where nothing of a group was computed, all for one reason, no name stands beside it. What is
    in no group comes last, as runs of another engine may have it.
    """
    by_name = {figure["name"]: figure for figure in figures}
    known = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in by_name if name not in known)
    groups = []
    for title, names in {**GROUPS, "Others": others}.items():
        there = [by_name[name] for name in names if name in by_name]
        computed = [figure for figure in there if figure["value"] is not None]
        missing: dict[str, list[str]] = {}
        for figure in there:
            if figure["value"] is None:
                missing.setdefault(figure["reason"], []).append(figure["label"])
        named = bool(computed) or len(missing) > 1
        reasons = [
            {"reason": reason, "labels": labels if named else []}
            for reason, labels in missing.items()
        ]
        if there:
            groups.append({"title": title, "figures": computed, "missing": reasons})
    return groups
