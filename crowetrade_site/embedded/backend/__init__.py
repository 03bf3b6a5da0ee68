"""Django's PostgreSQL backend on the embedded server, started when it is first needed."""
