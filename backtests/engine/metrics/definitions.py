"""What each metric means: unit, formula, when it is missing, and where it is from."""

from dataclasses import fields
from typing import NamedTuple

from backtests.engine.metrics.conventions import Conventions


class Definition(NamedTuple):
    """How one metric is described.

    Attributes
    ----------
    unit : str
        As `Metric.unit`.
    sentence : str
        The formula, at the default conventions.
    missing : str
        When it is not computed, apart from a curve that has no returns (fewer than two values, one
        that is missing, zero or negative) and a result that is not finite.
    source : str
        Who defined it; empty for plain arithmetic.
    """

    unit: str
    sentence: str
    missing: str = ""
    source: str = ""


_NO_LOSS = "no negative return"
_NEVER_FELL = "equity never fell"
_TWO = "fewer than two returns"
_VARY = "fewer than two returns, or they do not vary"
_ACTIVITY = "no activity given"
_TRADED = "no activity given, or nothing traded"
_POSITIVE = "no activity given"
_BENCHMARK = "no benchmark, fewer than two returns, or the benchmark does not vary"
_CLOSED = "no round trips given, or none closed"
_BAILEY_2012 = "Bailey and López de Prado 2012, J. of Risk 15(2)"

_GROWTH = {
    "total_return": Definition("fraction", "Last equity over first, less one."),
    "cagr": Definition(
        "per year", "(last / first)^(1 / years) - 1, years = returns / bars per year."
    ),
    "annual_return": Definition("per year", "Arithmetic mean return times bars per year."),
    "annual_volatility": Definition(
        "per year", "Standard deviation (ddof 1) times sqrt(bars per year).", _TWO
    ),
    "downside_volatility": Definition(
        "per year",
        "sqrt(mean of min(r, 0)^2 over all returns) times sqrt(bars per year).",
        source="Sortino and Price 1994, J. of Investing 3(3)",
    ),
    "sharpe": Definition(
        "ratio",
        "Arithmetic mean over standard deviation (ddof 1), times sqrt(bars per year); "
        "no risk-free rate.",
        _VARY,
        "Sharpe 1994, J. of Portfolio Management 21(1)",
    ),
    "sharpe_standard_error": Definition(
        "ratio",
        "Delta method on Newey-West moments, lag floor(4 (n/100)^(2/9)), annual.",
        _VARY,
        "Lo 2002, Financial Analysts J. 58(4); Newey and West 1987",
    ),
    "probabilistic_sharpe": Definition(
        "probability",
        "Probability that the true Sharpe ratio exceeds 0 (Bailey and Lopez de Prado 2012).",
        _VARY,
        _BAILEY_2012,
    ),
    "minimum_track_record": Definition(
        "periods",
        "Bars needed to be 95 % sure that the true Sharpe ratio exceeds 0.",
        f"{_VARY}; Sharpe ratio not above 0",
        _BAILEY_2012,
    ),
    "deflated_sharpe": Definition(
        "probability",
        "Probability that the true Sharpe ratio exceeds what the best of all trials shows by luck.",
        f"{_VARY}; no trials given",
        "Bailey and López de Prado 2014, J. of Portfolio Management 40(5)",
    ),
    "sortino": Definition(
        "ratio",
        "Annual mean return over downside volatility, target 0.",
        _NO_LOSS,
        "Sortino and Price 1994, J. of Investing 3(3)",
    ),
    "calmar": Definition(
        "ratio",
        "CAGR over maximum drawdown, both of the whole curve.",
        _NEVER_FELL,
        "as in the libraries, after Young 1991",
    ),
    "calmar_36_months": Definition(
        "ratio",
        "CAGR over maximum drawdown, both of the last 36 months.",
        f"shorter than 36 months; {_NEVER_FELL} in them",
        "Young 1991, Futures 20(1)",
    ),
    "mar": Definition(
        "ratio",
        "CAGR over maximum drawdown since the first bar; the same figure as calmar.",
        _NEVER_FELL,
        "Managed Account Reports",
    ),
    "omega": Definition(
        "ratio",
        "Sum of gains over sum of losses, threshold 0.",
        _NO_LOSS,
        "Keating and Shadwick 2002, J. of Performance Measurement 6(3)",
    ),
    "profit_factor": Definition(
        "ratio", "Sum of gains over sum of losses, counted in bars; Omega at 0.", _NO_LOSS
    ),
    "gain_to_pain": Definition(
        "ratio",
        "Sum of all returns over sum of losses.",
        _NO_LOSS,
        "Schwager 2012, Hedge Fund Market Wizards",
    ),
    "stability": Definition(
        "fraction",
        "R squared of the least-squares line of log equity (after the first value) on time.",
        "fewer than three returns, or equity never changed",
    ),
}

_DRAWDOWN = {
    "max_drawdown": Definition(
        "fraction",
        "Deepest fall of compounded equity, starting at 1, from its running peak; >= 0.",
        source="Magdon-Ismail and Atiya 2004, Risk 17(10)",
    ),
    "average_drawdown": Definition(
        "fraction", "Mean of the deepest points of all drawdowns.", _NEVER_FELL
    ),
    "longest_drawdown_days": Definition(
        "days",
        "Longest calendar time from a peak to the bar that regains it, or to the end.",
        _NEVER_FELL,
    ),
    "average_drawdown_days": Definition(
        "days",
        "Mean calendar time from a peak to the bar that regains it, or to the end.",
        _NEVER_FELL,
    ),
    "time_under_water": Definition("fraction", "Share of bars below an earlier peak."),
    "ulcer_index": Definition(
        "fraction",
        "sqrt(mean squared drawdown), denominator n bars.",
        source="Martin and McCann 1989, The Investor's Guide to Fidelity Funds",
    ),
    "ulcer_performance": Definition(
        "ratio",
        "CAGR over the Ulcer index.",
        _NEVER_FELL,
        "Martin and McCann 1989, The Investor's Guide to Fidelity Funds",
    ),
    "recovery_factor": Definition("ratio", "Total return over maximum drawdown.", _NEVER_FELL),
}

_DISTRIBUTION = {
    "value_at_risk_95": Definition(
        "fraction",
        "5 % quantile of the returns per bar (type 7); a loss < 0.",
        source="Hyndman and Fan 1996, American Statistician 50(4)",
    ),
    "conditional_value_at_risk_95": Definition(
        "fraction",
        "Mean of the returns per bar at or below that quantile.",
        source="Rockafellar and Uryasev 2000, J. of Risk 2(3)",
    ),
    "gaussian_value_at_risk_95": Definition(
        "fraction", "Mean less 1.645 standard deviations (ddof 1) per bar.", _TWO
    ),
    "gaussian_conditional_value_at_risk_95": Definition(
        "fraction", "Mean less phi(1.645) / 5 % standard deviations (ddof 1) per bar.", _TWO
    ),
    "cornish_fisher_value_at_risk_95": Definition(
        "fraction",
        "Gaussian value at risk with the quantile corrected for skewness and kurtosis.",
        f"{_VARY}; the expansion is not increasing there",
        "Cornish and Fisher 1938; Zangari 1996, RiskMetrics Monitor",
    ),
    "cornish_fisher_conditional_value_at_risk_95": Definition(
        "fraction",
        "Mean below that quantile under the second-order Edgeworth density.",
        f"{_VARY}; the expansion is not increasing there, or puts the mean above the quantile",
        "Boudt, Peterson and Croux 2008, J. of Risk 11(2)",
    ),
    "tail_ratio": Definition(
        "ratio",
        "abs(95 % quantile) over abs(5 % quantile) of the returns.",
        "the 5 % quantile is 0",
    ),
    "skewness": Definition("ratio", "Population skewness of the returns per bar.", _VARY),
    "excess_kurtosis": Definition(
        "ratio", "Population kurtosis of the returns per bar, less 3.", _VARY
    ),
    "autocorrelation": Definition(
        "ratio", "First-order autocorrelation of the returns per bar.", _VARY
    ),
    "best_day": Definition("fraction", "Largest compounded return of a UTC day."),
    "worst_day": Definition("fraction", "Smallest compounded return of a UTC day."),
    "best_month": Definition("fraction", "Largest compounded return of a calendar month (UTC)."),
    "worst_month": Definition("fraction", "Smallest compounded return of a calendar month (UTC)."),
    "positive_months": Definition("fraction", "Share of calendar months with a gain."),
    "hit_rate": Definition(
        "fraction", "Gains over gains and losses, counted in bars.", "equity never changed"
    ),
    "payoff": Definition(
        "ratio", "Mean gain over mean loss, per bar.", "no positive or no negative return"
    ),
}

_ACTIVITIES = {
    "turnover": Definition(
        "per year", "Bought plus sold notional over mean equity, per year.", _ACTIVITY
    ),
    "exposure_time": Definition(
        "fraction", "Share of bars with a position at the close.", _ACTIVITY
    ),
    "average_gross_exposure": Definition(
        "ratio", "Mean over bars of gross exposure / equity.", _POSITIVE
    ),
    "average_net_exposure": Definition(
        "ratio", "Mean over bars of net exposure / equity.", _POSITIVE
    ),
    "max_leverage": Definition("ratio", "Largest gross exposure / equity at a close.", _POSITIVE),
    "total_costs": Definition("currency", "Sum of all costs.", _ACTIVITY),
    "cost_drag": Definition("per year", "All costs over mean equity, per year.", _ACTIVITY),
    "average_cost_bps": Definition("bps", "All costs per traded notional.", _TRADED),
    "break_even_cost_bps": Definition(
        "bps",
        "(Profit + costs) per traded notional: the cost at which the same trades earn nothing.",
        _TRADED,
    ),
    "capacity": Definition(
        "currency",
        "First equity times 10 % over the 95 % quantile of fill quantity / bar volume.",
        "no activity given, or no fill has a known participation",
        "fills scale with capital and do not move prices",
    ),
}

_RELATIVE = {
    "alpha": Definition(
        "per year",
        "Least-squares intercept per bar times bars per year.",
        _BENCHMARK,
        "Jensen 1968, J. of Finance 23(2)",
    ),
    "beta": Definition("ratio", "Least-squares slope on the benchmark's returns.", _BENCHMARK),
    "correlation": Definition(
        "ratio",
        "Pearson correlation with the benchmark's returns.",
        f"{_BENCHMARK}, or the returns do not",
    ),
    "r_squared": Definition(
        "fraction", "Squared correlation.", f"{_BENCHMARK}, or the returns do not"
    ),
    "treynor": Definition(
        "ratio",
        "Annual mean return over beta.",
        f"{_BENCHMARK}; beta is 0",
        "Treynor 1965, Harvard Business Review 43",
    ),
    "tracking_error": Definition(
        "per year",
        "Annual standard deviation (ddof 1) of r - b.",
        "no benchmark, or fewer than two returns",
    ),
    "information_ratio": Definition(
        "ratio",
        "Annual mean of r - b over the tracking error.",
        "no benchmark, fewer than two returns, or r - b does not vary",
        "Grinold and Kahn 2000, Active Portfolio Management",
    ),
    "up_capture": Definition(
        "ratio",
        "Compounded r over compounded b on bars with b > 0.",
        f"{_BENCHMARK} or never rose",
        "Bacon 2008, Practical Portfolio Performance Measurement",
    ),
    "down_capture": Definition(
        "ratio",
        "Compounded r over compounded b on bars with b < 0.",
        f"{_BENCHMARK} or never fell",
        "Bacon 2008, Practical Portfolio Performance Measurement",
    ),
}

_TRADES = {
    "n_trades": Definition("trades", "Number of closed trades.", "no round trips given"),
    "trade_hit_rate": Definition("fraction", "Share of trades with a profit.", _CLOSED),
    "trade_payoff": Definition(
        "ratio",
        "Mean profit of the winners over mean loss of the losers.",
        f"{_CLOSED}; no winner or no loser",
    ),
    "trade_profit_factor": Definition(
        "ratio", "Sum of profits over sum of losses, counted in trades.", f"{_CLOSED}; no loser"
    ),
    "trade_expectancy": Definition("currency", "Mean profit of a trade.", _CLOSED),
    "system_quality_number": Definition(
        "ratio",
        "sqrt(number of trades) times mean profit over its standard deviation (ddof 1).",
        f"{_CLOSED}; fewer than two, or profits do not vary",
        "Tharp 2008, Definitive Guide to Position Sizing",
    ),
    "kelly_fraction": Definition(
        "fraction",
        "Trade hit rate less (1 - hit rate) over trade payoff.",
        f"{_CLOSED}; no winner or no loser",
        "Kelly 1956, Bell System Technical J. 35(4)",
    ),
    "average_holding_days": Definition("days", "Mean time from first to last fill.", _CLOSED),
    "median_holding_days": Definition("days", "Median time from first to last fill.", _CLOSED),
    "average_trade_return": Definition("fraction", "Mean return of a trade.", _CLOSED),
    "best_trade_return": Definition("fraction", "Largest return of a trade.", _CLOSED),
    "worst_trade_return": Definition("fraction", "Smallest return of a trade.", _CLOSED),
    "longest_losing_streak": Definition(
        "trades", "Most losing trades in a row; a trade at 0 ends a streak.", _CLOSED
    ),
}

# In the order of the columns that the kernels write.
DEFINITIONS: dict[str, Definition] = {
    **_GROWTH,
    **_DRAWDOWN,
    **_DISTRIBUTION,
    **_ACTIVITIES,
    **_RELATIVE,
    **_TRADES,
}

_SHARPES = ("sharpe", "probabilistic_sharpe", "minimum_track_record", "deflated_sharpe")
_PARAMETRIC = tuple(name for name in DEFINITIONS if name.startswith(("gaussian", "cornish")))
AFFECTED: dict[str, tuple[str, ...]] = {  # by each option of `Conventions`
    "risk_free_rate": (
        *_SHARPES,
        "sharpe_standard_error",
        "ulcer_performance",
        "alpha",
        "treynor",
    ),
    "target_return": ("downside_volatility", "sortino", "omega"),
    "ddof": (
        *_SHARPES,
        *_PARAMETRIC,
        "annual_volatility",
        "tracking_error",
        "information_ratio",
    ),
    "tail_probability": (
        *_PARAMETRIC,
        "value_at_risk_95",
        "conditional_value_at_risk_95",
        "tail_ratio",
    ),
    "annualization": ("sortino", "treynor", "information_ratio"),
    "sharpe": ("sharpe",),
    "moments": ("skewness", "excess_kurtosis"),
    "sharpe_benchmark": ("probabilistic_sharpe", "minimum_track_record"),
    "confidence": ("minimum_track_record",),
}


def describe(name: str, conventions: Conventions) -> str:
    """Return a metric's sentence, and what of the conventions makes it read otherwise."""
    options = [
        f"{option.name} {getattr(conventions, option.name)}"
        for option in fields(conventions)
        if name in AFFECTED[option.name] and getattr(conventions, option.name) != option.default
    ]
    sentence = DEFINITIONS[name].sentence
    return f"{sentence} Here with {', '.join(options)}." if options else sentence
