"""Filters of registered models and their versions."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.lookups import DataContains
from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db.models import Case, F, Func, Lookup, Model, Q, QuerySet, TextField, Value, When
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
MOST_NAMED = 1000  # models whose versions a search takes in
# Rows that are few enough to be read by their keys and ordered afterwards. Of so many, a page of
# 50 takes 8 ms more than a walk that meets them everywhere, 165 less than one that meets them last.
MOST_KEYS = 1000
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


def trigrams_of(text: Combinable) -> Func:
    """Return the parts of three characters of a text, lowered: a function of our migrations."""
    return Func(text, function="registry_trigrams", output_field=ArrayField(TextField()))


# Of a text or a pattern, what stands unchanged in the texts it holds for. Beyond ASCII, how a sign
# is lowered may depend on those beside it.
_PLAIN = re.compile(r"[^\x80-\U0010ffff]{3,}")
_PLAIN_OF_PATTERN = re.compile(r"[^%_\x80-\U0010ffff]{3,}")
_SIGNS = {
    Operator.EQUAL: _PLAIN, Operator.LIKE: _PLAIN_OF_PATTERN, Operator.ILIKE: _PLAIN_OF_PATTERN,
}  # fmt: skip


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


class _AnyOf(Lookup):
    """One of many keys, told as one array: Django writes a place for each of them."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, values = self.process_lhs(compiler, connection)
        return f"{left} = ANY(%s::bigint[])", (*values, list(self.rhs))


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
    a column, `parts_indexed` of which fields an index knows the parts.
    """

    columns: ClassVar[Mapping[str, str]] = {}
    own_tags: ClassVar[Mapping[str, str]] = {}
    parts_indexed: ClassVar[frozenset[str]] = frozenset()

    def satisfying(self, clauses: Sequence[Clause]) -> Self:
        """Those that every clause holds for."""
        by_parts, known, others = Q(), Q(), Q()
        for clause in clauses:
            if parts := self._parts(clause):
                by_parts &= self._condition(clause)
                known &= parts
            else:
                others &= self._condition(clause)
        rows = self._by_parts(by_parts, known) if known else self
        return rows.filter(others)

    def tagged(self, tag: str) -> Self:
        """Those with a tag ``key``, or ``key:value``."""
        key, colon, value = tag.partition(":")
        return self.filter(Q(tags__contains={key: value}) if colon else Q(tags__has_key=key))

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

    def _by_parts(self, condition: Q, known: Q) -> Self:
        """Those of a condition: by their keys, where the index of parts says that they are few.

        How many texts hold a part of a word the planner guesses, and errs by a hundred: it reads
        and sorts a tenth of all rows where their order would soon have filled a page. So the index
        is asked first, and where there are many, rows are walked in their order: of a CASE the
        planner expects that half of them pass.
        """
        rows = type(self)(self.model, using=self.db).filter(known, condition)
        keys = list(rows.values_list("pk", flat=True)[: MOST_KEYS + 1])
        if len(keys) <= MOST_KEYS:
            return self.filter(condition, _AnyOf(F("pk"), keys))
        return self.filter(Case(When(condition, then=True), default=False))

    def _parts(self, clause: Clause) -> Q | None:
        """Return what the index of parts knows of a clause's rows; None where it is of no use."""
        if clause.is_tag or clause.field not in self.parts_indexed:
            return None
        signs = _SIGNS.get(clause.operator)
        found = signs.findall(str(clause.value)) if signs else []
        own = trigrams_of(F(self.columns[clause.field]))
        asked = [Q(DataContains(own, trigrams_of(Value(part)))) for part in found]
        return Q(*asked) if asked else None

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
    parts_indexed = frozenset({"source_path"})

    def in_stage(self, stage: Stage) -> Self:
        """Those of one stage."""
        return self.filter(stage=stage)

    def with_names(self) -> Self:
        """With the model and the people that their row shows, without the words to search by."""
        return self.select_related("registered_model", "created_by").defer(
            "words", "registered_model__words"
        )

    def loadable(self, trusted: Collection[str]) -> Self:
        """Those whose bytes are handed to whoever runs them, where a desk trusts these types."""
        ready = self.filter(
            status=VersionStatus.READY, compromised_at=None,
            trusted_types__contained_by=sorted(trusted),
        )  # fmt: skip
        return ready.exclude(stage=Stage.ARCHIVED)

    def admitted_by_others(self, revision: str) -> Self:
        """Those that are ready by other rules of the scanner; asked so that an index answers."""
        ready = self.filter(status=VersionStatus.READY, compromised_at=None)
        return ready.filter(Q(scanned_by__lt=revision) | Q(scanned_by__gt=revision))

    def marked(self) -> Self:
        """Those that are ready, and failed rules of the scanner that came later."""
        ready = self.filter(status=VersionStatus.READY, compromised_at=None)
        return ready.filter(rescan_failed_at__isnull=False)

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
        of_models = _AnyOf(F("registered_model"), named)
        return self.filter(Q(words=_query(text)) | Q(of_models))
