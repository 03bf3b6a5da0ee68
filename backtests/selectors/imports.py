"""What is stated about a file to import, checked before anything is stored."""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from backtests.marketdata.errors import MarketDataError
from backtests.marketdata.options import ImportOptions
from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput, translating

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,80}")


def check_import(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return import options with defaults, after checking them and the dataset's name.

    Raises
    ------
    InvalidInput
        The name is not a slug, or an option is unknown or wrong (422).
    """
    if not SLUG.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no dataset name: use letters, digits, '-' and '_', at most 80."
        )
    stated = documents.parse(_schema(), options).model_dump(exclude_unset=True)
    with translating(MarketDataError, InvalidInput):
        return ImportOptions.from_mapping(stated).to_json()


@cache
def _schema() -> type[BaseModel]:
    """Return the import options as a strict document: a value of the wrong type is a fault."""
    types = get_type_hints(ImportOptions)
    known: Any = {one.name: (types[one.name], None) for one in fields(ImportOptions)}
    return create_model("ImportOptions", __config__=ConfigDict(extra="forbid"), **known)
