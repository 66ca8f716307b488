"""Vault URLs: where backups are kept, and through which Airflow connection."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from airflow_provider_xbackup.errors import InvalidArgumentError

#: The schemes a vault can have.
SCHEMES = ("file", "s3", "gs", "abfs")

_EXAMPLES = "file:///srv/backups, s3://bucket/prefix, gs://bucket/prefix or abfs://container/prefix"
_MEANT = {
    "s3a": "s3", "s3n": "s3", "gcs": "gs", "az": "abfs", "azure": "abfs", "adl": "abfs", "abfss": "abfs",
    "wasb": "abfs", "wasbs": "abfs", "local": "file",
}  # fmt: skip
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$](?:[A-Za-z0-9._-]{0,220}[A-Za-z0-9])?")
_CONN_ID = re.compile(r"[\w.-]{1,200}")
_ENCODE = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})


@dataclass(frozen=True, slots=True)
class VaultUrl:
    """The place of a vault. Build it with :meth:`parse`.

    :param scheme: ``file``, ``s3``, ``gs`` or ``abfs``
    :param conn_id: the Airflow connection that opens it, or None for the environment's credentials
    :param bucket: the bucket or container; empty for ``file``
    :param prefix: the path inside the bucket, without slashes at its ends; for ``file`` the absolute path
    """

    scheme: str
    conn_id: str | None
    bucket: str
    prefix: str

    @classmethod
    def parse(cls, value: Any) -> VaultUrl:
        """Read a vault URL.

        In a ``file://`` URL ``%20`` and its like are decoded, as ``pathlib.Path.as_uri`` writes them; a
        space may also stand as itself. The path in a bucket is taken as it stands, like every tool of
        the object stores does.

        :param value: a URL, an absolute :class:`os.PathLike`, an ``ObjectStoragePath`` or a
            :class:`VaultUrl`
        :return: the parsed URL
        :raises InvalidArgumentError: when it is no URL of a vault; the text says how to write it
        """
        if isinstance(value, VaultUrl):
            return value
        if isinstance(value, str):
            return _parse_text(value)
        if hasattr(value, "storage_options") and hasattr(value, "protocol"):
            return _parse_object_storage_path(value)
        if isinstance(value, os.PathLike):
            return _file_url(os.fsdecode(value), str(value))
        raise InvalidArgumentError(
            f"A vault is given as a URL such as {_EXAMPLES}, not as {type(value).__name__}."
        )

    @property
    def extra(self) -> str | None:
        """The extra of this package that the scheme needs, or None."""
        return {"s3": "s3", "gs": "gcs", "abfs": "azure"}.get(self.scheme)

    @property
    def without_connection(self) -> VaultUrl:
        """The same place, without saying how it is opened."""
        return VaultUrl(self.scheme, None, self.bucket, self.prefix)

    def key(self, path: str) -> str:
        """Return the key of an object in the bucket."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def join(self, path: str) -> str:
        """Return the full URL of an object of the vault, as messages name it."""
        return f"{str(self).rstrip('/')}/{path}" if path else str(self)

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.prefix.translate(_ENCODE)}"
        who = f"{self.conn_id}@" if self.conn_id else ""
        return f"{self.scheme}://{who}{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def refuse_password(text: str) -> None:
    """Refuse a vault URL with a password in it. The error does not repeat it.

    :raises InvalidArgumentError: when the text is one
    """
    if re.search(r"://[^/]*:", text.rpartition("@")[0]):
        VaultUrl.parse(text)


def _parse_text(text: str) -> VaultUrl:
    shown = _shown(text)
    if not text.strip():
        raise InvalidArgumentError(f"The vault URL is empty. Write one such as {_EXAMPLES}.")
    _refuse_controls(text, shown)
    if text != text.strip():
        raise InvalidArgumentError(f"The vault URL {shown!r} has white space at an end.")
    if text.startswith("/"):
        raise InvalidArgumentError(f"The vault {shown!r} is a path. Write it as 'file://{shown}'.")
    match = _URL.fullmatch(text)
    if match is None:
        hint = f" For the folder of that name here: {Path(text).absolute().as_uri()}" if shown == text else ""
        raise InvalidArgumentError(f"The vault {shown!r} is not a URL. Write one such as {_EXAMPLES}.{hint}")
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme not in SCHEMES:
        hint = f" Write it with {_MEANT[scheme]}://." if scheme in _MEANT else ""
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InvalidArgumentError(
            f"The vault {shown!r} has an unknown scheme {scheme}://; known are {known}.{hint}"
        )
    for mark, name in (("?", "query"), ("#", "fragment")):
        if mark in rest:
            raise InvalidArgumentError(
                f"The vault URL {shown!r} goes on with a {name} ('{mark}'), which means nothing here. "
                "Options and secrets belong into the Airflow connection, never into the URL."
            )
    if scheme == "file":
        if not rest.startswith("/"):
            raise InvalidArgumentError(
                f"The vault {shown!r} has no absolute path: three slashes, as in 'file:///srv/backups'. "
                "A local folder needs no connection and no host."
            )
        return _file_url(unquote(rest, errors="surrogateescape"), shown)
    netloc, _, prefix = rest.partition("/")
    return _bucket_url(scheme, netloc, prefix, shown)


def _parse_object_storage_path(path: Any) -> VaultUrl:
    text = str(path)
    scheme = str(path.protocol) or "file"
    if scheme in ("file", "local"):
        return _file_url(str(path.path), text)
    url = _parse_text(text)
    conn_id = path.storage_options.get("conn_id")
    if url.conn_id is None and conn_id:
        url = VaultUrl(url.scheme, str(conn_id), url.bucket, url.prefix)
    return url


def _file_url(path: str, shown: str) -> VaultUrl:
    _refuse_controls(path, shown)
    if not path.startswith("/"):
        raise InvalidArgumentError(f"The vault path {shown!r} is relative. Give the absolute path.")
    return VaultUrl("file", None, "", "/" + _segments(path, shown))


def _bucket_url(scheme: str, netloc: str, prefix: str, shown: str) -> VaultUrl:
    who, at, bucket = netloc.rpartition("@")
    noun = "container" if scheme == "abfs" else "bucket"
    # A password with a slash in it ends what looks like the bucket.
    if ":" in who or (":" in netloc and "@" in prefix):
        raise InvalidArgumentError(
            f"The vault URL {shown!r} holds a user and a password. Put them into an Airflow connection and "
            f"write its id there: {scheme}://conn_id@{noun}/prefix."
        )
    if at and not _CONN_ID.fullmatch(who):
        raise InvalidArgumentError(
            f"The vault URL {shown!r} has no connection id before the '@'. "
            f"Write {scheme}://conn_id@{noun}/prefix, or {scheme}://{noun}/prefix for the environment's "
            "credentials."
        )
    if scheme == "abfs" and "." in bucket:
        container = who or noun
        raise InvalidArgumentError(
            f"The vault URL {shown!r} names Azure's account host. Here the part before the '@' is an Airflow "
            f"connection: write 'abfs://conn_id@{container}/{prefix}' and put the account into that "
            f"connection, or 'abfs://{container}/{prefix}' with AZURE_STORAGE_ACCOUNT_NAME set."
        )
    if not bucket:
        raise InvalidArgumentError(f"The vault URL {shown!r} names no {noun}: {scheme}://{noun}/prefix.")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgumentError(
            f"The vault URL {shown!r} has {bucket!r} where the {noun} belongs, which is no name of one. "
            "The address of a server belongs into the Airflow connection or the environment."
        )
    return VaultUrl(scheme, who or None, bucket, _segments(prefix, shown))


def _segments(path: str, shown: str) -> str:
    segments = [segment for segment in path.split("/") if segment]
    if any(segment in (".", "..") for segment in segments):
        raise InvalidArgumentError(f"The vault {shown!r} has a '.' or '..' in its path. Write the real path.")
    return "/".join(segments)


def _refuse_controls(text: str, shown: str) -> None:
    if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or 0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise InvalidArgumentError(f"The vault URL {shown!r} holds control or undecodable characters.")


def _shown(text: str) -> str:
    """Return a URL as messages may show it: no query, no password."""
    text = text.split("?", 1)[0].split("#", 1)[0]
    scheme, _, rest = text.partition("://")
    who, _, place = rest.rpartition("@")
    return f"{scheme}://***@{place}" if ":" in who else text
