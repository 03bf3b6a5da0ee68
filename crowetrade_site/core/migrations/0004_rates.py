"""Where requests are counted by user: Django's cache table, unlogged, as a crash may forget it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("core", "0003_roles")]
    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE core_rate (
                cache_key varchar(255) PRIMARY KEY,
                value text NOT NULL,
                expires timestamp with time zone NOT NULL
            );
            CREATE INDEX core_rate_expires ON core_rate (expires);
            """,
            "DROP TABLE core_rate;",
        )
    ]
