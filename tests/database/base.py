"""The database backend of the tests: it may empty the audit tables between tests.

Django's transactional tests clean up by TRUNCATE, which the audit triggers refuse to
everybody. Instead of weakening them, this backend takes the triggers off for the length of
the one flush statement and puts them back.
"""

from importlib import import_module

from django.conf import settings

BACKEND = (
    "crowetrade_site.embedded.backend"
    if settings.EMBEDDED_POSTGRES
    else "django.db.backends.postgresql"
)
DatabaseBackend = import_module(f"{BACKEND}.base").DatabaseWrapper
KEPT = ("auth_group",)  # the roles, which a migration made and every test may count on
GUARDED = ("core_auditevent", "core_auditseal", "core_auditsealitem")


class FlushingOperations(DatabaseBackend.ops_class):
    def sql_flush(self, style, tables, **options):
        guarded = [table for table in GUARDED if table in tables]
        return [
            *(f"ALTER TABLE {table} DISABLE TRIGGER audit_table" for table in guarded),
            *super().sql_flush(style, [t for t in tables if t not in KEPT], **options),
            *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_table" for table in guarded),
        ]


class DatabaseWrapper(DatabaseBackend):
    ops_class = FlushingOperations
