"""Where a service lives and how it is reached: a connection's fields, read once and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.http.errors import InsecureHostError
from airflow_provider_xbackup.http.places import is_loopback


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for the other side.

    :param connect: seconds for the connection to stand
    :param read: seconds for an answer to begin
    :param stall: seconds without a single byte after which a download counts as broken
    """

    connect: float = 10.0
    read: float = 60.0
    stall: float = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The root of a service, with the options of the way there.

    :param url: scheme, host, port and base path, without a slash at the end
    :param verify: True to check TLS certificates against the system's, a path to check them against
        that bundle, False for no check
    :param proxy: URL of an HTTP proxy, or None for the environment's
    :param timeouts: how long to wait
    :param allow_http: whether plain http to another machine is allowed, to this root and on the links it names
    """

    url: str
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    allow_http: bool = False

    @property
    def host(self) -> str:
        """Host and port, as an error message names them."""
        return urlsplit(self.url).netloc

    def url_of(self, path: str) -> str:
        """Return the full URL of a path below the root."""
        return self.url + path


def read_url(host: str, port: int | None = None, *, allow_http: bool = False) -> str:
    """Turn what people write into a connection's host field into the root URL of a service.

    ``host``, ``host:port/path`` and ``https://host/path`` are all understood; without a scheme it is
    https. Plain http is refused unless it stays on this machine or the connection allows it.

    :param host: the host field
    :param port: the port field, used where the host names none
    :param allow_http: the connection's ``allow_http`` option
    :return: the URL without a slash at the end
    :raises InvalidArgumentError: when it is no URL of a server, or holds a user or a query
    :raises InsecureHostError: when it is plain http to another machine
    """
    written = host.strip()
    parts = _split(written if "://" in written else f"https://{written}")
    if "@" in written or parts.query or parts.fragment:
        raise InvalidArgumentError(
            "The host of the connection holds a user name, a query or a fragment. "
            "Write only https://host/path there, and secrets into the connection's secret fields."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in written):
        raise InvalidArgumentError(
            f"The host {_quotable(written)!r} of the connection is no address of a server. "
            "Write it as host, host:port or https://host/path."
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise InsecureHostError(
            f"The connection's host {parts.hostname!r} is plain http: the token would travel unencrypted. "
            "Use https, or set allow_http in the connection if the network is trusted."
        )
    netloc = parts.netloc if parts.port or port is None else f"{parts.netloc.rstrip(':')}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def check_proxy(url: str, proxy: str | None, *, allow_http: bool) -> None:
    """Refuse plain http that begins on this machine and leaves it all the same.

    :param url: the root of a service
    :param proxy: the connection's proxy
    :param allow_http: the connection's ``allow_http`` option
    :raises InsecureHostError: when a secret would go to another machine over plain http
    """
    if proxy is None or allow_http or not url.startswith("http:"):
        return
    if not is_loopback(urlsplit(proxy).hostname or ""):
        raise InsecureHostError(
            "The connection's host is plain http and its 'proxy' another machine: the token would travel "
            "unencrypted. Use https, leave the proxy out, or set allow_http in the connection if the network is "
            "trusted."
        )


def _split(url: str) -> SplitResult:
    try:
        parts: SplitResult | None = urlsplit(url)
        _ = parts and parts.port
    except ValueError:
        parts = None
    if parts is None:
        # Raised out here: what urlsplit says quotes what may be half a password.
        raise InvalidArgumentError(f"The host of the connection cannot be read as a URL: {_quotable(url)!r}.")
    return parts


def _quotable(url: str) -> str:
    """Return what can be shown of a URL that people wrote: neither its user nor its query."""
    return url.split("@")[-1].split("?")[0].split("#")[0]
