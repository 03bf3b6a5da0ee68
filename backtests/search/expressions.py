"""A little language for objectives and constraints: ``sharpe - 0.5 * turnover``.

Numbers, names with dots, ``+ - * / **``, comparisons (also chained), ``and or not`` and
``min max abs sqrt log``. The text is parsed by Python's grammar and nothing of it is executed:
a walker goes over the few kinds of nodes allowed here, and all arithmetic is that of floats, so
no expression takes long or much memory.
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from backtests.search import hints
from backtests.search.errors import ExpressionError

LONGEST = 1000
_DEEPEST = 40

_TOKEN = re.compile(
    r"(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*(?:\.\w+)*)(?P<call>\s*\()?"
)
_WORDS = {"and", "or", "not"}
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    "min": (min, 2, 32),
    "max": (max, 2, 32),
    "abs": (abs, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "log": (math.log, 1, 1),
}
# A strict comparison of equal numbers is broken, if by nothing that can be measured.
_LEAST = 1e-12


@dataclass(frozen=True)
class Evaluated:
    """A number, or why there is none."""

    value: float | None
    reason: str = ""


class _NotComputed(Exception):
    """A name without a value, or arithmetic without a result."""


@dataclass(frozen=True)
class Expression:
    """A parsed text.

    Attributes
    ----------
    text : str
        As it was written.
    symbols : dict of str to str
        The name that each symbol of the tree stands for.
    is_condition : bool
        Whether it says yes or no rather than a number.
    """

    text: str
    symbols: dict[str, str]
    is_condition: bool
    root: ast.expr

    @property
    def names(self) -> frozenset[str]:
        """All names in it."""
        return frozenset(self.symbols.values())

    def resolved(self, resolve: Callable[[str], str]) -> "Expression":
        """Return the same with every name replaced by what it is short for."""
        symbols = {symbol: resolve(name) for symbol, name in self.symbols.items()}
        return Expression(self.text, symbols, self.is_condition, self.root)

    def evaluate(
        self, values: Mapping[str, Any], reasons: Mapping[str, str] | None = None
    ) -> Evaluated:
        """Return its number; a condition's is 1 or 0.

        Parameters
        ----------
        values : mapping of str to number or None
            None, NaN and infinite ones count as not computed, and so do absent ones.
        reasons : mapping of str to str, optional
            Why a name has no value.
        """
        return self._attempt(_number, values, reasons or {})

    def violation(
        self, values: Mapping[str, Any], reasons: Mapping[str, str] | None = None
    ) -> Evaluated:
        """Return by how much a condition is broken: 0 where it holds, in its own units.

        A comparison is broken by the distance of its sides, ``and`` by the sum, ``or`` by the
        least of its parts, so that a search can tell near misses from far ones.
        """
        return self._attempt(_violation, values, reasons or {})

    def _attempt(
        self,
        rule: Callable[[ast.expr, Callable[[str], float]], float],
        values: Mapping[str, Any],
        reasons: Mapping[str, str],
    ) -> Evaluated:
        def look_up(symbol: str) -> float:
            name = self.symbols[symbol]
            value = values.get(name)
            if not isinstance(value, Real) or not math.isfinite(value):
                because = reasons.get(name) or "not computed"
                raise _NotComputed(f"{name}: {because.removesuffix('.')}")
            return float(value)

        try:
            value = rule(self.root, look_up)
        except _NotComputed as missing:
            return Evaluated(None, f"{missing}.")
        except ZeroDivisionError:
            return Evaluated(None, f"{self.text} divides by zero.")
        except (OverflowError, ValueError):
            return Evaluated(None, f"{self.text} is not a finite real number.")
        if not math.isfinite(value):
            return Evaluated(None, f"{self.text} is not a finite real number.")
        return Evaluated(value)


def parse(text: str, names: Collection[str] | None = None) -> Expression:
    """Return an expression.

    Parameters
    ----------
    text : str
        At most 1,000 characters.
    names : collection of str, optional
        The names that may appear; any, if left out.

    Raises
    ------
    ExpressionError
        It is not of this language, or a name is unknown; the nearest known one is named.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"An expression has at most {LONGEST} characters.")
    symbols: dict[str, str] = {}
    spelled = _TOKEN.sub(lambda token: _symbol(token, symbols), text.replace("\n", " ").strip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            root = ast.parse(spelled, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{text!r} is not an expression.") from None
    is_condition = _check(root, text, symbols, 0)
    for name in symbols.values():
        if names is not None and name not in names:
            raise ExpressionError(
                f"{text!r} names {name!r}, which nobody knows{hints.nearest(name, names)}"
            )
    return Expression(text, symbols, is_condition, root)


def _symbol(token: re.Match[str], symbols: dict[str, str]) -> str:
    """Put a name without dots in the place of one with them; Python's grammar has no 'a.0'."""
    name = token["name"]
    if name is None or name in _WORDS or token["call"]:
        return token[0]
    known = {written: symbol for symbol, written in symbols.items()}
    symbol = known.get(name, f"n{len(symbols)}")
    symbols[symbol] = name
    return symbol


def _check(node: ast.expr, text: str, symbols: dict[str, str], depth: int) -> bool:
    """Refuse all but the few kinds of nodes; return whether this one says yes or no."""
    if depth > _DEEPEST:
        raise ExpressionError(f"{text!r} is nested too deeply.")
    parts, wants_condition, is_condition = _anatomy(node, text, symbols)
    for part in parts:
        if _check(part, text, symbols, depth + 1) is not wants_condition:
            kind = "a comparison" if wants_condition else "a number"
            raise ExpressionError(f"{text!r} needs {kind} where it has the other.")
    return is_condition


def _anatomy(
    node: ast.expr, text: str, symbols: dict[str, str]
) -> tuple[list[ast.expr], bool, bool]:
    """Return a node's parts, whether they must be conditions, and whether it is one."""
    parts: list[ast.expr] = []
    wants_condition = is_condition = False
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            _check_number(value, text)
        case ast.Name(id=symbol) if symbol in symbols:
            pass
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            parts = [inner]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            parts, wants_condition, is_condition = [inner], True, True
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.BoolOp(values=values):
            parts, wants_condition, is_condition = values, True, True
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            parts, is_condition = [left, *others], True
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]):
            _check_call(name, len(parts), text)
        case _:
            raise ExpressionError(
                f"{text!r} has more than numbers, names, + - * / **, comparisons, and, or, not "
                f"and {', '.join(_FUNCTIONS)}."
            )
    return parts, wants_condition, is_condition


def _check_call(name: str, n_arguments: int, text: str) -> None:
    if name not in _FUNCTIONS:
        raise ExpressionError(f"{text!r} calls {name!r}{hints.nearest(name, _FUNCTIONS)}")
    _, fewest, most = _FUNCTIONS[name]
    if not fewest <= n_arguments <= most:
        many = f"{fewest} to {most} arguments" if most > fewest else f"{fewest} argument"
        raise ExpressionError(f"{text!r} gives {name} {n_arguments}; it takes {many}.")


def _check_number(value: float, text: str) -> None:
    try:
        is_finite = math.isfinite(float(value))
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise ExpressionError(f"{text!r} has a number that is too large.")


def _number(node: ast.expr, look_up: Callable[[str], float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as constant):
            value = float(constant)
        case ast.Name(id=symbol):
            value = look_up(symbol)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            value = -_number(inner, look_up)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            value = _number(inner, look_up)
        case ast.BinOp(left=left, op=op, right=right):
            value = _ARITHMETIC[type(op)](_number(left, look_up), _number(right, look_up))
        case ast.Call(func=ast.Name(id=name), args=parts):
            value = float(_FUNCTIONS[name][0](*(_number(part, look_up) for part in parts)))
        case _:
            value = float(_holds(node, look_up))
    return value


def _holds(node: ast.expr, look_up: Callable[[str], float]) -> bool:
    match node:
        case ast.UnaryOp(operand=inner):
            return not _holds(inner, look_up)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_holds(part, look_up) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_holds(part, look_up) for part in parts)
    return all(rule(left, right) for rule, left, right in _comparisons(node, look_up))


def _violation(node: ast.expr, look_up: Callable[[str], float]) -> float:
    match node:
        case ast.UnaryOp(operand=inner):
            return float(_holds(inner, look_up))
        case ast.BoolOp(op=ast.And(), values=parts):
            return sum(_violation(part, look_up) for part in parts)
        case ast.BoolOp(values=parts):
            return min(_violation(part, look_up) for part in parts)
    return sum(
        0.0 if rule(left, right) else max(abs(left - right), _LEAST)
        for rule, left, right in _comparisons(node, look_up)
    )


def _comparisons(
    node: ast.expr, look_up: Callable[[str], float]
) -> list[tuple[Callable[[float, float], bool], float, float]]:
    assert isinstance(node, ast.Compare)  # noqa: S101 - `_check` let nothing else through
    sides = [_number(side, look_up) for side in (node.left, *node.comparators)]
    return [
        (_COMPARISONS[type(op)], left, right)
        for op, left, right in zip(node.ops, sides, sides[1:], strict=False)
    ]
