"""Make the ledger of trials append-only in the database itself, as the audit trail is."""

from django.db import migrations

TABLES = ("backtests_trialbatch", "backtests_ledgerscope")
REFUSE = """
CREATE FUNCTION backtests_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger of trials is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""
GUARD = """
CREATE TRIGGER ledger_rows BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION backtests_ledger_refuse();
CREATE TRIGGER ledger_table BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION backtests_ledger_refuse();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER ledger_rows;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER ledger_table;
"""


class Migration(migrations.Migration):
    dependencies = [("backtests", "0002_studies")]
    operations = [
        migrations.RunSQL(
            REFUSE + "".join(GUARD.format(table=table) for table in TABLES),
            "DROP FUNCTION backtests_ledger_refuse() CASCADE;",
        )
    ]
