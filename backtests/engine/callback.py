"""Strategies in plain Python, asked at every bar: models, anything at all."""

import ctypes
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from backtests.engine.config import require_whole
from backtests.engine.decisions import Cancel, Order, encode
from backtests.engine.digests import content_digest
from backtests.engine.dtypes import FloatArray, IntArray, TargetKind
from backtests.engine.errors import OrderError, SettingsError

_C_HOOK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_TARGETS_TOO = 1 << 32


class BarView:
    """What a strategy sees at a bar: everything up to its close, and its account; read-only.

    One object serves all bars; its arrays are views that end at the bar, made when asked for.

    Attributes
    ----------
    bar : int
        Row of the bar that just closed.
    symbols : tuple of str
    """

    __slots__ = ("_arrays", "_position", "_run", "bar", "symbols")

    def __init__(self, arrays: Mapping[str, Any], symbols: tuple[str, ...]) -> None:
        self.bar = -1
        self.symbols = symbols
        self._arrays = arrays
        self._run = arrays["run"]
        self._position = arrays["position"].view()
        self._position.flags.writeable = False

    def _seen(self, name: str) -> Any:
        seen = self._arrays[name][: self.bar + 1]
        seen.flags.writeable = False
        return seen

    @property
    def ts(self) -> IntArray:
        """Stamps up to now [ns UTC], shape (bar + 1,)."""
        return self._seen("stamp")  # type: ignore[no-any-return]

    @property
    def open(self) -> FloatArray:
        """Raw opens up to now, shape (bar + 1, n_assets)."""
        return self._seen("open")  # type: ignore[no-any-return]

    @property
    def high(self) -> FloatArray:
        """Raw highs up to now."""
        return self._seen("high")  # type: ignore[no-any-return]

    @property
    def low(self) -> FloatArray:
        """Raw lows up to now."""
        return self._seen("low")  # type: ignore[no-any-return]

    @property
    def close(self) -> FloatArray:
        """Raw closes up to now."""
        return self._seen("close")  # type: ignore[no-any-return]

    @property
    def adjusted(self) -> FloatArray:
        """Closes chained forward through splits and dividends known by now."""
        return self._seen("adjusted")  # type: ignore[no-any-return]

    @property
    def volume(self) -> FloatArray:
        """Volumes up to now; no rows where the bars have none."""
        return self._seen("volume")  # type: ignore[no-any-return]

    @property
    def position(self) -> FloatArray:
        """Units held, shape (n_assets,)."""
        return self._position  # type: ignore[no-any-return]

    @property
    def cash(self) -> float:
        """Cash after the fills of this bar [account currency]."""
        return float(self._run["cash"][0])

    @property
    def equity(self) -> float:
        """Equity at this close [account currency]."""
        return float(self._run["equity"][0])

    @property
    def working_orders(self) -> IntArray:
        """Rows of the orders that work, as `Cancel` names them."""
        rows: IntArray = self._arrays["working"]().copy()
        return rows


Answer = Iterable[Order | Cancel] | Order | Cancel | FloatArray | None


@dataclass(frozen=True, eq=False)
class Callback:
    """A strategy that is a Python object, or a function.

    Parameters
    ----------
    strategy : object with ``on_bar(view)``, or function ``(view)``
        Asked at the close of every bar. It returns nothing, an `Order` or `Cancel` or several, or
        an array of targets, shape (n_assets,), NaN = leave alone. With ``on_start(symbols)``, that
        is called before the first bar; a strategy that remembers something should set itself back
        there.
    kind : {"weights", "units", "notional"}
        Unit of its targets.
    max_orders : int
        Most orders of one bar, exits of brackets included.
    digest : str, optional
        Name of the strategy and its state, where the text of its class does not tell.
    """

    strategy: Any
    kind: str = field(default="weights", kw_only=True)
    max_orders: int = field(default=1_000, kw_only=True)
    digest: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in ("weights", "units", "notional"):
            raise SettingsError(
                f"Callback.kind must be weights, units or notional, not {self.kind!r}."
            )
        require_whole("Callback.max_orders", self.max_orders, least=1, most=1_000_000)
        if inspect.isclass(self.strategy):
            name = self.strategy.__name__
            raise SettingsError(f"Callback needs a strategy, not its class: Callback({name}()).")
        if not callable(self.on_bar):
            raise SettingsError("Callback needs a function, or an object with on_bar(view).")

    @property
    def on_bar(self) -> Callable[[BarView], Answer]:
        """The function that is asked."""
        found: Any = getattr(self.strategy, "on_bar", self.strategy)
        return found  # type: ignore[no-any-return]

    @property
    def kind_code(self) -> int:
        """The kind as the kernel knows it."""
        return int(TargetKind[self.kind.upper()])

    @cached_property
    def content_digest(self) -> str:
        """The digest handed in, or the SHA-256 over the text of the class or function."""
        if self.digest is not None:
            return self.digest
        is_function = inspect.isroutine(self.strategy)
        subject = self.strategy if is_function else type(self.strategy)
        try:
            text = inspect.getsource(subject)
        except (OSError, TypeError):
            text = f"{subject.__module__}.{subject.__qualname__}"
        return content_digest({"kind": f"callback/{self.kind}", "source": text}, {})


class Thunk:
    """The C function that asks a Python strategy, and what went wrong when it did.

    Attributes
    ----------
    address : int
        Of the function.
    error : Exception or None
        What the strategy raised, or why its answer was refused.
    """

    def __init__(
        self, callback: Callback, arrays: Mapping[str, Any], symbols: tuple[str, ...]
    ) -> None:
        self.error: BaseException | None = None
        self._ask = callback.on_bar
        self._view = BarView(arrays, symbols)
        self._columns = {symbol: column for column, symbol in enumerate(symbols)}
        self._targets = arrays["targets"]
        self._requests = arrays["requests"]
        self._function = _C_HOOK(self._on_bar)
        self.address = int(ctypes.cast(self._function, ctypes.c_void_p).value or 0)

    def _on_bar(self, bar: int, _table: int) -> int:
        view = self._view
        view.bar = bar
        try:
            answer = self._ask(view)
            return 0 if answer is None else self._take(answer)
        except BaseException as error:
            self.error = error
            return -1

    def _take(self, answer: Any) -> int:
        """Write an answer into the buffers and return what the loop reads of it."""
        if isinstance(answer, np.ndarray):
            if answer.shape != self._targets.shape or answer.dtype.kind not in "fiu":
                raise OrderError(
                    f"it returned an array of {answer.dtype} with shape {answer.shape}; targets "
                    f"need one number for each of {self._targets.size} instruments"
                )
            self._targets[:] = answer
            return _TARGETS_TOO
        if isinstance(answer, Order | Cancel):
            answer = (answer,)
        try:
            orders = tuple(answer)
        except TypeError:
            raise OrderError(
                f"it returned {answer!r}; expected orders, an array of targets, or None"
            ) from None
        if orders and not any(isinstance(order, Order | Cancel) for order in orders):
            raise OrderError(
                f"Item 0 is {orders[0]!r}, not an Order; targets are a numpy array with one number "
                "for each instrument"
            )
        requests = encode(orders, self._columns)
        if requests.size > self._requests.size:
            return int(requests.size)  # the loop says that these are too many
        self._requests[: requests.size] = requests
        return int(requests.size)
