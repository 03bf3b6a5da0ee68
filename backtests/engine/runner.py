"""`simulate()`: the one door to the event loop."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtests.engine.callback import Callback, Thunk
from backtests.engine.caveats import caveats_of
from backtests.engine.columns import NO_COLUMN
from backtests.engine.compiled import Compiled, ask, hook_of, table_of
from backtests.engine.config import Account, Costs, Fills, Setup
from backtests.engine.decisions import FAULT_SENTENCES, Bracket, Orders, Targets
from backtests.engine.dtypes import (
    ACTION,
    BATCH,
    FILL,
    ORDER,
    REQUEST,
    Fault,
    OrderReason,
    OrderStatus,
)
from backtests.engine.errors import OrderError, SettingsError, StrategyError, iso_stamp
from backtests.engine.history import adjusted_closes
from backtests.engine.inputs import Bars
from backtests.engine.kernel import advance
from backtests.engine.preparation import is_alone, prepare
from backtests.engine.record import Prepared
from backtests.engine.result import Result

Progress = Callable[[int, int], None]
Decided = Targets | Orders | Compiled | Callback

# About three milliseconds of work: a cancel is prompt and the call costs well under a percent.
SLICE_INSTRUMENT_BARS = 500_000

# Rows of each table at the start; they double whenever a bar might not fit.
FIRST_ROWS = 50_000


class Question(NamedTuple):
    """A strategy that is asked at every bar, wired to the loop; keeps its buffers alive."""

    address: int
    table: int
    thunk: Thunk | None
    again: Callable[[int], object]
    alive: tuple[Any, ...]


def simulate(
    bars: Bars,
    decisions: Decided,
    *,
    fills: Fills = Fills(),  # noqa: B008  (frozen)
    costs: Costs = Costs(),  # noqa: B008  (frozen)
    account: Account = Account(),  # noqa: B008  (frozen)
    intrabar: Bars | None = None,
    on_progress: Progress | None = None,
) -> Result:
    """Trade `decisions` on `bars` and return all that happened.

    Parameters
    ----------
    bars : Bars
        Raw prices, with splits and dividends apart.
    decisions : Targets, Orders, Compiled or Callback
        What to hold or to order, known beforehand or asked for at the close of every bar. Equal
        decisions give equal results, whichever way they come.
    fills, costs, account
        Frozen settings.
    intrabar : Bars, optional
        Finer bars of the same instruments, which say in what order things happened inside each
        bar; one belongs to the first bar that ends no earlier than itself.
    on_progress : callable, optional
        Called with ``(bars_done, n_bars)`` after every slice of about half a million
        instrument-bars and at the end. An exception it raises ends the run and comes through
        unchanged: this is how a job is cancelled. The result does not depend on it.

    Returns
    -------
    Result
        Equal bytes for equal inputs on equal library versions and processor.

    Raises
    ------
    ShapeError
        The decisions or the finer bars do not fit the bars.
    SettingsError
        A setting needs a column that the bars do not have, or an exchange rate is missing.
    OrderError, StrategyError
        An order means nothing; a strategy raised, or answered what nobody can carry out.
    """
    _require_kinds(bars, decisions)
    if isinstance(decisions, Targets | Orders):
        decisions.require_fit(bars)
    loop = _Loop(bars, prepare(bars, fills, costs, account, intrabar), decisions)
    loop.run(on_progress)
    _close_waiting(loop)
    return _result(loop, Setup(fills, costs, account), intrabar)


def _require_kinds(bars: object, decisions: object) -> None:
    if not isinstance(bars, Bars):
        raise SettingsError(f"simulate() needs Bars, not {type(bars).__name__}.")
    if not isinstance(decisions, Decided):
        raise SettingsError(
            "simulate() needs Targets, Orders, Compiled or Callback for its decisions, not "
            f"{type(decisions).__name__}."
        )


class Tables:
    """The growing tables of a run, with room for what the next bar may bring."""

    def __init__(self, prepared: Prepared, n_requests: int, *, least_rows: int = 0) -> None:
        self._prepared = prepared
        n_bars, n_assets = prepared.number("n_bars"), prepared.number("n_assets")
        self._most = 24 * n_assets + 4 * n_requests  # rows that one bar may bring, and more
        rows = max(least_rows, min(FIRST_ROWS, n_bars * n_assets)) + 2 * self._most
        self._set("fills", np.empty(rows, FILL))  # untouched rows cost no memory: begin large
        self._set("orders", np.empty(rows, ORDER))
        self._set("actions", np.empty(2 * self._most, ACTION))
        self._set_working(2 * self._most)

    def _set(self, name: str, table: NDArray[Any]) -> None:
        self._prepared.point(name, table)
        self._prepared.set(**{f"max_{name}": table.size})

    def _set_working(self, slots: int) -> None:
        self._set("working", np.empty(slots, np.int64))
        self._prepared.point("batch", np.empty(slots, BATCH))

    def used(self, name: str) -> NDArray[Any]:
        """Return the rows of a table that are in use."""
        return self._prepared.arrays[name][: self._prepared.number(f"n_{name}")]

    def enlarge(self) -> None:
        """Double the tables that may be too small for the next bar; nothing is dropped."""
        n_working = self._prepared.number("n_working")
        for name in ("fills", "orders", "actions"):
            rows = self.used(name)
            if rows.size + 2 * n_working + self._most > self._prepared.arrays[name].size:
                larger = np.empty(2 * (rows.size + n_working) + 2 * self._most, rows.dtype)
                larger[: rows.size] = rows
                self._set(name, larger)
        if n_working + self._most > self._prepared.arrays["working"].size:
            working = self.used("working").copy()
            self._set_working(2 * (n_working + self._most))
            self._prepared.arrays["working"][: working.size] = working


class _Loop:
    """One run of the loop: its arrays, and what to do when it comes back early."""

    def __init__(self, bars: Bars, prepared: Prepared, decisions: Decided) -> None:
        self.bars, self.prepared, self.decided = bars, prepared, decisions
        self.n_requests = _n_requests(decisions)
        self.tables = Tables(prepared, self.n_requests)
        _point_decisions(prepared, decisions, self.n_requests)
        self.question = self._question()

    def _question(self) -> Question | None:
        """Wire a strategy to the loop."""
        if isinstance(self.decided, Targets | Orders):
            return None
        arrays = self._seen_by_strategy()
        symbols = tuple(self.bars.symbols)
        if isinstance(self.decided, Callback):
            if hasattr(self.decided.strategy, "on_start"):
                self.decided.strategy.on_start(symbols)
            thunk = Thunk(self.decided, arrays, symbols)
            question = Question(thunk.address, 0, thunk, lambda _bar: None, (arrays, thunk))
        else:
            hook = hook_of(self.decided.on_bar)
            table = table_of(arrays, self.bars.n_assets)
            question = Question(
                hook.address, table.ctypes.data, None, lambda bar: ask(hook, bar, arrays),
                (arrays, table, hook),
            )  # fmt: skip
        self.prepared.set(hook=question.address, hook_table=question.table)
        return question

    def _seen_by_strategy(self) -> dict[str, Any]:
        """Return the arrays of a view and of a desk."""
        arrays = self.prepared.arrays
        params: Any = NO_COLUMN
        if isinstance(self.decided, Compiled):
            params = np.array(self.decided.params)
        none = np.empty((0, self.bars.n_assets))
        return {
            **{name: arrays[name] for name in ("open", "high", "low", "close", "stamp")},
            "volume": arrays.get("volume", none), "adjusted": adjusted_closes(self.bars),
            "position": arrays["position"], "run": self.prepared.run, "params": params,
            "requests": arrays["requests"], "targets": arrays["values"][0],
            "count": np.zeros(2, np.int64), "working": lambda: self.tables.used("working"),
        }  # fmt: skip

    def run(self, on_progress: Progress | None) -> None:
        """Run all bars, in slices when somebody watches, enlarging the tables as they fill."""
        n_bars, n_assets = self.bars.n_bars, self.bars.n_assets
        step = n_bars if on_progress is None else max(1, SLICE_INSTRUMENT_BARS // n_assets)
        done = 0
        while done < n_bars:
            stop = min(n_bars, done + step)
            while done < stop:
                done = advance(done, stop, self.prepared.address)
                if self.prepared.number("fault") != 0:
                    self._raise(done)
                if done < stop:
                    self.tables.enlarge()
            if on_progress is not None:
                on_progress(done, n_bars)

    def _raise(self, bar: int) -> None:
        """Say what was asked for that means nothing, or what the strategy raised."""
        fault, at = Fault(self.prepared.number("fault")), self.prepared.number("fault_at")
        stamp = int(self.bars.ts[bar])
        if fault == Fault.RAISED:
            self._raise_from_strategy(bar, stamp)
        what = self._description(fault, at)
        if self.question is not None:
            raise StrategyError(what, bar=bar, ts=stamp)
        raise OrderError(f"Bar {bar} ({iso_stamp(stamp)}): {what}")

    def _description(self, fault: Fault, at: int) -> str:
        if fault == Fault.TOO_MANY:
            return f"the strategy asked for {at} orders; max_orders allows {self.n_requests}."
        if fault == Fault.TARGET:
            return f"the target of {self.bars.symbols[at]} is infinite."
        return f"order {at} for {self._instrument(at)} {FAULT_SENTENCES[fault]}."

    def _raise_from_strategy(self, bar: int, stamp: int) -> None:
        assert self.question is not None  # noqa: S101  (for the type checker)
        thunk = self.question.thunk
        raised = thunk.error if thunk is not None else self._ask_again(bar)
        if raised is not None and not isinstance(raised, Exception):
            raise raised  # an interrupt
        if isinstance(raised, OrderError):
            raise StrategyError(f"{raised}", bar=bar, ts=stamp) from raised
        what = ", and not when asked again: what depends on what it wrote into its params?"
        if raised is not None:
            what = f" {type(raised).__name__}: {raised}"
        raise StrategyError(f"the strategy raised{what}", bar=bar, ts=stamp) from raised

    def _ask_again(self, bar: int) -> BaseException | None:
        assert self.question is not None  # noqa: S101  (for the type checker)
        try:
            self.question.again(bar)
        except Exception as error:
            return error
        return None

    def _instrument(self, at: int) -> str:
        column = int(self.prepared.arrays["requests"][at]["instrument"])
        is_known = 0 <= column < self.bars.n_assets
        return self.bars.symbols[column] if is_known else f"instrument {column}"


def _n_requests(decisions: Decided) -> int:
    if isinstance(decisions, Targets):
        return 0
    return int(decisions.requests.size if isinstance(decisions, Orders) else decisions.max_orders)


def _point_decisions(prepared: Prepared, decisions: Decided, n_requests: int) -> None:
    """Let the record point to what is decided, or to where a strategy will write it."""
    if isinstance(decisions, Orders):
        prepared.point("requests", decisions.requests)
    elif n_requests:
        prepared.point("requests", np.zeros(n_requests, REQUEST))
    prepared.point("request_row", np.full(n_requests, -1, np.int64))
    prepared.set(n_requests=n_requests)
    if isinstance(decisions, Targets):
        point_targets(prepared, decisions)
    elif not isinstance(decisions, Orders):
        prepared.point("values", np.full((1, prepared.number("n_assets")), np.nan))
        prepared.set(target_kind=decisions.kind_code)


def point_targets(prepared: Prepared, targets: Targets) -> None:
    """Let the record point to rows of targets."""
    prepared.point("values", targets.values)
    prepared.point("decision_bar", targets.bars)
    prepared.point("decision_row", targets.rows)
    exits = targets.bracket or Bracket()
    prepared.set(
        n_decisions=targets.rows.size,
        target_kind=targets.kind_code,
        band=targets.band,
        sized_at_fill=targets.sized_at == "fill",
        stop_loss=np.nan if exits.stop_loss is None else exits.stop_loss,
        take_profit=np.nan if exits.take_profit is None else exits.take_profit,
    )
    is_dense = targets.rows.size > prepared.number("n_bars") // 4
    prepared.set(
        is_alone=is_alone(prepared), may_repeat=is_dense or targets.bracket is not None
    )  # fmt: skip


def _close_waiting(loop: _Loop) -> None:
    """Say on every order still working why it did not fill."""
    orders, listed = loop.tables.used("orders"), loop.tables.used("working")
    works = listed[orders["status"][listed] == int(OrderStatus.WORKING)]
    orders["reason"][works] = int(OrderReason.END_OF_BARS)


def _result(loop: _Loop, setup: Setup, intrabar: Bars | None) -> Result:
    bars, decided = loop.bars, loop.decided
    fills, costs, account = setup

    def rerun(policy: Any) -> Result:
        return simulate(
            bars, decided, fills=replace(fills, intrabar=policy), costs=costs, account=account,
            intrabar=intrabar,
        )  # fmt: skip

    return Result(
        bars=bars,
        decisions_digest=lambda: decided.content_digest,
        setup=setup,
        equity=loop.prepared.arrays["equity_curve"],
        fills=loop.tables.used("fills"),
        orders=loop.tables.used("orders"),
        actions=loop.tables.used("actions"),
        prepared=loop.prepared,
        rerun=rerun,
        find_caveats=caveats_of,
        intrabar=intrabar,
    )
