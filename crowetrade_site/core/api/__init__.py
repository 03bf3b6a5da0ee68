"""Problems, pagination and permissions of the REST API."""
