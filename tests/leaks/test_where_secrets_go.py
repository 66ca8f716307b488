"""The token goes to the configured host, links lead where they may, certificates are checked: whoever carries."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.hooks.connection import read_endpoint
from airflow_provider_xbackup.http.aio import shared_client
from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts
from airflow_provider_xbackup.http.errors import CertificateError, ConnectionFailedError, InsecureHostError
from airflow_provider_xbackup.http.message import Request
from airflow_provider_xbackup.http.places import Place, place_of
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import GivenToken
from airflow_provider_xbackup.services import xray

FILE = xray.file_request(xray.Artifact.DATA)
CALL = Request("GET", "/y")
QUICK = Timeouts(1, 1, 1)


def carry(endpoint: Endpoint) -> Any:
    client = Client(endpoint, GivenToken("token-value"))
    try:
        return client.call(CALL)
    except BackupError as error:
        return error
    finally:
        client.close()


def carry_async(endpoint: Endpoint) -> Any:
    async def call() -> Any:
        async with shared_client(endpoint, GivenToken("token-value"), requests=100, period=1.0) as client:
            return await client.call(CALL)

    try:
        return asyncio.run(call())
    except BackupError as error:
        return error


carriers = pytest.mark.parametrize("carrier", [carry, carry_async], ids=["requests", "aiohttp"])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("airflow_provider_xbackup.http.retry._pause", lambda _: 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, one address after the other; of the rest nobody knows."""
    known: dict[str, list[str]] = {"xray.example": ["93.184.215.14"]}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in known:
            addresses = known[name]
            return real(addresses.pop(0) if len(addresses) > 1 else addresses[0], port, *args, **kwargs)
        if name.endswith(".example"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("93.184.215.14", Place.INTERNET),
        ("2606:2800:21f::1", Place.INTERNET),
        ("127.0.0.1", Place.THIS_MACHINE),
        ("127.9.9.9", Place.THIS_MACHINE),
        ("0.0.0.0", Place.THIS_MACHINE),
        ("::1", Place.THIS_MACHINE),
        ("::", Place.THIS_MACHINE),
        ("[::ffff:127.0.0.1]", Place.THIS_MACHINE),
        ("169.254.169.254", Place.LINK_LOCAL),
        ("fe80::1%eth0", Place.LINK_LOCAL),
        ("::ffff:169.254.169.254", Place.LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", Place.LINK_LOCAL),
        ("10.0.0.1", Place.PRIVATE_NETWORK),
        ("172.16.0.1", Place.PRIVATE_NETWORK),
        ("192.168.1.1", Place.PRIVATE_NETWORK),
        ("100.64.0.1", Place.PRIVATE_NETWORK),
        ("fd00::1", Place.PRIVATE_NETWORK),
        ("fd00:ec2::254", Place.PRIVATE_NETWORK),
        ("::ffff:10.0.0.1", Place.PRIVATE_NETWORK),
        ("::10.0.0.1", Place.PRIVATE_NETWORK),
        ("2002:0a00:0001::", Place.PRIVATE_NETWORK),
        ("224.0.0.1", Place.PRIVATE_NETWORK),
        ("255.255.255.255", Place.PRIVATE_NETWORK),
    ],
)
def test_an_address_lies_where_it_lies_however_it_is_written(address, place):
    assert place_of(address) is place


WEAKER = [
    "169.254.169.254", "10.1.2.3", "192.168.0.1", "localhost", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "LOCALHOST.",
    "inside.example", "metadata.example", "both.example",
]  # fmt: skip


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"], ids=["straight", "through a proxy"])
@pytest.mark.parametrize("host", WEAKER)
def test_a_link_into_our_own_networks_is_refused(names, host, proxy):
    names |= {"inside.example": ["10.0.0.1"], "metadata.example": ["169.254.169.254"]}
    names["both.example"] = ["10.0.0.1"]
    client = Client(Endpoint("https://xray.example", allow_http=True, proxy=proxy), GivenToken("token-value"))

    for scheme in ("http", "https"):
        with pytest.raises(InsecureHostError, match="that is refused") as caught:
            client.open_link(FILE, f"{scheme}://{host}/x?sig=s3cret")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("root", "target"),
    [
        pytest.param("10.0.0.7", "10.1.2.3", id="private network"),
        pytest.param("10.0.0.7", "inside.example", id="private network, by name"),
        pytest.param("home.example", "192.168.0.1", id="a name in the private network"),
        pytest.param("127.0.0.1", "localhost", id="this machine"),
    ],
)
def test_a_link_may_lead_to_where_the_service_itself_is(names, elsewhere, root, target):
    names |= {"inside.example": ["10.0.0.1"], "home.example": ["10.0.0.7"]}
    # The proxy stands for the network: no test talks to a machine that is not its own.
    endpoint = Endpoint(f"http://{root}", allow_http=True, proxy=elsewhere.url)

    with Client(endpoint, GivenToken("token-value")).open_link(FILE, f"http://{target}/x") as stream:
        assert stream.status == 200
    assert elsewhere.seen[0].startswith(f"GET http://{target}/x ")


@pytest.mark.parametrize("root", ["10.0.0.7", "127.0.0.1"])
def test_a_service_inside_leads_to_no_metadata_service_either(names, root):
    client = Client(Endpoint(f"https://{root}"), GivenToken("token-value"))

    with pytest.raises(InsecureHostError, match="link-local"):
        client.open_link(FILE, "https://169.254.169.254/latest")


def test_a_name_that_means_another_place_a_moment_later_is_refused_before_anything_is_sent(names, elsewhere):
    port = int(elsewhere.url.rsplit(":", 1)[1])
    names["storage.example"] = ["93.184.215.14", "127.0.0.1"]
    client = Client(Endpoint("https://xray.example", allow_http=True), GivenToken("token-value"))

    with pytest.raises(InsecureHostError, match="this machine"):
        client.open_link(FILE, f"http://storage.example:{port}/x")
    assert elsewhere.seen == []


def test_a_link_gets_neither_cookies_nor_credentials_of_the_service(elsewhere, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    elsewhere.headers = {"Set-Cookie": "session=s3cret; Path=/"}
    client = Client(Endpoint(elsewhere.url), GivenToken("token-value"))
    client.call(CALL)

    client.open_link(FILE, f"{elsewhere.url}/x").close()

    call, link = elsewhere.seen
    assert "Bearer token-value" in call
    assert "s3cret" not in link
    assert "authorization" not in link.lower()


@carriers
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_that_is_redirected_is_not_sent_on(elsewhere, carrier, status):
    elsewhere.status, elsewhere.headers = status, {"Location": elsewhere.url.replace("127.0.0.1", "localhost")}

    assert carrier(Endpoint(elsewhere.url)).status == status
    assert len(elsewhere.seen) == 1


@carriers
def test_a_token_for_this_machine_is_sent_through_no_proxy_of_the_environment(elsewhere, carrier, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)

    assert isinstance(carrier(Endpoint("http://127.0.0.1:9")), ConnectionFailedError)
    assert elsewhere.seen == []


def test_a_proxy_elsewhere_takes_no_plain_http_from_this_machine():
    with pytest.raises(InsecureHostError, match="allow_http"):
        read_endpoint("http://127.0.0.1:8080", None, {"proxy": "http://proxy.example:3128"})
    for extra in ({"proxy": "http://127.0.0.1:3128"}, {"proxy": "http://proxy.example", "allow_http": True}):
        assert read_endpoint("http://127.0.0.1:8080", None, extra).proxy == extra["proxy"]


GARBAGE = [0.0, 2, "off", "flase", "None", "null", [], {}, ["false"], {"verify": False}, "disabled", " ", "no/"]


@pytest.mark.parametrize("verify", GARBAGE, ids=repr)
def test_garbage_does_not_switch_the_check_of_certificates_off(verify):
    try:
        endpoint = read_endpoint("xray.example", None, {"verify": verify})
    except InvalidArgumentError as error:
        assert "verify" in str(error)  # noqa: PT017 - either is right
    else:
        assert endpoint.verify is True


@carriers
@pytest.mark.parametrize(
    "environment",
    [
        {"REQUESTS_CA_BUNDLE": ""},
        {"CURL_CA_BUNDLE": ""},
        {"REQUESTS_CA_BUNDLE": "False", "CURL_CA_BUNDLE": "0"},
        {"PYTHONHTTPSVERIFY": "0"},
        {"SSL_VERIFY": "false"},
    ],
    ids=str,
)
def test_no_environment_switches_the_check_of_certificates_off(tls_elsewhere, carrier, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert isinstance(carrier(Endpoint(tls_elsewhere)), CertificateError)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_check_switched_off_for_one_connection_stays_on_for_the_next(tls_elsewhere):
    assert not isinstance(carry(Endpoint(tls_elsewhere, verify=False)), CertificateError)
    assert isinstance(carry(Endpoint(tls_elsewhere)), CertificateError)


def test_the_certificate_behind_a_link_is_checked_too(tls_elsewhere):
    client = Client(Endpoint("http://127.0.0.1:9", timeouts=QUICK), GivenToken("token-value"))

    with pytest.raises(CertificateError):
        client.open_link(FILE, f"{tls_elsewhere}/x")


def test_an_answer_that_inflates_beyond_measure_is_cut(elsewhere):
    import tracemalloc
    import zlib

    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    elsewhere.body, elsewhere.headers = packed, {"Content-Encoding": "gzip"}
    tracemalloc.start()
    answer = carry(Endpoint(elsewhere.url))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(answer.body) == 16 << 20
    assert peak < 60 << 20
