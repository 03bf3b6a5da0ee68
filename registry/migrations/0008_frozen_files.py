"""The files of a version, and the digest that was approved, never change after registration."""

from django.db import migrations

KEEP = """
CREATE FUNCTION registry_keep_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the files of a version never change'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER registry_files_are_final BEFORE UPDATE ON registry_modelversion
    FOR EACH ROW WHEN (
        NEW.digest IS DISTINCT FROM OLD.digest OR NEW.manifest IS DISTINCT FROM OLD.manifest
    ) EXECUTE FUNCTION registry_keep_files();
ALTER TABLE registry_modelversion ENABLE ALWAYS TRIGGER registry_files_are_final;
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0007_stored_words")]
    operations = [
        migrations.RunSQL(KEEP, "DROP FUNCTION registry_keep_files() CASCADE;"),
    ]
