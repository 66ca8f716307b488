from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import (
    MissingBucketError,
    MissingVaultError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableObjectError,
    UnwritableFolderError,
    VaultAccessError,
    VaultError,
)
from airflow_provider_xbackup.vault.local import LocalStore
from airflow_provider_xbackup.vault.store import MAX_PARTS, PART_SIZE, part_size
from airflow_provider_xbackup.vault.translate import translate
from airflow_provider_xbackup.vault.url import VaultUrl

MIB = 1024 * 1024


class Broken(FileNotFoundError):  # noqa: N818
    """An error of a source that could be mistaken for one of a store."""


def blocks_then_error(count: int, size: int = MIB) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * size
    raise Broken("the download broke")


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


# -- every store -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"", b"a", b"", b"bc", b""], id="empty blocks"),
        pytest.param([b"x" * 999] * 5, id="one part"),
        pytest.param([b"x" * (3 * MIB)] * 9, id="several parts"),
        pytest.param([bytes(range(256)) * (25 * MIB // 256)], id="one large block"),
    ],
)
def test_a_stream_is_stored_as_it_is(vault: Vault, blocks: list[bytes]) -> None:
    whole = b"".join(blocks)
    stored = vault.store.put_stream("a/b.zip", iter(blocks), media_type="application/zip")
    assert stored.size == len(whole) == vault.store.head("a/b.zip").size
    assert b"".join(vault.store.open_stream("a/b.zip")) == whole


@pytest.mark.parametrize(("start", "end"), [(0, None), (5, 6), (7 * MIB, 10 * MIB), (16 * MIB, None), (3, 3)])
def test_a_range_is_read(vault: Vault, start: int, end: int | None) -> None:
    whole = bytes(range(256)) * (20 * MIB // 256)
    vault.store.put("x", whole)
    assert b"".join(vault.store.open_stream("x", start, end)) == whole[start:end]


@pytest.mark.parametrize("count", [0, 1, 11, 25])
def test_an_error_of_the_source_leaves_nothing_and_is_raised_as_it_is(
    vault: Vault, request: pytest.FixtureRequest, tmp_path: Path, count: int
) -> None:
    with pytest.raises(Broken, match="the download broke"):
        vault.store.put_stream("a/b/c.zip", blocks_then_error(count))
    assert list(vault.store.list()) == []
    assert not vault.store.exists("a/b/c.zip")
    if vault.url.scheme == "s3":
        assert request.getfixturevalue("s3").uploads() == []
    else:
        assert list((tmp_path).rglob("my backups/*")) == []


def test_an_interrupt_of_the_source_leaves_nothing(vault: Vault) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"x" * (11 * MIB)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vault.store.put_stream("a", blocks())
    assert list(vault.store.list()) == []


def test_what_exists_is_not_created_again(vault: Vault) -> None:
    vault.store.create("m.json", b"first")
    with pytest.raises(ObjectExistsError, match=r"m\.json exists already"):
        vault.store.create("m.json", b"second")
    assert vault.store.read("m.json") == b"first"


def test_a_put_replaces(vault: Vault) -> None:
    vault.store.put("x", b"first")
    vault.store.put("x", b"second")
    assert vault.store.read("x") == b"second"


def test_what_is_missing_is_said_to_be_missing(vault: Vault) -> None:
    vault.store.put("other", b"")
    for call in (vault.store.head, vault.store.read, lambda path: list(vault.store.open_stream(path))):
        with pytest.raises(ObjectMissingError, match="no/such"):
            call("no/such")
    assert not vault.store.exists("no/such")
    vault.store.delete("no/such")


def test_objects_are_listed_and_removed(vault: Vault) -> None:
    for name in ("a/1", "a/2", "a/b/3", "ab/4"):
        vault.store.put(name, b"x")
    assert sorted(found.path for found in vault.store.list("a")) == ["a/1", "a/2", "a/b/3"]
    assert vault.store.list_folders() == ("a", "ab")
    assert vault.store.list_folders("a") == ("b",)
    assert vault.store.list_folders("nothing") == ()
    vault.store.delete("a/b/3")
    assert sorted(found.path for found in vault.store.list()) == ["a/1", "a/2", "ab/4"]
    listed = next(found for found in vault.store.list("ab"))
    assert listed.size == 1
    assert listed.last_modified is not None


def test_more_objects_than_one_listing_answers_are_all_listed(s3) -> None:
    for number in range(1005):
        s3.client.put_object(Bucket=s3.bucket, Key=f"p/{number:04}", Body=b"")
    assert len(list(Vault.open(f"s3://{s3.bucket}/p").store.list())) == 1005


def test_an_object_too_large_to_be_a_record_is_not_read(vault: Vault) -> None:
    vault.store.put("manifest.json", b"x" * 1001)
    with pytest.raises(VaultError, match="1001 bytes"):
        vault.store.read("manifest.json", limit=1000)


def test_an_archived_object_is_unreadable_and_says_what_to_do(s3) -> None:
    vault = Vault.open(s3.url)
    s3.client.put_object(Bucket=s3.bucket, Key="some prefix/ü/a/cold", Body=b"x", StorageClass="GLACIER")
    vault.store.put("a/warm", b"x")

    with pytest.raises(UnreadableObjectError, match=r"archive.*Have the store restore it"):
        vault.store.read("a/cold")
    assert vault.store.read("a/warm") == b"x"


@pytest.mark.parametrize(
    ("url", "action", "error", "kind"),
    [
        pytest.param(
            "file:///v", "read", "failed: Input/output error (os error 5)", UnreadableObjectError, id="EIO"
        ),
        pytest.param("file:///v", "look at", OSError(errno.EUCLEAN, "x"), UnreadableObjectError, id="checksum"),
        pytest.param(
            "file:///v", "list", "failed: Input/output error (os error 5)", VaultError, id="EIO of a folder"
        ),
        pytest.param(
            "file:///v", "write", "failed: Input/output error (os error 5)", VaultError, id="EIO of a write"
        ),
        pytest.param("file:///v", "read", OSError(errno.EMFILE, "x"), VaultError, id="too many open files"),
        pytest.param("file:///v", "read", OSError(errno.EACCES, "x"), VaultAccessError, id="no permission"),
        pytest.param(
            "s3://b", "read", "status: 400 <Code>KMS.DisabledException</Code>", VaultError, id="the bucket's key"
        ),
        pytest.param(
            "s3://b",
            "read",
            "status: 400 <Code>InvalidRequest</Code>",
            UnreadableObjectError,
            id="a key of its own",
        ),
        pytest.param("s3://b", "look at", "status: 400", VaultError, id="a HEAD, which says nothing"),
        pytest.param(
            "s3://b", "read", "status: 400 <Code>ExpiredToken</Code>", VaultAccessError, id="credentials"
        ),
        pytest.param("s3://b", "read", "status: 503 <Code>SlowDown</Code>", StoreUnavailableError, id="busy"),
    ],
)
def test_what_concerns_one_object_is_told_from_what_concerns_the_store(
    url: str, action: str, error: str | Exception, kind: type[VaultError]
) -> None:
    raised = GenericError(error) if isinstance(error, str) else error

    assert type(translate(raised, VaultUrl.parse(url), action, "x")) is kind


def test_parts_grow_with_the_expected_size() -> None:
    assert part_size(None) == part_size(0) == part_size(80 * 1024**3) == PART_SIZE
    for size in (100 * 1024**3, 1024**4, 5 * 1024**4):
        assert part_size(size) * MAX_PARTS >= size * 1.09
        assert part_size(size) % MIB == 0


# -- disk --------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_made_with_the_first_object_only(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "a" / "b")
    assert list(vault.store.list()) == []
    assert not vault.store.exists("x")
    assert not (tmp_path / "a").exists()
    vault.store.create("x/y", b"z")
    assert (tmp_path / "a" / "b" / "x" / "y").read_bytes() == b"z"


def test_a_missing_folder_is_no_vault_to_read(tmp_path: Path) -> None:
    with pytest.raises(MissingVaultError, match="no vault at file:///"):
        Vault.open(tmp_path / "nothing").require()
    assert not (tmp_path / "nothing").exists()


def test_a_symlinked_folder_is_a_vault(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    vault = Vault.open(tmp_path / "link")
    vault.prepare()
    vault.store.put("a/b", b"x")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"
    assert [found.path for found in vault.store.list()] == ["a/b"]


def test_preparing_a_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    Vault.open(tmp_path / "v").prepare()
    assert list((tmp_path / "v").iterdir()) == []


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere, so be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A folder that everybody can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_folder_that_cannot_be_made_is_refused_and_nothing_left(open_tmp: Path) -> None:
    os.chmod(open_tmp, 0o555)
    vault = Vault.open(open_tmp / "a" / "b")
    with as_nobody(), pytest.raises(UnwritableFolderError, match=r"Permission denied.*a/b.*Make the folder"):
        vault.prepare()
    assert list(open_tmp.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_at_every_write(open_tmp: Path) -> None:
    os.chmod(open_tmp, 0o555)
    vault = Vault.open(open_tmp)
    with as_nobody():
        for call in (
            vault.prepare,
            lambda: vault.store.put("a/b", b"x"),
            lambda: vault.store.put_stream("a/b", [b"x" * (11 * MIB)]),
            lambda: vault.store.create("a/b", b"x"),
        ):
            with pytest.raises(UnwritableFolderError, match=str(open_tmp)):
                call()
    assert list(open_tmp.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UnwritableFolderError, match=r"a file lies where a folder is needed.*Move it away"):
            Vault.open(path).prepare()


def test_an_unreadable_object_is_no_missing_object(open_tmp: Path) -> None:
    vault = Vault.open(open_tmp)
    vault.store.put("x", b"secret")
    os.chmod(open_tmp / "x", 0)
    with as_nobody(), pytest.raises(VaultAccessError, match="may not read"):
        vault.store.read("x")


@pytest.mark.parametrize(
    ("call", "room"),
    [
        pytest.param("store.put_stream('x', [b'y' * 999_999] * 30)", 2_000_000, id="a stream"),
        pytest.param("store.create('x', b'y' * 9_999_999)", 2_000_000, id="a small object"),
        pytest.param("store.prepare()", 0, id="before anything costly, none"),
        pytest.param("store.prepare()", 30_000, id="before anything costly, little"),
    ],
)
def test_a_full_disk_is_called_full_and_nothing_stays(tmp_path: Path, call: str, room: int) -> None:
    script = f"""
        import resource
        from airflow_provider_xbackup.vault import Vault
        from airflow_provider_xbackup.vault.errors import NoSpaceError
        store = Vault.open("file://{tmp_path}/v").store
        resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
        try:
            {call}
        except NoSpaceError as exc:
            print(exc)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert "is full" in done.stdout
    assert files_below(tmp_path) == []


def test_a_disk_without_hard_links_still_creates_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = Vault.open(tmp_path).store
    store.create("x", b"first")
    with pytest.raises(ObjectExistsError):
        store.create("x", b"second")
    assert [path.name for path in files_below(tmp_path)] == ["x"]


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "a/../b", "a//b", "/a", ".", ""])
def test_nothing_is_written_outside_of_the_vault(tmp_path: Path, path: str) -> None:
    store = Vault.open(tmp_path / "vault").store
    for write in (store.put, store.create, lambda path, data: store.put_stream(path, [data])):
        with pytest.raises(VaultError):
            write(path, b"x")
    assert files_below(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system lets go of nothing")
def test_what_the_disk_has_got_of_a_file_is_let_go_of_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *_: sizes.append(os.fstat(file).st_size))
    Vault.open(tmp_path).store.put_stream("x", [b"x" * (3 * MIB)] * 7)
    assert sizes == [9 * MIB, 18 * MIB]


def test_a_system_that_lets_go_of_nothing_writes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    stored = Vault.open(tmp_path).store.put_stream("x", [b"x" * (3 * MIB)] * 7)
    assert (tmp_path / "x").stat().st_size == stored.size == 21 * MIB


def test_unfinished_files_are_not_listed(local: Vault) -> None:
    local.store.put("a/x", b"")
    (LocalStore(local.url).root / "a" / "y#17").write_bytes(b"half")
    assert [found.path for found in local.store.list()] == ["a/x"]


# -- S3 ----------------------------------------------------------------------------------------------------


def test_a_missing_bucket_is_said_before_anything_is_written(s3) -> None:
    with pytest.raises(
        MissingBucketError, match="bucket 'not-there' of the vault s3://not-there/p does not exist"
    ):
        Vault.open("s3://not-there/p").prepare()


def test_a_missing_bucket_is_said_by_every_call_that_can_tell(s3) -> None:
    store = Vault.open("s3://not-there/p").store
    for call in (
        lambda: store.put("x", b""),
        lambda: store.put_stream("x", [b"x" * (11 * MIB)]),
        lambda: store.create("x", b""),
        lambda: list(store.list()),
        lambda: store.list_folders(),
        lambda: store.read("x"),
    ):
        with pytest.raises(MissingBucketError):
            call()


def test_a_bucket_with_versions_tells_the_version(s3) -> None:
    vault = Vault.open(s3.url)
    assert vault.store.put("x", b"1").version_id is None
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    assert vault.store.put("x", b"2").version_id
    assert vault.store.put_stream("x", [b"3" * (11 * MIB)]).version_id


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        pytest.param(
            403,
            b"<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message>"
            b"<AWSAccessKeyId>AKIALEAK</AWSAccessKeyId></Error>",
            VaultAccessError,
            ["HTTP 403", "InvalidAccessKeyId", "The key does not exist", "credentials"],
            id="wrong key",
        ),
        pytest.param(401, b"", VaultAccessError, ["HTTP 401"], id="unauthenticated"),
        pytest.param(
            403,
            b"<Error><Code>RequestTimeTooSkewed</Code></Error>",
            VaultAccessError,
            ["set this machine"],
            id="clock",
        ),
        pytest.param(
            400,
            b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>",
            VaultAccessError,
            ["ExpiredToken"],
            id="expired token",
        ),
        pytest.param(
            400,
            b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>",
            VaultAccessError,
            ["AWS_REGION"],
            id="wrong region",
        ),
        pytest.param(
            404,
            b"<Error><Code>NoSuchBucket</Code></Error>",
            MissingBucketError,
            ["does not exist"],
            id="no bucket",
        ),
        pytest.param(503, b"<Error><Code>SlowDown</Code></Error>", StoreUnavailableError, ["SlowDown"], id="busy"),
        pytest.param(418, b"short and stout", VaultError, ["HTTP 418"], id="anything else"),
    ],
)
def test_refusals_are_told_in_words(
    answers, aws_environment: None, monkeypatch: pytest.MonkeyPatch,
    status: int, body: bytes, error: type[VaultError], words: list[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", answers.url)
    answers.status, answers.body = status, body
    with pytest.raises(error) as caught:
        Vault.open("s3://bucket/p").prepare()
    for word in words:
        assert word in str(caught.value)
    for secret in ("very-secret", "AKIALEAK", "Debug source"):
        assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_dead_endpoint_is_reported_as_unavailable(
    aws_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError, match=r"connection refused.*AWS_ENDPOINT_URL") as caught:
        Vault.open("s3://bucket/p").prepare()
    assert caught.value.retryable


def test_a_store_without_conditional_writes_creates_once_all_the_same(s3, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    real = obstore.put

    def put(*args, mode=None, **kwargs):
        if mode == "create":
            raise obstore.exceptions.NotSupportedError("not implemented")
        return real(*args, mode=mode, **kwargs)

    monkeypatch.setattr(obstore, "put", put)
    store = Vault.open(s3.url).store
    store.create("m", b"first")
    with pytest.raises(ObjectExistsError):
        store.create("m", b"second")
    assert store.read("m") == b"first"


def test_a_501_to_a_conditional_write_means_that_there_are_none(
    answers, aws_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", answers.url)
    answers.status, answers.body = 501, b"<Error><Code>NotImplemented</Code></Error>"
    with pytest.raises(BackupError):
        Vault.open("s3://bucket/p").store.create("m", b"x")
    assert any(seen.startswith("HEAD") for seen in answers.seen)


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["file", "s3"])
def test_memory_stays_flat_for_a_stream_of_300_mb(
    scheme: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"file://{tmp_path}/v" if scheme == "file" else request.getfixturevalue("s3").url
    script = f"""
        import os
        import pyrage
        from airflow_provider_xbackup.vault import Vault
        draft = Vault.open({url!r}).draft("xray", "acme", {"20261123T014500Z-full-1a2b3c4d"!r})
        key = str(pyrage.x25519.Identity.generate().to_public())
        def peak():
            # Unlike ru_maxrss, this begins anew with the process.
            line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
            return int(line.split()[1]) // 1024
        def blocks(count):
            return (os.urandom(1_000_000) for _ in range(count))
        draft.add("attachments", blocks(60), media_type="x", compress=True, recipients=[key])
        before = peak()
        draft.add("backup", blocks(300), media_type="x", compress=True, recipients=[key])
        print(before, peak())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before < 40
    assert after < 320
