"""Work in threads, each on a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


def in_threads(n_threads: int, work: Callable[[int], Result]) -> list[Result]:
    """Run `work(number)` in as many threads, closing the connection each of them opened."""

    def run(number: int) -> Result:
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(run, range(n_threads)))
