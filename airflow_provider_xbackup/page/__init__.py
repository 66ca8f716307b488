"""The page in Airflow's UI: a read-only JSON API over the configured vaults, and what shows it."""
