"""More than one machine: one history in Postgres, runs on Celery workers. Needs the extra `nba-precompute[cluster]`.

`dagster.yaml` here has the settings in which a home of several machines differs from one of one machine. No asset, table or
warehouse is known here.
"""
