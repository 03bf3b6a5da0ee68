"""Make the audit tables append-only in the database itself.

Row triggers refuse UPDATE and DELETE, a statement trigger refuses TRUNCATE; all are
ENABLE ALWAYS, so that session_replication_role does not skip them. An insert trigger stamps
each entry with its transaction id, by which the sealer knows what is committed.
"""

from django.db import migrations

from crowetrade_site.core import append_only

REFUSE = "core_audit_refuse"
TABLES = ("core_auditevent", "core_auditseal", "core_auditsealitem")

STAMP = """
ALTER TABLE core_auditevent ADD COLUMN xid xid8;
CREATE FUNCTION core_audit_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER audit_stamp BEFORE INSERT ON core_auditevent
    FOR EACH ROW EXECUTE FUNCTION core_audit_stamp();
ALTER TABLE core_auditevent ENABLE ALWAYS TRIGGER audit_stamp;
ALTER TABLE core_auditevent ALTER COLUMN xid SET NOT NULL;
CREATE INDEX audit_xid ON core_auditevent (xid);
"""
UNDO = f"""
{append_only.unguarding(REFUSE)}
DROP FUNCTION core_audit_stamp() CASCADE;
ALTER TABLE core_auditevent DROP COLUMN xid;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [
        migrations.RunSQL(
            append_only.refusal(REFUSE, what="the audit trail")
            + STAMP
            + append_only.guards(TABLES, prefix="audit", function=REFUSE),
            UNDO,
        )
    ]
