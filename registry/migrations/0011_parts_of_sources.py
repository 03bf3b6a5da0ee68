"""What stands anywhere in a source has parts, which an index is made of; planners know more of tags."""

from django.db import migrations

# The cost is what it takes: rows are looked up in the index, and the parts of none made anew.
# Each part of three characters once; NULL of a text that has none, which no pattern of three is in.
TRIGRAMS = """
CREATE FUNCTION registry_trigrams(words text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 2500 AS $$
    SELECT array_agg(DISTINCT substr(low, place, 3))
    FROM (SELECT lower(words) AS low) AS one, generate_series(1, length(low) - 2) AS place
$$;
"""

# A hundred samples tell the planner of a tag that one row in a thousand has that none has it, or one
# in a hundred; for the latter it walked all rows in their order.
SAMPLES = "ALTER TABLE registry_modelversion ALTER COLUMN tags SET STATISTICS {};"


class Migration(migrations.Migration):
    dependencies = [("registry", "0010_no_return_of_revoked")]
    operations = [
        migrations.RunSQL(TRIGRAMS, "DROP FUNCTION registry_trigrams(text);"),
        migrations.RunSQL(SAMPLES.format(1000), SAMPLES.format(-1)),
    ]
