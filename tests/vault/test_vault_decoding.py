"""Reading what was compressed and encrypted, and refusing what is damaged."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import age_reader
import pyrage
import pytest
import zstandard

from airflow_provider_xbackup.vault.decoding import Decoded
from airflow_provider_xbackup.vault.encoding import Encoded
from airflow_provider_xbackup.vault.errors import (
    DamagedBackupError,
    DecompressionError,
    DecryptionError,
    MissingIdentityError,
    WrongIdentityError,
)
from airflow_provider_xbackup.vault.identities import Identities, read_identity_file

IDENTITY, OTHER = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
KEYS = Identities([IDENTITY])
AGE = Path(__file__).with_name("age")
#: What the tool's files hold: more than one of age's chunks.
TOOL_MADE = "cd5b70671a383bec288719c8da26c68ac8e67af70ca8399001dab23f95440322"
CHUNK = 64 * 1024


def encode(plain: bytes, compress: bool, encrypt: bool) -> bytes:
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    return b"".join(Encoded([plain], compress=compress, recipients=recipients))


def decode(stored: bytes, compress: bool, encrypt: bool, keys: Identities | None = KEYS, limit: int | None = None):
    decoded = Decoded(
        [stored[:1000], stored[1000:]],
        compression="zstd" if compress else None,
        encryption="age" if encrypt else None,
        identities=keys,
        limit=limit,
    )
    return decoded, b"".join(decoded)


def workers() -> int:
    return sum(thread.name == "xbackup-decrypt" for thread in threading.enumerate())


@pytest.mark.parametrize("compress", [False, True], ids=["verbatim", "zstd"])
@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "age"])
@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 10_000_000], ids=str)
def test_stored_bytes_become_the_plain_ones_again_and_both_are_digested(
    size: int, compress: bool, encrypt: bool
) -> None:
    plain = os.urandom(size)
    stored = encode(plain, compress, encrypt)
    decoded, read = decode(stored, compress, encrypt, limit=size)
    assert read == plain
    assert (decoded.plain.size, decoded.plain.sha256) == (size, hashlib.sha256(plain).hexdigest())
    assert (decoded.stored.size, decoded.stored.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert workers() == 0


def flipped(stored: bytes, share: float) -> bytes:
    at = int((len(stored) - 1) * share)
    return stored[:at] + bytes([stored[at] ^ 0x10]) + stored[at + 1 :]


@pytest.mark.parametrize(
    ("compress", "encrypt", "error"),
    [
        pytest.param(False, True, DecryptionError, id="age"),
        pytest.param(True, False, DecompressionError, id="zstd"),
        pytest.param(True, True, DecryptionError, id="both"),
    ],
)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda stored: flipped(stored, 0), id="first byte flipped"),
        pytest.param(lambda stored: flipped(stored, 0.5), id="a byte flipped"),
        pytest.param(lambda stored: flipped(stored, 1), id="last byte flipped"),
        pytest.param(lambda stored: b"", id="empty"),
        pytest.param(lambda stored: stored[:10], id="cut off at its beginning"),
        pytest.param(lambda stored: stored[: len(stored) // 2], id="cut off in the middle"),
        pytest.param(lambda stored: stored[:-1], id="cut off by a byte"),
        pytest.param(lambda stored: stored[: -(CHUNK + 16)], id="cut off by a chunk"),
        pytest.param(lambda stored: stored + b"x", id="followed by a byte"),
        pytest.param(lambda stored: stored + os.urandom(5 * CHUNK), id="followed by many"),
        pytest.param(lambda stored: stored + stored, id="twice"),
    ],
)
def test_every_damage_is_refused(
    damage: Callable[[bytes], bytes], compress: bool, encrypt: bool, error: type[Exception]
) -> None:
    # As long as whole chunks of age, so that nothing but the flag of the last one tells its end.
    stored = damage(encode(os.urandom(3 * CHUNK), compress, encrypt))
    with pytest.raises(error, match="The backup cannot be dec"):
        decode(stored, compress, encrypt)
    assert workers() == 0


def test_after_an_error_the_stored_digest_can_still_be_had() -> None:
    stored = encode(os.urandom(5_000_000), True, True)
    stored = stored[:100_000] + b"\0" * 100 + stored[100_100:]
    blocks = (stored[at : at + 50_000] for at in range(0, len(stored), 50_000))
    decoded = Decoded(blocks, compression="zstd", encryption="age", identities=KEYS)
    with pytest.raises(DecryptionError):
        list(decoded)
    decoded.finish_stored()
    assert (decoded.stored.size, decoded.stored.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())


def test_a_wrong_identity_is_told_from_damage() -> None:
    stored = encode(b"secret", False, True)
    with pytest.raises(WrongIdentityError, match="encrypted to others") as caught:
        decode(stored, False, True, Identities([OTHER]))
    assert not caught.value.retryable


def test_any_of_several_identities_opens_it() -> None:
    assert decode(encode(b"secret", False, True), False, True, Identities([OTHER, IDENTITY]))[1] == b"secret"


def test_without_an_identity_nothing_is_read() -> None:
    with pytest.raises(MissingIdentityError, match="XBACKUP_AGE_IDENTITY_FILE"):
        Decoded(iter([]), encryption="age")


@pytest.mark.parametrize("kind", ["compression", "encryption"])
def test_an_encoding_nobody_knows_is_refused(kind: str) -> None:
    with pytest.raises(DamagedBackupError, match="'rot13'"):
        Decoded([], **{kind: "rot13"})


def test_a_bomb_stops_at_the_size_of_the_manifest_in_flat_memory() -> None:
    compressor = zstandard.ZstdCompressor(level=3)
    bomb = compressor.compress(bytes(1 << 30))
    assert len(bomb) < 100_000
    decoded = Decoded([bomb], compression="zstd", limit=1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(DecompressionError, match="more than the 1000000 bytes"):
            list(decoded)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_a_window_larger_than_decoders_have_to_take_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=3)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(DecompressionError):
        decode(stream.compress(b"x" * 1000) + stream.flush(), True, False)


def test_an_error_of_the_store_passes_through_and_ends_the_thread() -> None:
    def blocks() -> Iterator[bytes]:
        yield encode(os.urandom(3_000_000), False, True)[:2_000_000]
        raise ConnectionResetError("broken")

    with pytest.raises(ConnectionResetError, match="broken"):
        list(Decoded(blocks(), encryption="age", identities=KEYS))
    assert workers() == 0


def test_memory_stays_flat_over_a_large_file() -> None:
    block = os.urandom(1_000_000)
    encoded = Encoded((block for _ in range(60)), compress=True, recipients=[str(IDENTITY.to_public())])
    decoded = Decoded(encoded, compression="zstd", encryption="age", identities=KEYS)
    tracemalloc.start()
    try:
        for _ in decoded:
            pass
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()
    assert decoded.plain.size == 60_000_000


# -- the format, read by others ------------------------------------------------------------------------------


def with_the_tool(stored: bytes, tmp_path: Path) -> bytes:
    tool = shutil.which("age")
    if tool is None:
        pytest.skip(
            "the age tool is not installed (Debian: apt-get install age); the other reader proves the same"
        )
    identity = tmp_path / "key.txt"
    identity.write_text(f"# a comment\n{IDENTITY}\n")
    return subprocess.run(
        [tool, "--decrypt", "-i", identity], input=stored, capture_output=True, check=True
    ).stdout


def with_another_reader(stored: bytes, tmp_path: Path) -> bytes:
    return age_reader.decrypt(stored, str(IDENTITY))


@pytest.mark.parametrize("read", [with_the_tool, with_another_reader])
@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK * 2 + 1, 3_000_000], ids=str)
def test_others_decrypt_what_was_stored(read: Callable[..., bytes], size: int, tmp_path: Path) -> None:
    plain = os.urandom(size)
    recipients = (str(OTHER.to_public()), str(IDENTITY.to_public()))
    assert read(b"".join(Encoded([plain], recipients=recipients)), tmp_path) == plain


@pytest.mark.parametrize(("name", "compress"), [("bot.json.age", False), ("bot.json.zst.age", True)])
def test_files_of_the_tool_are_read(name: str, compress: bool) -> None:
    """The files were made with age 1.1.1 and zstd 1.5.4, the second one to two recipients."""
    stored = (AGE / name).read_bytes()
    decoded, plain = decode(stored, compress, True, read_identity_file(AGE / "identity.txt"))
    assert len(plain) == 85_315
    assert decoded.plain.sha256 == TOOL_MADE


def test_the_other_reader_reads_files_of_the_tool() -> None:
    identity = (AGE / "identity.txt").read_text().split()[-1]
    plain = age_reader.decrypt((AGE / "bot.json.age").read_bytes(), identity)
    assert hashlib.sha256(plain).hexdigest() == TOOL_MADE


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(pyrage.encrypt(b"x", [IDENTITY.to_public()], armored=True), id="armoured"),
        pytest.param(pyrage.passphrase.encrypt(b"x", "password"), id="passphrase"),
    ],
)
def test_other_kinds_of_age_files_are_refused(stored: bytes) -> None:
    with pytest.raises(DecryptionError):
        decode(stored, False, True, Identities([OTHER]))
