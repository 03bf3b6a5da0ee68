"""Filters of registered models and their versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db.models import F, Func, Lookup, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
)

from registry.lifecycle import Stage, VersionStatus
from registry.rules.filters import Clause, Operator, Order

if TYPE_CHECKING:
    from registry.models import ModelVersion, RegisteredModel  # noqa: F401 - the row types below

_Row = TypeVar("_Row", bound=Model)
LOADABLE = (VersionStatus.READY,)
MOST_NAMED = 1000  # models whose versions a search takes in
_DICTIONARY = "simple"  # names are no language: nothing is stemmed, nothing left out


def _words(*columns: str) -> Func:
    """Return columns and tags as words, which the database keeps beside each row.

    The migration writes the arguments in this order.
    """
    tags = Func(
        F("tags"),
        output_field=SearchVectorField(),
        template="""jsonb_to_tsvector('simple', %(expressions)s, '"all"')""",
    )
    return Func(
        SearchVector(*columns, config=_DICTIONARY),
        tags,
        arg_joiner=" || ",
        output_field=SearchVectorField(),
        template="(%(expressions)s)",
    )


WORDS_OF_MODEL = _words("name", "description", "purpose", "desk")
WORDS_OF_VERSION = _words("description", "source", "run_id", "code_revision")


def _query(text: str) -> SearchQuery:
    """Return the query for rows that have every word of a text, or one that begins so."""
    words = [word.replace("\\", "\\\\").replace("'", "''") for word in text.split()]
    return SearchQuery(
        " & ".join(f"'{word}':*" for word in words), search_type="raw", config=_DICTIONARY
    )


# MLflow's clients ask of every search that this be not 'true', and models do not have it.
IS_PROMPT = "mlflow.prompt.is_prompt"


class _Like(Lookup):
    """`%` and `_` are wild and no sign escapes them, as MLflow has it."""

    lookup_name = "like"
    operator = "LIKE"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        return f"{left} {self.operator} {right} ESCAPE ''", (*left_values, *right_values)


class _ILike(_Like):
    lookup_name = "ilike"
    operator = "ILIKE"


_LOOKUPS: Mapping[Operator, type[Lookup]] = {
    Operator.EQUAL: Exact, Operator.UNEQUAL: Exact,
    Operator.GREATER: GreaterThan, Operator.AT_LEAST: GreaterThanOrEqual,
    Operator.LESS: LessThan, Operator.AT_MOST: LessThanOrEqual,
    Operator.LIKE: _Like, Operator.ILIKE: _ILike, Operator.IN: In, Operator.NOT_IN: In,
}  # fmt: skip
_NEGATED = (Operator.UNEQUAL, Operator.NOT_IN)


class SearchedQuerySet(QuerySet[_Row]):
    """Rows that clauses choose, in an order that goes on from any row.

    `columns` says what the fields of the filter language are here, `own_tags` which tags stand for
    a column.
    """

    columns: ClassVar[Mapping[str, str]] = {}
    own_tags: ClassVar[Mapping[str, str]] = {}

    def satisfying(self, clauses: Sequence[Clause]) -> Self:
        """Those that every clause holds for."""
        return self.filter(*(self._condition(clause) for clause in clauses))

    def in_order(self, order: Sequence[Order]) -> Self:
        """In an order, with the row's key as its last resort."""
        return self.order_by(
            *(f"{'-' * by.is_descending}{self.columns[by.field]}" for by in order), "pk"
        )

    def after(self, order: Sequence[Order], values: Sequence[Any]) -> Self:
        """Those behind a row of these values; the last of them is its key."""
        steps = [(self.columns[by.field], by.is_descending) for by in order] + [("pk", False)]
        behind, alike = Q(), Q()
        for (column, is_descending), value in zip(steps, values, strict=True):
            step = Q(**{f"{column}__{'lt' if is_descending else 'gt'}": value})
            behind |= alike & step
            alike &= Q(**{column: value})
        return self.filter(behind)

    def _condition(self, clause: Clause) -> Q:
        if clause.is_tag and clause.field not in self.own_tags:
            if clause.operator == Operator.EQUAL and clause.field != IS_PROMPT:
                return Q(tags__contains={clause.field: clause.value})  # by its index
            asked: Combinable = _text_of_tag(clause.field)
        else:
            asked = F((self.own_tags if clause.is_tag else self.columns)[clause.field])
        found = Q(_LOOKUPS[clause.operator](asked, clause.value))
        return ~found if clause.operator in _NEGATED else found


def _text_of_tag(key: str) -> Combinable:
    """Return a tag's text: NULL where there is none, which then no clause holds for."""
    text = Func(F("tags"), Value(key), function="jsonb_extract_path_text", output_field=TextField())
    absent = Value("false", output_field=TextField())
    return Coalesce(text, absent, output_field=TextField()) if key == IS_PROMPT else text


class RegisteredModelQuerySet(SearchedQuerySet["RegisteredModel"]):
    """Registered models."""

    columns = {
        "name": "name", "creation_timestamp": "created_at", "last_updated_timestamp": "changed_at",
    }  # fmt: skip

    def matching(self, text: str) -> Self:
        """Those with every word of a text in name, description, purpose, desk or tags."""
        return self.filter(words=_query(text)) if text.split() else self

    def tagged(self, tag: str) -> Self:
        """Those with a tag ``key``, or ``key:value``."""
        return self.filter(_tag(tag))

    def take_number(self, pk: int, at: datetime) -> int:
        """Take a model's next number; whoever asks at the same time waits: no gap, no twin."""
        self.filter(pk=pk).update(n_numbers=F("n_numbers") + 1, changed_at=at)
        return int(self.values_list("n_numbers", flat=True).get(pk=pk))


class ModelVersionQuerySet(SearchedQuerySet["ModelVersion"]):
    """Versions of registered models."""

    columns = {
        "name": "registered_model__name", "run_id": "run_id", "source_path": "source",
        "version_number": "number", "creation_timestamp": "created_at",
        "last_updated_timestamp": "changed_at",
    }  # fmt: skip
    own_tags = {"registry.stage": "stage", "registry.digest": "digest"}

    def in_stage(self, stage: Stage) -> Self:
        """Those of one stage."""
        return self.filter(stage=stage)

    def with_names(self) -> Self:
        """With the model and the people that their row shows, without the words to search by."""
        return self.select_related("registered_model", "created_by").defer(
            "words", "registered_model__words"
        )

    def pending(self) -> Self:
        """Those whose files nobody has looked at yet."""
        return self.filter(status=VersionStatus.PENDING)

    def matching(self, text: str, models: RegisteredModelQuerySet) -> Self:
        """Those with every word of a text in description, source, run, code or tags.

        Versions of models that have all of the words are among them.
        """
        if not text.split():
            return self
        named = list(models.matching(text).values_list("pk", flat=True)[:MOST_NAMED])
        return self.filter(Q(words=_query(text)) | Q(registered_model__in=named))

    def tagged(self, tag: str) -> Self:
        """Those with a tag ``key``, or ``key:value``."""
        return self.filter(_tag(tag))


def _tag(tag: str) -> Q:
    key, colon, value = tag.partition(":")
    return Q(tags__contains={key: value}) if colon else Q(tags__has_key=key)
