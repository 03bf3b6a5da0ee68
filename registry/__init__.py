"""Model versions, stages, promotion."""
