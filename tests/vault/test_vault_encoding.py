from __future__ import annotations

import hashlib
import io
import itertools
import os
import threading
from collections.abc import Iterator

import pyrage
import pytest
import zstandard

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.encoding import Digest, Encoded, parse_recipients
from airflow_provider_xbackup.vault.errors import EncryptionError

IDENTITY = pyrage.x25519.Identity.generate()
KEY = str(IDENTITY.to_public())
OTHER = pyrage.x25519.Identity.generate()


def workers() -> int:
    return sum(thread.name == "xbackup-encrypt" for thread in threading.enumerate())


def decoded(stored: bytes, compressed: bool, encrypted: bool) -> bytes:
    if encrypted:
        stored = pyrage.decrypt(stored, [IDENTITY])
    if compressed:
        stored = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored)).read()
    return stored


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("recipients", [(), (KEY,), (KEY, str(OTHER.to_public()))], ids=["plain", "one", "two"])
@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"", b"x", b""], id="one byte"),
        pytest.param([b"ab" * 10] * 5_000, id="small blocks"),
        pytest.param([os.urandom(3_333_333)] * 3, id="large blocks"),
    ],
)
def test_what_was_encoded_decodes_to_the_same_bytes(
    blocks: list[bytes], recipients: tuple[str, ...], compress: bool
) -> None:
    encoded = Encoded(blocks, compress=compress, recipients=recipients)
    stored = b"".join(encoded)
    plain = b"".join(blocks)
    assert decoded(stored, compress, bool(recipients)) == plain
    assert (encoded.plain.size, encoded.plain.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())
    assert (encoded.stored.size, encoded.stored.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert encoded.compression == ("zstd" if compress else None)
    assert encoded.encryption == ("age" if recipients else None)
    assert workers() == 0


def test_an_error_of_the_source_passes_through_and_ends_the_thread() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        raise ConnectionResetError("broken")

    with pytest.raises(ConnectionResetError, match="broken"):
        list(Encoded(blocks(), compress=True, recipients=[KEY]))
    assert workers() == 0


def test_a_consumer_that_leaves_ends_the_thread() -> None:
    stream = iter(Encoded(itertools.repeat(os.urandom(1_000_000)), recipients=[KEY]))
    for _ in range(3):
        next(stream)
    del stream
    assert workers() == 0


def test_an_error_of_the_encryption_reaches_the_consumer_and_ends_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(reader: io.BytesIO, writer: object, keys: object) -> None:
        reader.read(10)
        raise ValueError("no")

    monkeypatch.setattr(pyrage, "encrypt_io", fail)
    with pytest.raises(EncryptionError, match="Nothing was stored"):
        list(Encoded([b"x" * 1_000_000] * 20, recipients=[KEY]))
    assert workers() == 0


def test_a_digest_counts_what_passes() -> None:
    digest = Digest()
    assert list(digest.of([b"ab", b"c"])) == [b"ab", b"c"]
    assert (digest.size, digest.sha256) == (3, hashlib.sha256(b"abc").hexdigest())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ()),
        (KEY, (KEY,)),
        (f" {KEY}\n", (KEY,)),
        ([KEY, KEY], (KEY,)),
        (f"{KEY}, {OTHER.to_public()}", (KEY, str(OTHER.to_public()))),
        ((KEY, str(OTHER.to_public())), (KEY, str(OTHER.to_public()))),
    ],
    ids=["none", "one", "white space", "twice", "commas", "tuple"],
)
def test_recipients_are_read(given: object, expected: tuple[str, ...]) -> None:
    assert parse_recipients(given) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("", "holds no key"),
        ([], "holds no key"),
        (" , ", "holds no key"),
        ("age1tooshort", "no age public key"),
        (KEY[:-1] + ("q" if KEY[-1] != "q" else "p"), "no age public key"),
        ("ssh-ed25519 AAAA", "no age public key"),
        ([KEY, 7], "as text"),
    ],
    ids=["empty", "empty list", "only a comma", "short", "mistyped", "an SSH key", "a number"],
)
def test_other_recipients_are_refused(given: object, word: str) -> None:
    with pytest.raises(InvalidArgumentError, match=word):
        parse_recipients(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [str, str.lower, lambda key: f"{KEY},{key}"])
def test_a_private_key_given_by_mistake_is_refused_and_not_repeated(change) -> None:
    secret = str(IDENTITY)
    with pytest.raises(InvalidArgumentError, match="private age key") as caught:
        parse_recipients(change(secret))
    assert secret[16:40].lower() not in str(caught.value).lower()
