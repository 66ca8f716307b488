"""Taking a backup, without Airflow: download, check, spool, store."""
