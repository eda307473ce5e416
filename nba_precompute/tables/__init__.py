"""One file a table: its schema and its formulas. Pure: no Dagster, no storage, no clock."""
