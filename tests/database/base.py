"""The database backend of the tests: quick to empty, append-only tables among them.

Django's transactional tests clean up by TRUNCATE of all tables, which takes a third of a second
with ours, and the triggers of append-only tables refuse it to everybody. Here the few tables that
hold rows are emptied by DELETE, and the triggers are off for the length of that one statement. What
migrations made stays.
"""

from importlib import import_module

from django.conf import settings
from django.core.management.commands import flush

BACKEND = (
    "crowetrade_site.embedded.backend"
    if settings.EMBEDDED_POSTGRES
    else "crowetrade_site.core.postgres"
)
DatabaseBackend = import_module(f"{BACKEND}.base").DatabaseWrapper
KEPT = ("auth_group", "auth_permission", "django_content_type")
# Foreign keys are deferred: rows go in any order, and the keys are looked at before the triggers
# come back, which a table with unfinished business does not allow.
EMPTIED = """
DO $$
DECLARE
    one text; filled bool; guard record; emptied text[] := '{{}}';
BEGIN
    FOREACH one IN ARRAY ARRAY[{tables}] LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', one) INTO filled;
        CONTINUE WHEN NOT filled;
        emptied := emptied || one;
        FOR guard IN SELECT tgname FROM pg_trigger WHERE tgrelid = format('%I', one)::regclass
                     AND NOT tgisinternal AND tgenabled = 'A' LOOP
            EXECUTE format('ALTER TABLE %I DISABLE TRIGGER %I', one, guard.tgname);
        END LOOP;
        EXECUTE format('DELETE FROM %I', one);
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR guard IN SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
                 WHERE relname = ANY (emptied) AND NOT tgisinternal AND tgenabled = 'D' LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', guard.relname, guard.tgname);
    END LOOP;
END $$
"""

# After a flush Django makes permissions and content types again, in some hundred queries.
flush.emit_post_migrate_signal = lambda *_, **__: None


class FlushingOperations(DatabaseBackend.ops_class):
    def sql_flush(self, style, tables, **options):
        names = ", ".join(f"'{table}'" for table in tables if table not in KEPT)
        return [EMPTIED.format(tables=names)] if names else []


class DatabaseWrapper(DatabaseBackend):
    ops_class = FlushingOperations
