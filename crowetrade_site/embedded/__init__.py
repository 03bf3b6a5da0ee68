"""A private PostgreSQL and a private broker for machines that have neither."""
