from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.url import VaultUrl


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("file:///srv/backups", ("file", None, "", "/srv/backups"), id="folder"),
        pytest.param("file:///srv/backups/", ("file", None, "", "/srv/backups"), id="slash at the end"),
        pytest.param("FILE:///srv", ("file", None, "", "/srv"), id="scheme in capitals"),
        pytest.param("file:///", ("file", None, "", "/"), id="the root"),
        pytest.param("file:///srv/my backups", ("file", None, "", "/srv/my backups"), id="space as itself"),
        pytest.param("file:///srv/my%20backups", ("file", None, "", "/srv/my backups"), id="space encoded"),
        pytest.param("file:///srv/100%25", ("file", None, "", "/srv/100%"), id="per cent encoded"),
        pytest.param("file:///srv/%C3%BC%23", ("file", None, "", "/srv/ü#"), id="unicode and hash encoded"),
        pytest.param("s3://bucket", ("s3", None, "bucket", ""), id="a whole bucket"),
        pytest.param("s3://bucket/a//b/", ("s3", None, "bucket", "a/b"), id="doubled slashes"),
        pytest.param("s3://aws_default@bucket/p", ("s3", "aws_default", "bucket", "p"), id="connection"),
        pytest.param("s3://bucket/100%25 p", ("s3", None, "bucket", "100%25 p"), id="keys are verbatim"),
        pytest.param("gs://c@my_bucket.example/p", ("gs", "c", "my_bucket.example", "p"), id="GCS with dots"),
        pytest.param("abfs://c@container/p", ("abfs", "c", "container", "p"), id="Azure"),
    ],
)
def test_a_vault_url_is_read(text: str, expected: tuple[str, str | None, str, str]) -> None:
    url = VaultUrl.parse(text)
    assert (url.scheme, url.conn_id, url.bucket, url.prefix) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", ["empty", "file:///"], id="empty"),
        pytest.param("   ", ["empty"], id="blank"),
        pytest.param(" s3://bucket", ["white space"], id="space before"),
        pytest.param("/srv/backups", ["'file:///srv/backups'"], id="a plain path"),
        pytest.param("backups", ["not a URL", "s3://"], id="a word"),
        pytest.param("ftp://host/x", ["ftp://", "file://, s3://, gs://, abfs://"], id="unknown scheme"),
        pytest.param("s3a://bucket/x", ["Write it with s3://"], id="Hadoop's scheme"),
        pytest.param("az://container/x", ["Write it with abfs://"], id="obstore's scheme"),
        pytest.param("file://srv/backups", ["three slashes"], id="two slashes"),
        pytest.param("file://conn@/srv", ["three slashes"], id="folder with connection"),
        pytest.param("s3:///prefix", ["names no bucket"], id="no bucket"),
        pytest.param("s3://@bucket/p", ["no connection id"], id="empty connection"),
        pytest.param("s3://c d@bucket/p", ["no connection id"], id="space in connection"),
        pytest.param("s3://host:9000/bucket", ["no name of one", "Airflow connection"], id="address of a server"),
        pytest.param("s3://bucket/a/../b", ["'..'"], id="parent"),
        pytest.param("s3://bucket/./b", ["'.'"], id="itself"),
        pytest.param("file:///srv/../etc", ["'..'"], id="parent of a folder"),
        pytest.param("file:///srv/%2e%2e/etc", ["'..'"], id="encoded parent"),
        pytest.param("file:///srv/a%00b", ["control"], id="encoded NUL"),
        pytest.param("s3://bucket/a\nb", ["control"], id="line feed"),
        pytest.param("s3://bucket/a\udc80b", ["control"], id="undecodable"),
        pytest.param("s3://bucket/p#frag", ["fragment"], id="fragment"),
        pytest.param(
            "abfs://backups@account.dfs.core.windows.net/p",
            ["abfs://conn_id@backups/p", "abfs://backups/p"],
            id="Azure's own form",
        ),
        pytest.param("abfs://account.blob.core.windows.net/p", ["account host"], id="Azure's host alone"),
    ],
)
def test_what_is_no_vault_url_is_refused_with_the_right_spelling(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        VaultUrl.parse(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["s3://user:hunter2@bucket/p", "s3://bucket/p?X-Amz-Signature=hunter2"])
def test_a_secret_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        VaultUrl.parse(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 7, b"s3://bucket", ["s3://bucket"], Path("relative/path")])
def test_values_of_other_types_are_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError):
        VaultUrl.parse(value)


@pytest.mark.parametrize(
    "path", ["/srv/x", "/srv/my backups", "/srv/100%", "/srv/%20", "/srv/a?b#c", "/srv/ü", "/"]
)
def test_every_path_survives_its_url(path: str) -> None:
    url = VaultUrl.parse(Path(path))
    assert url.prefix == path
    assert VaultUrl.parse(str(url)) == url
    assert VaultUrl.parse(Path(path).as_uri()) == url


def test_the_canonical_url_reads_as_itself() -> None:
    for text in ("s3://c@bucket/a b/ü", "gs://bucket", "abfs://c@container/p", "file:///srv/my backups"):
        assert str(VaultUrl.parse(text)) == text


@pytest.mark.parametrize(
    ("url", "conn_id", "expected"),
    [
        ("s3://bucket/a b", None, "s3://bucket/a b"),
        ("s3://bucket/p", "aws_default", "s3://aws_default@bucket/p"),
        ("s3://aws_default@bucket/p", None, "s3://aws_default@bucket/p"),
        ("file:///srv/my backups", None, "file:///srv/my backups"),
        ("file:///srv/a%20b", None, "file:///srv/a%2520b"),
    ],
)
def test_an_object_storage_path_is_accepted(url: str, conn_id: str | None, expected: str) -> None:
    sdk = pytest.importorskip("airflow.sdk")
    path = sdk.ObjectStoragePath(url, conn_id=conn_id) if conn_id else sdk.ObjectStoragePath(url)
    assert str(VaultUrl.parse(path)) == expected
