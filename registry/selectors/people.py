"""Whom model cards name, and what is wrong with it: nothing that stops anybody, but to be known."""

from collections.abc import Iterator, Sequence

from django.contrib.auth.models import User
from django.db import connection

from crowetrade_site.core import doctor
from registry.models import RegisteredModel

MOST_NAMED = 10  # in one warning
_MODELS_NAMING_NOBODY = """
SELECT name, string_agg(operator, ', ' ORDER BY operator)
FROM registry_registeredmodel, unnest(operators) AS operator
WHERE NOT EXISTS (SELECT 1 FROM auth_user WHERE username = operator AND is_active)
GROUP BY name ORDER BY name LIMIT %s
"""


def card_warnings(model: RegisteredModel) -> list[str]:
    """Return a sentence for each kind of person that a card names and that is none here.

    A misspelt operator may do nothing with the model, and the card says that they may.
    """
    known = dict(
        User.objects.filter(username__in=model.operators).values_list("username", "is_active")
    )
    unknown = [name for name in model.operators if name not in known]
    closed = [name for name in model.operators if known.get(name) is False]
    warnings = []
    if unknown:
        warnings.append(
            f"The card names operators who are no users here: {_named(unknown)}. Write their user "
            "names, or have accounts made for them."
        )
    if closed:
        warnings.append(f"The card names operators whose accounts are closed: {_named(closed)}.")
    if not model.owner.is_active:
        warnings.append(
            f"The account of the owner {model.owner.get_username()} is closed: an admin gives the "
            "model to somebody else."
        )
    return warnings


def operators_of_models() -> Iterator[doctor.Diagnosis]:
    """Check that the operators of all models are users."""
    with connection.cursor() as cursor:
        cursor.execute(_MODELS_NAMING_NOBODY, [MOST_NAMED])
        found = [f"{model}: {operators}" for model, operators in cursor.fetchall()]
    more = ["and more"] if len(found) == MOST_NAMED else []
    yield doctor.judge(
        "operators of models", "; ".join(found + more) or "all are users", good=not found,
        mild=True, cure="write user names of active accounts in these model cards",
    )  # fmt: skip


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
