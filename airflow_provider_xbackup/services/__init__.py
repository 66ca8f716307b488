"""The vendors' APIs, described: what is sent, what is understood, what goes wrong. No I/O, no Airflow."""
