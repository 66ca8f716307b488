"""What people write as the host of a connection, and what it means."""

from __future__ import annotations

import pytest

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.http.endpoint import Endpoint, is_loopback, read_url
from airflow_provider_xbackup.http.errors import InsecureHostError


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("xray.cloud.getxray.app", None, "https://xray.cloud.getxray.app"),
        (" xray.cloud.getxray.app/ ", None, "https://xray.cloud.getxray.app"),
        ("https://se.example/path/", None, "https://se.example/path"),
        ("se.example:8443/path", None, "https://se.example:8443/path"),
        ("se.example", 8443, "https://se.example:8443"),
        ("se.example:1", 8443, "https://se.example:1"),
        ("se.example:", 8443, "https://se.example:8443"),
        ("http://127.0.0.1:8080", None, "http://127.0.0.1:8080"),
        ("http://localhost", 80, "http://localhost:80"),
        ("http://LOCALHOST.", None, "http://LOCALHOST."),
        ("http://[::1]:8080/x", None, "http://[::1]:8080/x"),
        ("HTTPS://se.example", None, "https://se.example"),
    ],
)
def test_a_host_is_read_as_it_was_meant(host, port, url):
    assert read_url(host, port) == url


@pytest.mark.parametrize(
    "host",
    [
        "",
        "https://",
        "ftp://se.example",
        "se example",
        "https://se.example:99999",
        "https://[::1",
        "://x",
        "s\u200be\n.x y",
    ],
)
def test_what_is_no_server_is_refused(host):
    with pytest.raises(InvalidArgumentError):
        read_url(host)


@pytest.mark.parametrize(
    "host",
    [
        "https://user:s3cret@se.example",
        "https://se.example?key=s3cret",
        "https://se.example#s3cret",
        "ftp://u:s3cret@x y",
    ],
)
def test_a_secret_in_the_host_is_refused_unseen(host):
    with pytest.raises(BackupError) as caught:
        read_url(host)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["http://se.example", "http://10.0.0.1", "http://localhost.example", "http://128.0.0.1"]
)
def test_plain_http_to_another_machine_needs_a_word(host):
    with pytest.raises(InsecureHostError, match="allow_http"):
        read_url(host)
    assert read_url(host, allow_http=True) == host


@pytest.mark.parametrize(
    ("name", "loopback"), [("127.9.9.9", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False), ("me", False)]
)
def test_loopback_is_this_machine_only(name, loopback):
    assert is_loopback(name) is loopback


def test_an_endpoint_shows_no_proxy_as_it_may_hold_a_password():
    assert "s3cret" not in repr(Endpoint("https://x", proxy="http://u:s3cret@proxy"))
