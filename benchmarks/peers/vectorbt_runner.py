"""vectorbt, with either of its engines."""

import numpy as np
import vectorbt as vbt
from protocol import Columns, Outcome, Parameters, serve
from vectorbt.generic.dispatch import rolling_mean

COLUMNS_AT_ONCE = 500


def cross(columns: Columns, parameters: Parameters) -> Outcome:
    """Hold a unit from a cross up to the cross down; from a cross up to stop or limit."""
    close = columns["close"]
    fast, slow = (_average(close, parameters[name], parameters) for name in ("fast", "slow"))
    entries, exits = _crossings(fast > slow * parameters["ratio"], parameters["slow"] - 1)
    stops = {}
    if parameters["task"] == "bracket":
        exits = np.zeros_like(entries)
        stops = {
            "high": columns["high"],
            "low": columns["low"],
            "sl_stop": parameters["stop"],
            "tp_stop": parameters["limit"],
            "stop_entry_price": "fillprice",
            "stop_exit_price": "stopmarket",
        }
    return _from_signals(columns, entries, exits, parameters, **stops)


def momentum(columns: Columns, parameters: Parameters) -> Outcome:
    """Hold a unit while the close is above the one of some bars ago, asked at fixed distances."""
    close, back = columns["close"], parameters["look_back"]
    asked = np.arange(back, close.size, parameters["every"])
    is_up = close[asked] > close[asked - back]
    entries, exits = np.zeros(close.size, np.bool_), np.zeros(close.size, np.bool_)
    entries[asked], exits[asked] = is_up, ~is_up
    return _from_signals(columns, _next(entries), _next(exits), parameters)


def portfolio(columns: Columns, parameters: Parameters) -> Outcome:
    """Hold the strongest instruments in equal weights."""
    close, back, top = columns["close"], parameters["look_back"], parameters["top"]
    wanted = np.full(close.shape, np.nan)
    for bar in range(back, close.shape[0] - 1, parameters["every"]):
        wanted[bar + 1] = 0.0
        best = np.argpartition(close[bar] / close[bar - back], -top)[-top:]
        wanted[bar + 1, best] = parameters["weight"]
    simulated = vbt.Portfolio.from_orders(
        close,
        size=wanted,
        size_type="targetpercent",
        price=columns["open"],
        val_price=np.vstack([close[:1], close[:-1]]),
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        **_money(parameters),
    )
    return Outcome(float(simulated.final_value()), int(simulated.orders.count()))


def sweep(columns: Columns, parameters: Parameters) -> Outcome:
    """Cross many pairs of averages, all cash in and out, some hundred columns at once."""
    close, pairs = columns["close"], columns["pairs"]
    # A fast window is shorter than its slow one in every pair: the slow one is known last.
    windows, rows = np.unique(pairs, return_inverse=True)
    rows = rows.reshape(pairs.shape)
    averages = vbt.MA.run(close, window=windows, engine=parameters["engine"]).ma.to_numpy()
    equity, n_trades = 0.0, 0
    for at in range(0, len(rows), COLUMNS_AT_ONCE):
        fast, slow = rows[at : at + COLUMNS_AT_ONCE].T
        first_bar = windows[slow] - 1
        entries, exits = _crossings(averages[:, fast] > averages[:, slow], first_bar)
        simulated = vbt.Portfolio.from_signals(
            close[:, None], entries, exits, price=columns["open"][:, None], **_money(parameters)
        )
        equity += float(np.sum(simulated.final_value()))
        n_trades += int(np.sum(simulated.trades.closed.count()))
    return Outcome(equity / len(rows), n_trades)


def _average(close, window, parameters):
    return rolling_mean(close[:, None], window, minp=window, engine=parameters["engine"])[:, 0]


def _crossings(is_above, first):
    """Return the bars after a cross up, and those after a bar that is not above.

    `first` is the first bar at which both averages are known, one or one of each column.
    """
    entries, exits = np.zeros_like(is_above), ~is_above
    entries[1:] = is_above[1:] & exits[:-1]
    if np.ndim(first):
        entries[first, np.arange(first.size)] = False
    else:
        entries[first] = False
    return _next(entries), _next(exits)


def _next(decided):
    return np.concatenate([np.zeros_like(decided[:1]), decided[:-1]])


def _money(parameters):
    return {
        "fees": parameters["fee"],
        "slippage": parameters["slip"],
        "init_cash": parameters["cash"],
        "engine": parameters["engine"],
    }


def _from_signals(columns, entries, exits, parameters, **stops):
    simulated = vbt.Portfolio.from_signals(
        columns["close"],
        entries,
        exits,
        size=1.0,
        price=columns["open"],
        open=columns["open"],
        **_money(parameters),
        **stops,
    )
    equity, trades = float(simulated.final_value()), simulated.trades.records_arr
    is_open = trades["status"] == vbt.portfolio.enums.TradeStatus.Open

    def rows():
        return zip(
            trades["entry_idx"],
            np.where(is_open, -1, trades["exit_idx"]),
            trades["size"],
            trades["entry_price"],
            np.where(is_open, np.nan, trades["exit_price"]),
            trades["entry_fees"] + np.where(is_open, 0.0, trades["exit_fees"]),
            strict=True,
        )

    return Outcome(equity, int(np.count_nonzero(~is_open)), rows)


if __name__ == "__main__":
    serve(
        f"vectorbt {vbt.__version__}",
        {
            "cross": cross,
            "bracket": cross,
            "momentum": momentum,
            "portfolio": portfolio,
            "sweep": sweep,
        },
    )
