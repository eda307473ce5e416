"""Daily NBA feature tables as a Dagster project."""
