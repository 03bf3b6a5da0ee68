"""The database wrapper Django looks for in an engine."""

from typing import Any

from django.utils.asyncio import async_unsafe
from psycopg import OperationalError

from crowetrade_site.core.postgres import base
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.sessions import attach


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL that starts, and is healed, before a connection is opened."""

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open a connection to the embedded server, which runs when this returns.

        Raises
        ------
        OperationalError
            The server cannot be started; the text says why and what to do.
        """
        self._attach()
        try:
            return super().get_new_connection(conn_params)
        except OperationalError:
            # Killed between the question and the connection: heal once. Any other cause
            # comes back the second time.
            self._attach()
            return super().get_new_connection(conn_params)

    def _attach(self) -> None:
        try:
            attach(postgres=True, broker=False)
        except EmbeddedError as error:
            raise OperationalError(str(error)) from error
