"""Backups of Xray Cloud and Xenioo for Apache Airflow: taken once, kept whole, ready to be restored."""

__version__ = "0.1.0"
