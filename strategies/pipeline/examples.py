"""Three strategies to start from."""

from strategies.pipeline.spec import StrategySpec

_DOCUMENTS: dict[str, dict[str, object]] = {
    "buy_and_hold": {
        "signals": [{"kind": "buy_and_hold"}],
        "portfolio": {"kind": "equal_weight", "gross": 0.98, "rebalance": {"kind": "once"}},
    },
    "moving_average_cross": {
        "signals": [{"kind": "moving_average_cross", "fast_bars": 50, "slow_bars": 200}],
        "portfolio": {"kind": "equal_weight", "gross": 0.98, "rebalance": {"kind": "on_change"}},
    },
    "cross_sectional_momentum": {
        "signals": [{"kind": "momentum", "lookback_days": 252, "skip_days": 21}],
        "portfolio": {
            "kind": "equal_weight",
            "n_holdings": 10,
            "gross": 0.98,
            "rebalance": {"kind": "calendar", "period": "month"},
        },
    },
}


def builtin_examples() -> dict[str, StrategySpec]:
    """Return the built-in specs by name; 2 % stays in cash, for costs and gaps at the open."""
    return {name: StrategySpec.model_validate(document) for name, document in _DOCUMENTS.items()}
