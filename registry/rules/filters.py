"""The filter and order language of MLflow's searches: text to clauses.

::

    filter := clause ( AND clause )*          -- no OR, no NOT, no parentheses round clauses
    clause := attribute op value | ("tag" | "tags") "." key op text
    key    := word | `anything` | "anything"
    value  := 'text' | "text" | whole number | ( 'a', 'b', … )
    order  := attribute [ASC | DESC]

Words are read in any case. A quote inside a text is written twice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from registry.rules.errors import RuleError

LONGEST_FILTER, MOST_CLAUSES, MOST_IN_A_LIST = 20_000, 50, 1_000
_LARGEST, _MOST_DIGITS = 2**31 - 1, 12


class Operator(StrEnum):
    """What a clause asks."""

    EQUAL = "="
    UNEQUAL = "!="
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"


_TEXT = frozenset({Operator.EQUAL, Operator.UNEQUAL, Operator.LIKE, Operator.ILIKE})
_LISTED = _TEXT | {Operator.IN, Operator.NOT_IN}
_NUMBER = frozenset(Operator) - _LISTED | {Operator.EQUAL, Operator.UNEQUAL}


@dataclass(frozen=True)
class Grammar:
    """What may be asked of one kind of thing.

    Attributes
    ----------
    attributes : mapping of str to set of Operator
        Those with the operators of numbers are compared with whole numbers, others with text.
    orders : set of str
        Fields that an answer may be ordered by.
    default, ties : sequence of (str, bool)
        The order where none is asked, and what breaks the ties of one that is; True is descending.
    """

    what: str
    attributes: Mapping[str, frozenset[Operator]]
    orders: frozenset[str]
    default: tuple[tuple[str, bool], ...]
    ties: tuple[tuple[str, bool], ...]


_TIMES = frozenset({"name", "creation_timestamp", "last_updated_timestamp"})
MODELS = Grammar(
    "registered models", {"name": _LISTED}, _TIMES, (("name", False),), (("name", False),)
)
VERSIONS = Grammar(
    "model versions",
    {"name": _LISTED, "run_id": _LISTED, "source_path": _TEXT, "version_number": _NUMBER},
    _TIMES | {"version_number"},
    (("last_updated_timestamp", True), ("name", False), ("version_number", True)),
    (("name", False), ("version_number", True)),
)


@dataclass(frozen=True)
class Clause:
    """One condition: of an attribute, or of the tag `field` where `is_tag`."""

    field: str
    operator: Operator
    value: str | int | tuple[str, ...]
    is_tag: bool = False


class Order(NamedTuple):
    """One field that an answer is ordered by."""

    field: str
    is_descending: bool


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<tick>`[^`]+`)
      | (?P<single>'(?:[^']|'')*')
      | (?P<double>"(?:[^"]|"")*")
      | (?P<number>[+-]?\d+(?:\.\d*)?(?![\w.]))
      | (?P<word>[^\W\d][\w-]*)
      | (?P<compare><=|>=|!=|=|<|>)
      | (?P<sign>[.(),])""",
    re.VERBOSE,
)


def parse_filter(text: str, grammar: Grammar) -> tuple[Clause, ...]:
    """Return the clauses of a filter; an empty one has none.

    Raises
    ------
    RuleError
        It is no filter of this grammar; the sentence holds the clause that is not.
    """
    if len(text) > LONGEST_FILTER:
        raise RuleError(f"A filter has at most {LONGEST_FILTER} characters.")
    if not text.strip():
        return ()
    clauses = tuple(
        _Reader(text, tokens).clause(grammar) for tokens in _by_clause(list(_tokens(text)), text)
    )
    if len(clauses) > MOST_CLAUSES:
        raise RuleError(f"A filter has at most {MOST_CLAUSES} clauses.")
    return clauses


def parse_order(entries: Sequence[str], grammar: Grammar) -> tuple[Order, ...]:
    """Return what an answer is ordered by, its ties broken.

    Raises
    ------
    RuleError
        An entry is no field with a direction, or a field is named twice.
    """
    asked = [_order(entry, grammar) for entry in entries]
    named = [order.field for order in asked]
    if twice := {field for field in named if named.count(field) > 1}:
        raise RuleError(f"order_by names {min(twice)} twice.")
    rest = grammar.ties if asked else grammar.default
    return (*asked, *(Order(*order) for order in rest if order[0] not in named))


def _order(entry: str, grammar: Grammar) -> Order:
    words = entry.split()
    direction = words[1].upper() if len(words) == 2 else "ASC"
    if not 1 <= len(words) <= 2 or direction not in ("ASC", "DESC"):
        raise RuleError(f"order_by {entry!r} is not a field and ASC or DESC.")
    field = _plain(words[0])
    if field not in grammar.orders:
        known = ", ".join(sorted(grammar.orders))
        raise RuleError(f"{grammar.what} are not ordered by {entry!r}; they are by: {known}.")
    return Order(field, direction == "DESC")


def _plain(word: str) -> str:
    """Return the name of an attribute, without the word `attribute` and without ticks."""
    head, dot, rest = word.partition(".")
    name = rest if dot and head.lower() in ("attribute", "attributes") else word
    return name.strip('`"')


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or "\x00" in found[0]:
            raise RuleError(f"The filter cannot be read from here: {text[place : place + 60]!r}.")
        place = found.end()
        if found.lastgroup != "space":
            yield _Token(str(found.lastgroup), found[0], found.start(), place)


def _by_clause(tokens: list[_Token], text: str) -> Iterator[list[_Token]]:
    """Part the tokens at each AND."""
    part: list[_Token] = []
    for token in tokens:
        is_and = token.kind == "word" and token.text.upper() == "AND"
        if is_and and part:
            yield part
            part = []
        elif is_and:
            raise RuleError(f"A clause is missing before AND in the filter {text!r}.")
        else:
            part.append(token)
    if not part:
        raise RuleError(f"A clause is missing after the last AND in the filter {text!r}.")
    yield part


class _Reader:
    """Read one clause from its tokens."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.words = text[tokens[0].start : tokens[-1].end]
        self.tokens = tokens
        self.place = 0

    def clause(self, grammar: Grammar) -> Clause:
        field, is_tag = self._field()
        allowed = _TEXT if is_tag else grammar.attributes.get(field)
        if allowed is None:
            known = ", ".join([*grammar.attributes, "tags.<key>"])
            raise self._refusal(f"{grammar.what} have no attribute {field!r}, only: {known}")
        operator = self._operator()
        if operator not in allowed:
            raise self._refusal(f"{field} takes these operators: {', '.join(sorted(allowed))}")
        value = self._value(operator, is_number=allowed is _NUMBER)
        if self.place < len(self.tokens):
            raise self._refusal(
                f"{self.tokens[self.place].text!r} is left over; clauses are joined by AND alone"
            )
        return Clause(field, operator, value, is_tag)

    def _field(self) -> tuple[str, bool]:
        head = self._next("word", "tick", "double")
        if not self._has("."):
            return _unquoted(head), False
        self.place += 1
        kind = head.text.lower()
        if kind not in ("tag", "tags", "attribute", "attributes"):
            raise self._refusal(f"{head.text!r} is neither tags nor attribute")
        parts = [_unquoted(self._next("word", "tick", "double", "number"))]
        while self._has("."):  # a dotted key without ticks
            self.place += 1
            parts.append(_unquoted(self._next("word", "number")))
        return ".".join(parts), kind.startswith("tag")

    def _operator(self) -> Operator:
        token = self._next("compare", "word")
        word = token.text.upper()
        if word == "NOT":
            word = f"NOT {self._next('word').text.upper()}"
        if word not in set(Operator):
            raise self._refusal(f"{word!r} is no operator")
        return Operator(word)

    def _value(self, operator: Operator, *, is_number: bool) -> str | int | tuple[str, ...]:
        if operator in (Operator.IN, Operator.NOT_IN):
            return self._list()
        if not is_number:
            return _unquoted(self._next("single", "double"))
        text = self._next("number").text
        if "." in text or len(text) > _MOST_DIGITS or abs(int(text)) > _LARGEST:
            raise self._refusal(f"{text} is no whole number that a version may have")
        return int(text)

    def _list(self) -> tuple[str, ...]:
        self._sign("(")
        values = [_unquoted(self._next("single", "double"))]
        while self._has(","):
            self.place += 1
            values.append(_unquoted(self._next("single", "double")))
        self._sign(")")
        if len(values) > MOST_IN_A_LIST:
            raise self._refusal(f"a list has at most {MOST_IN_A_LIST} values")
        return tuple(values)

    def _has(self, sign: str) -> bool:
        return self.place < len(self.tokens) and self.tokens[self.place].text == sign

    def _sign(self, sign: str) -> None:
        if not self._has(sign):
            raise self._refusal(f"{sign!r} is missing")
        self.place += 1

    def _next(self, *kinds: str) -> _Token:
        if self.place >= len(self.tokens):
            raise self._refusal("it ends too early")
        token = self.tokens[self.place]
        if token.kind not in kinds:
            wanted = " or ".join(_NAMES[kind] for kind in kinds)
            raise self._refusal(f"{token.text!r} stands where {wanted} is asked")
        self.place += 1
        return token

    def _refusal(self, why: str) -> RuleError:
        return RuleError(f"The filter clause {self.words!r} cannot be answered: {why}.")


_NAMES = {
    "word": "a word", "tick": "a `name`", "double": 'a "text"', "single": "a 'text'",
    "number": "a number", "compare": "an operator",
}  # fmt: skip


def _unquoted(token: _Token) -> str:
    if token.kind == "tick":
        return token.text[1:-1]
    if token.kind in ("single", "double"):
        quote = token.text[0]
        return token.text[1:-1].replace(2 * quote, quote)
    return token.text
