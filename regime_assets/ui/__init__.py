"""Dagster's processes on the data folder, and the pages beside its UI."""
