"""What the Airflow classes share: checked arguments, cooldowns, remembered jobs, outcomes."""
