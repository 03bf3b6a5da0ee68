"""What one unit at a price of one is worth in the account's currency."""

from backtests.engine.dtypes import (
    Moment,
    Run,
    wide,
)
from backtests.engine.memory import (
    load,
    load_int,
)
from numerics.compilation import kernel_part

_CLOSE = wide(Moment.CLOSE)


@kernel_part
def unit_value(bar: int, asset: int, moment: int, run: Run) -> float:
    """Return the account's currency per unit and price: multiplier times exchange rate.

    Notes
    -----
    Before the close of a bar the rate is the one known at the previous close.
    """
    if run.is_plain:
        return 1.0
    value: float = load(run.multiplier, asset)
    if run.rates != 0:
        row = bar if moment == _CLOSE else max(bar - 1, 0)
        value *= load(run.rates, row * run.n_currencies + load_int(run.currency, asset))
    return value
