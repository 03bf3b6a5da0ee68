"""What a model's files are, and how they are opened: manifests, formats, sandbox, caches."""
