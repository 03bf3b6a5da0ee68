"""Strategies side by side, as lines of text."""

from backtests.selectors.comparisons import FIGURES, Comparison
from crowetrade_site.core.tables import aligned

SHOWN = {"Sharpe": "sharpe", "CAGR": "cagr", "max drawdown": "max_drawdown"}


def write_standings(shown: Comparison) -> list[str]:
    """Return aligned lines: a row of figures a strategy, and what is known of every pair."""
    rows = _figures(shown)
    if shown.reason:
        return [*rows, shown.reason[:1].upper() + shown.reason[1:]]
    together = [f"{test['label']}: {test['text'] or test['reason']}" for test in shown.tests]
    return [*rows, "", f"Against {shown.reference_text}:", *_pairs(shown), "", *together, shown.how]


def _figures(shown: Comparison) -> list[str]:
    """Return a row a strategy, in the order of their mean ranks where there are any."""
    places = [FIGURES.index(name) for name in SHOWN.values()]
    ranks = {row["name"]: [row["mean"], row["cells"][0]["text"]] for row in shown.ranks}
    by_name = {
        one["name"]: [one["figures"][place]["text"] for place in places]
        for one in shown.strategies
    }  # fmt: skip
    head = ["strategy", *SHOWN, *(["mean rank", "rank 1"] if ranks else [])]
    order = ranks or by_name
    return aligned([head, *([name, *by_name[name], *ranks.get(name, [])] for name in order)])


def _pairs(shown: Comparison) -> list[str]:
    """Return a row a pair: those with the reference first, which alone have p-values."""
    reference = shown.reference
    told = [(f"{row['name']} less {reference}", row) for row in shown.against]
    known = {name for name, _ in told} | {
        f"{reference} less {row['name']}" for row in shown.against
    }
    told += [(row["name"], row) for row in shown.pairs if row["name"] not in known]
    rows = [
        [
            name, row["sharpe"], row["sharpe_interval"], row.get("p", ""), row.get("holm", ""),
            "told apart" if row["is_apart"] else "not told apart",
        ]
        for name, row in told
    ]  # fmt: skip
    return aligned([["pair", "Sharpe apart", "interval", "p", "Holm", "by the interval"], *rows])
