"""Strategies compiled by numba and asked at every bar, at the speed of the loop itself."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import carray, types
from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numpy.typing import ArrayLike

from backtests.engine.config import require_whole
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import (
    IS_OFFSET,
    REDUCES_ONLY,
    REQUEST,
    TRAILS_FRACTION,
    FloatArray,
    IntArray,
    OrderKind,
    RecordArray,
    RequestAction,
    TargetKind,
)
from backtests.engine.errors import SettingsError
from backtests.engine.hooks import as_pointer, frozen
from backtests.engine.memory import run_at
from numerics.compilation import njit

_MARKET = int(OrderKind.MARKET)
_LIMIT = int(OrderKind.LIMIT)
_STOP = int(OrderKind.STOP)
_STOP_LIMIT = int(OrderKind.STOP_LIMIT)
_TRAILING_STOP = int(OrderKind.TRAILING_STOP)
_CANCEL = int(RequestAction.CANCEL)
_CANCEL_ALL = int(RequestAction.CANCEL_ALL)
_NAN = float("nan")
_COLUMNS = ("open", "high", "low", "close", "adjusted", "volume")
_BRACKET_GROUP = 2**30
_REFUSALS = (NumbaError, UnsupportedBytecodeError)

# Slots of the table of addresses and sizes that the loop hands to a strategy.
(
    _N_ASSETS, _OPEN, _HIGH, _LOW, _CLOSE, _ADJUSTED, _VOLUME, _N_VOLUME, _STAMP, _POSITION,
    _RUN, _PARAMS, _N_PARAMS, _REQUESTS, _N_REQUESTS, _COUNT, _TARGETS, _SIZE,
) = range(18)  # fmt: skip


class View(NamedTuple):
    """What a strategy sees at bar t: everything up to its close, and its account.

    Attributes
    ----------
    ts : int64 array, shape (t + 1,)
    open, high, low, close : float64 array, shape (t + 1, n_assets)
        Raw prices; NaN where an instrument did not trade.
    adjusted : float64 array, shape (t + 1, n_assets)
        Closes chained forward through splits and dividends known by t: a split is no crash.
    volume : float64 array, shape (t + 1, n_assets), or (0, n_assets) where the bars have none
    position : float64 array, shape (n_assets,)
        Units.
    cash, equity : float
        Account currency, after the fills of bar t.
    """

    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    adjusted: FloatArray
    volume: FloatArray
    position: FloatArray
    cash: float
    equity: float


class Desk(NamedTuple):
    """Where a compiled strategy writes its orders and targets; use the functions of this module.

    Attributes
    ----------
    requests : structured array of `REQUEST`
    count : int64 array, shape (2,)
        Requests written at this bar; whether targets were.
    targets : float64 array, shape (n_assets,)
        In the strategy's `kind`; NaN = leave alone.
    """

    requests: RecordArray
    count: IntArray
    targets: FloatArray


@njit(cache=True, error_model="numpy")
def request(desk: Desk, instrument: int, quantity: float, kind: int) -> int:
    """Write an order and return its row; -1 when the buffer is full, which ends the run."""
    at = desk.count[0]
    desk.count[0] = at + 1
    if at >= desk.requests.size:
        return -1
    row = desk.requests[at]
    row["quantity"] = quantity
    row["limit_price"] = _NAN
    row["stop_price"] = _NAN
    row["trail"] = _NAN
    row["good_until"] = 0
    row["bar"] = 0
    row["instrument"] = instrument
    row["parent"] = -1
    row["group"] = 0
    row["kind"] = kind
    row["time_in_force"] = 0
    row["flags"] = 0
    row["action"] = 0
    return int(at)


@njit(cache=True, error_model="numpy")
def market(desk: Desk, instrument: int, quantity: float) -> int:
    """Order at the market; units, bought > 0."""
    return request(desk, instrument, quantity, _MARKET)


@njit(cache=True, error_model="numpy")
def limit(desk: Desk, instrument: int, quantity: float, price: float) -> int:
    """Order at a limit price or better."""
    at = request(desk, instrument, quantity, _LIMIT)
    if at >= 0:
        desk.requests[at]["limit_price"] = price
    return at


@njit(cache=True, error_model="numpy")
def stop(desk: Desk, instrument: int, quantity: float, price: float) -> int:
    """Order at the market once a price is reached that is worse than now."""
    at = request(desk, instrument, quantity, _STOP)
    if at >= 0:
        desk.requests[at]["stop_price"] = price
    return at


@njit(cache=True, error_model="numpy")
def stop_limit(
    desk: Desk, instrument: int, quantity: float, stop_price: float, limit_price: float
) -> int:
    """Order at a limit once a stop is reached."""
    at = request(desk, instrument, quantity, _STOP_LIMIT)
    if at >= 0:
        desk.requests[at]["stop_price"] = stop_price
        desk.requests[at]["limit_price"] = limit_price
    return at


@njit(cache=True, error_model="numpy")
def trailing_stop(
    desk: Desk, instrument: int, quantity: float, trail: float, is_fraction: bool
) -> int:
    """Order a stop that follows the best price at a distance."""
    at = request(desk, instrument, quantity, _TRAILING_STOP)
    if at >= 0:
        desk.requests[at]["trail"] = trail
        desk.requests[at]["flags"] = TRAILS_FRACTION if is_fraction else 0
    return at


@njit(cache=True, error_model="numpy")
def bracket(
    desk: Desk, instrument: int, quantity: float, stop_loss: float, take_profit: float
) -> int:
    """Order at the market with a stop and a limit as fractions of the price it fills at."""
    entry = request(desk, instrument, quantity, _MARKET)
    loss = request(desk, instrument, -quantity, _STOP)
    gain = request(desk, instrument, -quantity, _LIMIT)
    if gain < 0:
        return -1
    desk.requests[loss]["stop_price"] = stop_loss
    desk.requests[gain]["limit_price"] = take_profit
    for at in (loss, gain):
        desk.requests[at]["parent"] = entry
        desk.requests[at]["group"] = _BRACKET_GROUP + entry
        desk.requests[at]["flags"] = IS_OFFSET | REDUCES_ONLY
    return entry


@njit(cache=True, error_model="numpy")
def cancel(desk: Desk, order: int) -> None:
    """Withdraw the working order of a row of the order table."""
    at = request(desk, 0, 1.0, _MARKET)
    if at >= 0:
        desk.requests[at]["action"] = _CANCEL
        desk.requests[at]["parent"] = order


@njit(cache=True, error_model="numpy")
def cancel_all(desk: Desk, instrument: int) -> None:
    """Withdraw every working order of an instrument."""
    at = request(desk, instrument, 1.0, _MARKET)
    if at >= 0:
        desk.requests[at]["action"] = _CANCEL_ALL


@njit(cache=True, error_model="numpy")
def target(desk: Desk, instrument: int, value: float) -> None:
    """Ask to hold this much of an instrument, in the strategy's kind of target."""
    desk.targets[instrument] = value
    desk.count[1] = 1


@dataclass(frozen=True, eq=False)
class Compiled:
    """A strategy in the part of Python that numba compiles.

    Parameters
    ----------
    on_bar : function ``(t, view, params, desk) -> None``
        Plain or ``@njit``; asked at the close of every bar. It writes through the functions of
        this module: ``market(desk, 0, 10.0)``, ``target(desk, 0, 1.0)``. Arrays are checked for
        bounds: it cannot look ahead or write outside its buffer.
    params : array, or mapping of names to numbers
        Handed through as a float64 array, shape (n_params,), in the given order; the strategy may
        write into it to remember. The run works on a copy.
    kind : {"weights", "units", "notional"}
        Unit of its targets.
    max_orders : int
        Most requests of one bar.
    """

    on_bar: Callable[..., Any]
    params: FloatArray | Mapping[str, float] | Sequence[float] = ()
    kind: str = field(default="units", kw_only=True)
    max_orders: int = field(default=64, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in ("weights", "units", "notional"):
            raise SettingsError(
                f"Compiled.kind must be weights, units or notional, not {self.kind!r}."
            )
        require_whole("Compiled.max_orders", self.max_orders, least=1, most=1_000_000)
        _require_signature(self.on_bar)
        given: ArrayLike = (
            list(self.params.values()) if isinstance(self.params, Mapping) else self.params
        )
        try:
            params = np.array(given, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError) as error:
            raise SettingsError("Compiled.params must be numbers.") from error
        object.__setattr__(self, "params", params)

    @property
    def kind_code(self) -> int:
        """The kind as the kernel knows it."""
        return int(TargetKind[self.kind.upper()])

    @property
    def source(self) -> str:
        """The text of the function, or its byte code where there is no text."""
        function = getattr(self.on_bar, "py_func", self.on_bar)
        try:
            return inspect.getsource(function)
        except OSError:
            return hashlib.sha256(function.__code__.co_code).hexdigest()

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 over the source, the parameters and the settings."""
        document = {"kind": f"compiled/{self.kind}", "source": self.source}
        return content_digest(document, {"params": self.params})  # type: ignore[dict-item]


def _require_signature(on_bar: Any) -> None:
    """Refuse what cannot be called with (t, view, params, desk), in words numba does not have."""
    function = getattr(on_bar, "py_func", on_bar)
    if not inspect.isfunction(function):
        raise SettingsError(f"Compiled needs a function (t, view, params, desk), not {on_bar!r}.")
    signature = inspect.signature(function)
    try:
        signature.bind(0, None, None, None)
    except TypeError:
        raise SettingsError(
            f"Compiled calls its function with (t, view, params, desk); {function.__name__} takes "
            f"{signature}."
        ) from None


class Hook(NamedTuple):
    """A compiled strategy: the C function that the loop calls, and the function inside it."""

    function: Any
    on_bar: Any

    @property
    def address(self) -> int:
        """Where the loop finds it."""
        return int(self.function.address)


_HOOKS: dict[Any, Hook] = {}


def table_of(arrays: Mapping[str, Any], n_assets: int) -> IntArray:
    """Return the table of addresses that a hook reads; the caller keeps the arrays alive."""
    table = np.zeros(_SIZE, np.int64)
    table[_N_ASSETS] = n_assets
    slots = {
        "open": _OPEN, "high": _HIGH, "low": _LOW, "close": _CLOSE, "adjusted": _ADJUSTED,
        "volume": _VOLUME, "stamp": _STAMP, "position": _POSITION, "run": _RUN,
        "params": _PARAMS, "requests": _REQUESTS, "count": _COUNT, "targets": _TARGETS,
    }  # fmt: skip
    for name, slot in slots.items():
        table[slot] = arrays[name].ctypes.data
    table[_N_VOLUME] = arrays["volume"].size > 0
    table[_N_PARAMS] = arrays["params"].size
    table[_N_REQUESTS] = arrays["requests"].size
    return table


def hook_of(on_bar: Callable[..., Any]) -> Hook:
    """Return a strategy as the loop calls it; compiled once per process.

    Raises
    ------
    SettingsError
        numba cannot compile it; the text says why.

    Notes
    -----
    Bounds are checked inside the strategy; whatever it raises becomes the answer -1, and `ask`
    asks it again to learn what it was. A strategy that makes no arrays is compiled without
    counting references, which would cost more than all the rest of it.
    """
    function = getattr(on_bar, "py_func", on_bar)
    if function not in _HOOKS:
        try:
            _HOOKS[function] = _hook(function, counts_references=False)
        except _REFUSALS:
            _HOOKS[function] = _counting_hook(function)
    return _HOOKS[function]


def _hook(function: Callable[..., Any], *, counts_references: bool) -> Hook:
    checked = njit(boundscheck=True, error_model="numpy", _nrt=counts_references)(function)  # type: ignore[call-overload]
    before = numba.config.BOUNDSCHECK  # type: ignore[attr-defined]  # set at run time
    numba.config.BOUNDSCHECK = 1  # type: ignore[attr-defined]  # helpers that it calls, too
    try:
        return Hook(_compile(checked), checked)
    finally:
        numba.config.BOUNDSCHECK = before  # type: ignore[attr-defined]


def _counting_hook(function: Callable[..., Any]) -> Hook:
    try:
        return _hook(function, counts_references=True)
    except _REFUSALS as error:
        reason = str(error).strip().splitlines()
        raise SettingsError(f"numba cannot compile {function.__name__}: {_gist(reason)}") from error


def _gist(lines: Sequence[str]) -> str:
    """Return what is wrong, in the words of a compiler's report where it has some."""
    if any("setitem" in line for line in lines) and any("readonly" in line for line in lines):
        return "it writes into an array of its view, and those cannot be written to."
    telling = [line.strip() for line in lines if line.strip() and "Failed in" not in line]
    return telling[0] if telling else "no reason given"


def ask(hook: Hook, bar: int, arrays: Mapping[str, Any]) -> None:
    """Ask a strategy about one bar outside of the loop; what it raises comes through."""
    seen: list[Any] = [arrays[name][: bar + 1] for name in ("stamp", *_COLUMNS)]
    view = View(
        *seen, arrays["position"].copy(),  # type: ignore[call-arg]  # as many as it has
        float(arrays["run"]["cash"][0]), float(arrays["run"]["equity"][0]),
    )  # fmt: skip
    desk = Desk(
        arrays["requests"].copy(), np.zeros(2, np.int64), np.full(arrays["targets"].shape, _NAN)
    )
    hook.on_bar(bar, view, arrays["params"].copy(), desk)


def _compile(on_bar: Any) -> Any:
    @numba.cfunc(types.int64(types.int64, types.int64), error_model="numpy")
    def hook(t: int, address: int) -> int:
        table = carray(as_pointer(address), (_SIZE,), dtype=np.int64)
        n = table[_N_ASSETS]
        seen = (t + 1, n)
        run = run_at(table[_RUN], 0)
        view = View(
            frozen(carray(as_pointer(table[_STAMP]), (t + 1,), dtype=np.int64)),
            frozen(carray(as_pointer(table[_OPEN]), seen, dtype=np.float64)),
            frozen(carray(as_pointer(table[_HIGH]), seen, dtype=np.float64)),
            frozen(carray(as_pointer(table[_LOW]), seen, dtype=np.float64)),
            frozen(carray(as_pointer(table[_CLOSE]), seen, dtype=np.float64)),
            frozen(carray(as_pointer(table[_ADJUSTED]), seen, dtype=np.float64)),
            frozen(
                carray(
                    as_pointer(table[_VOLUME]), ((t + 1) * table[_N_VOLUME], n), dtype=np.float64
                )
            ),
            frozen(carray(as_pointer(table[_POSITION]), (n,), dtype=np.float64)),
            run.cash,
            run.equity,
        )
        count = carray(as_pointer(table[_COUNT]), (2,), dtype=np.int64)
        targets = carray(as_pointer(table[_TARGETS]), (n,), dtype=np.float64)
        if count[1] != 0:
            for asset in range(n):
                targets[asset] = _NAN
        count[0] = 0
        count[1] = 0
        requests = carray(as_pointer(table[_REQUESTS]), (table[_N_REQUESTS],), dtype=REQUEST)
        desk = Desk(requests, count, targets)
        params = carray(as_pointer(table[_PARAMS]), (table[_N_PARAMS],), dtype=np.float64)
        try:
            on_bar(t, view, params, desk)
        except Exception:
            return -1
        return count[0] + (count[1] << 32)

    return hook
