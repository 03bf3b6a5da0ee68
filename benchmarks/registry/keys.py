"""Searches by a part of the source: read by keys, or walked in their order.

`querysets.MOST_KEYS` says up to how many rows are read by their keys. Each size is asked for both
ways, where the rows are spread over the newer half of the registry and where they are the oldest:
then a walk passes all others first.
"""

import os
import random
from typing import Any

from benchmarks.measure import least_seconds, table
from benchmarks.registry.requests import MLFLOW
from benchmarks.registry.rows import Names

SIZES = (50, 200, 500, 1000, 2000)
PAGES = (50, 1000)
ALL, NONE = 10**9, 0


def measure_keys(names: Names) -> None:
    """Print what a request takes either way; in this process, HTTP apart."""
    from django.conf import settings
    from rest_framework.test import APIClient

    from registry import querysets

    settings.ALLOWED_HOSTS = ["testserver"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {names.tokens[0]}")
    standing = querysets.MOST_KEYS
    rows: list[tuple[str, ...]] = [("rows", "of a page of", "by keys, ms", "walked, ms", "load")]
    for part, size in _mark():
        for page in PAGES:
            asked = {"filter": f"source_path LIKE '%{part}%'", "max_results": page}

            def ask(asked: dict[str, Any] = asked, n: int = min(page, size)) -> None:
                found = client.get(MLFLOW, asked).json()["model_versions"]
                assert len(found) == n  # noqa: S101 - or something else was measured

            taken = []
            for querysets.MOST_KEYS in (ALL, NONE):
                taken.append(f"{1000 * least_seconds(ask, 9)[0]:.1f}")
            rows.append((part, str(page), *taken, f"{os.getloadavg()[0]:.1f}"))
            print(" ".join(rows[-1]), flush=True)
    querysets.MOST_KEYS = standing
    print()
    table(rows)


def _mark() -> list[tuple[str, int]]:
    """Give rows sources of their own; return the part that each so many of them have."""
    from django.db import connection

    from registry.models import ModelVersion

    chance, marked = random.Random(7), []  # noqa: S311 - a draw of rows
    newest = list(ModelVersion.objects.order_by("-changed_at", "-pk").values_list("pk", flat=True))
    n_all = sum(SIZES)
    drawn = {
        "spread": chance.sample(newest[: len(newest) // 2], n_all),
        "oldest": chance.sample(newest[-n_all:], n_all),
    }
    with connection.cursor() as cursor:
        for where, keys in drawn.items():
            for size in SIZES:
                cursor.execute(
                    "UPDATE registry_modelversion SET source = %s || number WHERE id = ANY(%s)",
                    [f"desk/{where}-{size}-rows/", [keys.pop() for _ in range(size)]],
                )
                marked.append((f"{where}-{size}-rows", size))
        cursor.execute("VACUUM ANALYZE registry_modelversion")
    return marked
