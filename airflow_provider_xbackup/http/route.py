"""The way to a server, the same for both carriers: through which proxy, and whose certificates are believed.

The libraries' own reading of the environment is switched off: it brings credentials of netrc files as well.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.places import is_loopback


def proxy_for(endpoint: Endpoint, url: str) -> str | None:
    """Return the proxy to a URL: the connection's, else the environment's, or None for the straight way.

    Plain http that stays on this machine takes no proxy of the environment: the token would leave the machine in
    the clear.

    :param endpoint: the connection's
    :param url: where to
    """
    if endpoint.proxy is not None:
        return endpoint.proxy
    parts = urlsplit(url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return None
    proxy = select_proxy(url, get_environ_proxies(url))
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def secrets_of_proxy(proxy: str | None) -> tuple[str, ...]:
    """Return what a proxy must not bring back into a text: its password, alone and as it is sent.

    :param proxy: the proxy's URL, or None
    """
    parts = urlsplit(proxy or "")
    if not parts.password:
        return ()
    user, password = unquote(parts.username or ""), unquote(parts.password)
    return parts.password, password, f"{user}:{password}"


def authorities_for(endpoint: Endpoint) -> bool | str:
    """Return what certificates are checked against: True for the system's, a bundle, or False for no check.

    The environment can name a bundle where the connection names none. It cannot switch the check off.

    :param endpoint: the connection's
    """
    if endpoint.verify is not True:
        return endpoint.verify
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
