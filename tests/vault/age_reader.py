"""A second reading of https://age-encryption.org/v1: decrypts a file for one X25519 identity.

Shares no code with what encrypts, so that tests can prove the format where the age tool is not installed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHUNK = 64 * 1024 + 16


def decrypt(data: bytes, identity: str) -> bytes:
    """Decrypt a whole age file.

    :raises ValueError: when no stanza opens, or the header's MAC is wrong
    :raises cryptography.exceptions.InvalidTag: when the payload is damaged
    """
    key = X25519PrivateKey.from_private_bytes(_bech32(identity))
    end = data.index(b"\n--- ") + len(b"\n---")
    header, rest = data[:end], data[end + 1 :]
    mac, payload = rest.split(b"\n", 1)
    file_key = _open(header.decode().split("\n-> ")[1:], key)
    expected = hmac.digest(_derive(file_key, b"", b"header"), header, hashlib.sha256)
    if not header.startswith(b"age-encryption.org/v1\n") or not hmac.compare_digest(
        expected, _base64(mac.decode())
    ):
        raise ValueError("the header is not what was written")
    cipher = ChaCha20Poly1305(_derive(file_key, payload[:16], b"payload"))
    chunks = [payload[at : at + _CHUNK] for at in range(16, len(payload), _CHUNK)]
    return b"".join(
        cipher.decrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, None)
        for number, chunk in enumerate(chunks)
    )


def _open(stanzas: list[str], key: X25519PrivateKey) -> bytes:
    from cryptography.exceptions import InvalidTag

    for stanza in stanzas:
        words, _, body = stanza.partition("\n")
        kind, *arguments = words.split(" ")
        if kind != "X25519":
            continue
        share = _base64(arguments[0])
        secret = key.exchange(X25519PublicKey.from_public_bytes(share))
        salt = share + key.public_key().public_bytes_raw()
        wrapped = _base64(body.removesuffix("\n---").replace("\n", ""))
        try:
            return ChaCha20Poly1305(_derive(secret, salt, b"age-encryption.org/v1/X25519")).decrypt(
                bytes(12), wrapped, None
            )
        except InvalidTag:
            continue
    raise ValueError("no stanza opens")


def _derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _bech32(text: str) -> bytes:
    """The bytes of a bech32 text; its checksum is left alone."""
    digits = [_BECH32.index(letter) for letter in text.lower().rpartition("1")[2][:-6]]
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return (number >> (len(digits) * 5 % 8)).to_bytes(len(digits) * 5 // 8, "big")
