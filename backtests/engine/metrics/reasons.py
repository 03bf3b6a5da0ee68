"""Why a metric could not be computed: a code for kernels, a sentence for people."""

from enum import IntEnum


class Reason(IntEnum):
    """One code per cause; 0 means that there is a value."""

    NONE = 0
    TOO_FEW_VALUES = 1
    MISSING_VALUES = 2
    NOT_POSITIVE = 3
    RETURN_TOO_LARGE = 4
    TOO_FEW_RETURNS = 5
    TOO_FEW_FOR_A_LINE = 6
    NO_VARIATION = 7
    NEVER_MOVED = 8
    NEVER_FELL = 9
    NO_LOSS = 10
    NO_GAIN = 11
    NOT_FINITE = 12
    NO_VARIANCE = 13
    SHARPE_VARIANCE = 14
    BELOW_BENCHMARK_SHARPE = 15
    NO_TRIALS = 16
    QUANTILE_IS_ZERO = 17
    EXPANSION_FAILS = 18
    SHORTER_THAN_36_MONTHS = 19
    NO_BENCHMARK = 20
    BENCHMARK_MISSING_VALUES = 21
    BENCHMARK_NOT_POSITIVE = 22
    BENCHMARK_RETURN_TOO_LARGE = 23
    BENCHMARK_NO_VARIATION = 24
    BENCHMARK_ONE_WAY = 25
    ACTIVE_NO_VARIATION = 26
    BETA_IS_ZERO = 27
    NO_ACTIVITY = 28
    NOTHING_TRADED = 29
    NO_PARTICIPATION = 30
    NO_ROUND_TRIPS = 31
    NO_TRADE_CLOSED = 32
    TRADE_MISSING_VALUES = 33
    NO_WINNER = 34
    NO_LOSER = 35
    TOO_FEW_TRADES = 36
    TRADES_NO_VARIATION = 37
    SCRATCH_TOO_SHORT = 38


SENTENCES = {
    Reason.NONE: "",
    Reason.TOO_FEW_VALUES: "there are fewer than two values",
    Reason.MISSING_VALUES: "the equity curve has missing values",
    Reason.NOT_POSITIVE: "equity was zero or negative",
    Reason.RETURN_TOO_LARGE: "a return is too large for a number",
    Reason.TOO_FEW_RETURNS: "there are fewer than two returns",
    Reason.TOO_FEW_FOR_A_LINE: "there are fewer than three returns",
    Reason.NO_VARIATION: "the returns do not vary",
    Reason.NEVER_MOVED: "equity never changed",
    Reason.NEVER_FELL: "equity never fell from a peak",
    Reason.NO_LOSS: "no return was negative",
    Reason.NO_GAIN: "no return was positive",
    Reason.NOT_FINITE: "the result is not a finite number",
    Reason.NO_VARIANCE: "the estimated variance is zero",
    Reason.SHARPE_VARIANCE: "the estimated variance of the Sharpe ratio is not positive",
    Reason.BELOW_BENCHMARK_SHARPE: "the Sharpe ratio does not exceed the one it is held against",
    Reason.NO_TRIALS: "the number of trials and the variance of their Sharpe ratios were not given",
    Reason.QUANTILE_IS_ZERO: "the quantile of the losses is zero",
    Reason.EXPANSION_FAILS: "the Cornish-Fisher expansion is not monotone at these moments",
    Reason.SHORTER_THAN_36_MONTHS: "the curve is shorter than 36 months",
    Reason.NO_BENCHMARK: "no benchmark was given",
    Reason.BENCHMARK_MISSING_VALUES: "the benchmark has missing values",
    Reason.BENCHMARK_NOT_POSITIVE: "the benchmark is not positive everywhere",
    Reason.BENCHMARK_RETURN_TOO_LARGE: "a benchmark return is too large for a number",
    Reason.BENCHMARK_NO_VARIATION: "the benchmark's returns do not vary",
    Reason.BENCHMARK_ONE_WAY: "the benchmark never moved that way",
    Reason.ACTIVE_NO_VARIATION: "the active returns do not vary",
    Reason.BETA_IS_ZERO: "beta is zero",
    Reason.NO_ACTIVITY: "no trading activity was given",
    Reason.NOTHING_TRADED: "nothing was traded",
    Reason.NO_PARTICIPATION: "no fill has a known share of its bar's volume",
    Reason.NO_ROUND_TRIPS: "no round trips were given",
    Reason.NO_TRADE_CLOSED: "no trade was closed",
    Reason.TRADE_MISSING_VALUES: "a trade has missing values",
    Reason.NO_WINNER: "no trade made a profit",
    Reason.NO_LOSER: "no trade made a loss",
    Reason.TOO_FEW_TRADES: "there are fewer than two trades",
    Reason.TRADES_NO_VARIATION: "the profits of the trades do not vary",
    Reason.SCRATCH_TOO_SHORT: "the workspace is shorter than the list of trades or fills",
}


def sentence_of(code: int) -> str:
    """Return what `Metric.reason` says for a code; empty for 0."""
    because = SENTENCES[Reason(code)]
    return f"not computed, because {because}" if because else ""
