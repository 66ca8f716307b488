"""Where the vendor of a store shows an object to people, as far as an address of that can be known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote, urlencode

from airflow_provider_xbackup.vault.s3options import is_amazon

#: Makes the address under which an object is shown, of its bucket and its key.
Console = Callable[[str, str], str]

#: The consoles of AWS by the beginning of the regions that are not in the common one.
_AWS_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_AWS_CONSOLE = "console.aws.amazon.com"


def aws_console(endpoint: str, region: str) -> Console | None:
    """Return the console for what lies on S3; None for a store that is not Amazon's.

    :param endpoint: the address of the store
    :param region: the bucket's region
    """
    if not is_amazon(endpoint):
        return None
    hosts = (host for start, host in _AWS_CONSOLES.items() if region.startswith(start))
    return partial(_show_on_aws, next(hosts, _AWS_CONSOLE), region)


def google_console(bucket: str, key: str) -> str:
    """Return where the Google Cloud console shows an object; it finds the project of the bucket by itself."""
    return f"https://console.cloud.google.com/storage/browser/_details/{quote(bucket)}/{quote(key)}"


def _show_on_aws(host: str, region: str, bucket: str, key: str) -> str:
    query = urlencode({"region": region, "prefix": key}, quote_via=quote, safe="/")
    return f"https://{host}/s3/object/{quote(bucket)}?{query}"
