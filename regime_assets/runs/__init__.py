"""How runs start, wait, end and are told of: what Dagster leaves to its deployment."""
