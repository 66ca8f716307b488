"""The carriers of what services describe: requests and aiohttp, with tokens, retries and timeouts. No Airflow."""
