"""A private PostgreSQL and a private broker for machines that have neither.

>>> from crowetrade_site import embedded
>>> embedded.attach(postgres=True, broker=True)  # doctest: +SKIP

Both servers belong to the home folder, are shared by all processes of the installation
and stop with the last one that uses them.
"""

from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.sessions import attach, detach
from crowetrade_site.embedded.status import ServiceStatus, status
from crowetrade_site.embedded.watch import watch

__all__ = ["EmbeddedError", "ServiceStatus", "attach", "detach", "status", "watch"]
