"""Django's PostgreSQL backend, where rows nobody waits for travel with the COMMIT."""
