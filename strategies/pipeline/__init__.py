"""A strategy as a document, and its composition into target weights."""
