"""The database backend of the tests: it may empty append-only tables between tests.

Django's transactional tests clean up by TRUNCATE, which their triggers refuse to
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
# Append-only tables, by the trigger that refuses to empty them.
GUARDED = {
    "core_auditevent": "audit_table",
    "core_auditseal": "audit_table",
    "core_auditsealitem": "audit_table",
    "backtests_trialbatch": "ledger_table",
    "backtests_ledgerscope": "ledger_table",
}


class FlushingOperations(DatabaseBackend.ops_class):
    def sql_flush(self, style, tables, **options):
        guarded = {table: name for table, name in GUARDED.items() if table in tables}
        return [
            *(f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in guarded.items()),
            *super().sql_flush(style, [t for t in tables if t not in KEPT], **options),
            *(
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"
                for table, name in guarded.items()
            ),
        ]


class DatabaseWrapper(DatabaseBackend):
    ops_class = FlushingOperations
