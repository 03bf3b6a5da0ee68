"""A version that was found to be compromised stays so, whatever writes to its row."""

from django.db import migrations

KEEP = """
CREATE FUNCTION registry_keep_compromised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version that is compromised stays so'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER registry_compromised_is_final BEFORE UPDATE ON registry_modelversion
    FOR EACH ROW WHEN (
        OLD.compromised_at IS NOT NULL
        AND NEW.compromised_at IS DISTINCT FROM OLD.compromised_at
    ) EXECUTE FUNCTION registry_keep_compromised();
ALTER TABLE registry_modelversion ENABLE ALWAYS TRIGGER registry_compromised_is_final;
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_trusted_types")]
    operations = [
        migrations.RunSQL(KEEP, "DROP FUNCTION registry_keep_compromised() CASCADE;"),
    ]
