"""What the errors of the stores mean, in one place.

The stores' own texts are not passed on: they hold URLs, which on Azure may hold a signature.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_xbackup.quoting import quotable
from airflow_provider_xbackup.vault.errors import (
    MissingBucketError,
    NoSpaceError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableObjectError,
    UnwritableFolderError,
    VaultAccessError,
    VaultError,
)
from airflow_provider_xbackup.vault.url import VaultUrl

T = TypeVar("T")


class UnconditionalStoreError(VaultError):
    """The store knows no conditional write. Never leaves :class:`~.store.Store`."""


class LostAnswerError(StoreUnavailableError):
    """The connection ended before an answer came, and obstore has not asked again: it may have been done."""


class GoneUploadError(ObjectMissingError):
    """The parts of an upload are gone: put together already, or aborted."""


class UnclearDeletionError(VaultError):
    """The store has answered a deletion, and not said of what. Never leaves :class:`~.store.Store`."""


_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOENT)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR)
#: What concerns the one file that was read, and not the disk or this process. EUCLEAN and EBADMSG: its checksum.
_UNREADABLE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MISSING_BUCKET = {"NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"}
_NO_CONDITION = {"NotImplemented", "UnsupportedHeader"}
_ARCHIVED = {"InvalidObjectState", "BlobArchived"}
_GONE_UPLOAD = {"NoSuchUpload", "InvalidBlockList"}
_REFUSED_CODES = {
    "AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthenticationFailed", "AuthorizationFailure",
    "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "PermanentRedirect",
    "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip
_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_REPEATED = re.compile(r"after \d+ retries")
_OS_ERROR = re.compile(r"\(os error (\d{1,4})\)")
_NOBODY_THERE = (
    "error sending request", "HTTP error", "timed out", "timeout", "error decoding response body",
    "Could not connect", "Connection was closed",
)  # fmt: skip
_CREDENTIALS = ("credential", "token", "oauth")
_PROVIDER = re.compile(r"External \w+ credential provider: (\w{1,80})")
#: What google.auth, azure.identity and botocore raise when the service that hands out credentials is away.
_TOKENS_AWAY = {
    "ConnectTimeoutError", "ConnectionClosedError", "ConnectionError", "EndpointConnectionError",
    "MetadataRetrievalError", "ReadTimeoutError", "ServiceRequestError", "ServiceResponseError", "Timeout",
    "TransportError",
}  # fmt: skip


def translated(url: VaultUrl, action: str, path: str, call: Callable[[], T]) -> T:
    """Do a call of a store, and say what its error means.

    :param url: the vault
    :param action: what the call does, as it stands before the object: ``"read"``
    :param path: the object
    :param call: the call
    :raises VaultError: when it fails
    """
    try:
        return call()
    except VaultError:
        raise
    except Exception as exc:  # noqa: BLE001 - obstore and boto3 raise built-in errors as well as their own
        error = translate(exc, url, action, path)
    # Raised out here, so that the store's own error, with its URLs, is in no chain.
    try:
        raise error
    finally:
        del error  # else it keeps this frame, and this frame the error, with all bytes under way


def translate(exc: Exception, url: VaultUrl, action: str, path: str) -> VaultError:
    """Say what an error of a store means to the person who has to act."""
    from obstore import exceptions as obs

    where = url.join(path)
    # Every text of obstore names its retry_timeout, which says nothing of this error.
    text = _text(exc).replace("retry_timeout", "")
    number = _errno(exc, text)
    status = next((int(a or b) for a, b in _STATUS.findall(text)), 0)
    code = _first(_CODE, text)

    if (provider := _first(_PROVIDER, text)) or (isinstance(exc, obs.UnauthenticatedError) and not status):
        return no_credentials(url, provider or type(exc).__name__)
    if isinstance(exc, (obs.AlreadyExistsError, obs.PreconditionError, FileExistsError)):
        if action == "create":
            return ObjectExistsError(f"{where} exists already.")
        if isinstance(exc, obs.PreconditionError):
            return UnreadableObjectError(f"{where} changed while it was read. Try again.")
    if code in _MISSING_BUCKET or "specified bucket does not exist" in text:
        return _missing_bucket(url)
    if code in _GONE_UPLOAD:
        return GoneUploadError(f"The parts of {where} are gone.")
    if "invalid DeleteObjects response" in text:
        return UnclearDeletionError(f"The store does not say whether {where} is gone.")
    if status == 501 or code in _NO_CONDITION or isinstance(exc, obs.NotSupportedError | NotImplementedError):
        return UnconditionalStoreError(f"The store does not know what was asked to {action} {where}.")
    if url.scheme == "file":
        return _disk_error(exc, number, url, action, path)
    if isinstance(exc, FileNotFoundError) or status == 404:
        if action in ("open", "list", "write", "create") and not path:
            return _missing_bucket(url)
        return ObjectMissingError(f"{where} does not exist.")
    reason = _reason(status, code, text)
    if code in _ARCHIVED:
        return UnreadableObjectError(
            f"{where} lies in an archive of the store and cannot be read ({reason}). Have the store restore it, "
            "and keep vaults in a class of storage that is read at once."
        )
    if (
        status in (401, 403)
        or code in _REFUSED_CODES
        or isinstance(exc, (obs.PermissionDeniedError, obs.UnauthenticatedError))
    ):
        return VaultAccessError(f"The store refused to {action} {where}: {reason}. {_advice(url, status, code)}")
    if status in (301, 307):
        return VaultAccessError(
            f"The store refused to {action} {where}: the bucket lies in another region or at another "
            f"endpoint. Set {_region(url)}."
        )
    if status in (408, 429) or status >= 500:
        return StoreUnavailableError(f"The store could not {action} {where}: {reason}. Try again later.")
    if status == 0 and any(word in text for word in _NOBODY_THERE):
        if "InvalidCertificate" in text:
            return StoreUnavailableError(
                f"The certificate of the store of {url} is not trusted, so {where} was not reached. If it is the "
                f"right store, name its authority's certificates{_bundle_hint(url)}."
            )
        kind = StoreUnavailableError if _REPEATED.search(text) else LostAnswerError
        return kind(
            f"The store of {url} does not answer ({_network(text)}), so {where} could not be reached. Check "
            f"that it runs and that its address is right{_endpoint_hint(url)}."
        )
    if status == 0 and any(word in text.lower() for word in _CREDENTIALS):
        return no_credentials(url, type(exc).__name__)
    # An error with a code of its own came in answer to this request; a HEAD has none, and a 400 may mean anything.
    unreadable = action == "read" and 400 <= status < 500 and code
    failed = UnreadableObjectError if unreadable else VaultError
    return failed(f"The store could not {action} {where}: {reason or type(exc).__name__}.")


def cannot_open(url: VaultUrl, problem: str, variables: str) -> VaultAccessError:
    """Say that a vault's store cannot be opened.

    :param url: the vault
    :param problem: what is in the way
    :param variables: what the environment would hold, where no connection leads to the vault
    """
    if url.conn_id:
        where = f"Check the Airflow connection {url.conn_id!r}."
    else:
        where = (
            f"Set {variables} in the environment, or name an Airflow connection: "
            f"{url.scheme}://conn_id@{url.bucket}/{url.prefix}."
        )
    return VaultAccessError(f"The vault {url} cannot be opened: {problem}. {where}")


def no_credentials(url: VaultUrl, kind: str) -> VaultError:
    """Say that there are no credentials for a vault, for good or for now.

    :param url: the vault
    :param kind: the name of the error of what should have handed them out, or the code it answered
    """
    if kind in _TOKENS_AWAY:
        return StoreUnavailableError(
            f"No credentials could be had for the vault {url} ({kind}): what hands them out does not answer. Try "
            "again later."
        )
    # Google refuses a token that was asked for at the wrong time as it does one with a wrong key.
    also = " See that this machine's clock is right as well." if kind == "RefreshError" else ""
    return VaultAccessError(
        f"No credentials could be had for the vault {url} ({kind}). {_advice(url, 0, '')}{also}"
    )


def _text(exc: Exception) -> str:
    """Return what an error says, in obstore's way: the store's answer as the XML it was."""
    response = getattr(exc, "response", None)  # boto3 has read it already
    if not isinstance(response, dict):
        return str(exc)
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return f"status code: {status:03} <Code>{error.get('Code')}</Code><Message>{error.get('Message')}</Message>"


def _missing_bucket(url: VaultUrl) -> MissingBucketError:
    noun = "container" if url.scheme == "abfs" else "bucket"
    via = f" through the connection {url.conn_id!r}" if url.conn_id else ""
    return MissingBucketError(
        f"The {noun} {url.bucket!r} of the vault {url} does not exist{via}. Make it first, or correct the "
        "URL; a vault is not the place to make buckets."
    )


def _disk_error(exc: Exception, number: int, url: VaultUrl, action: str, path: str) -> VaultError:
    what = os.strerror(number) if number else type(exc).__name__
    where = url.join(path)
    if number in _NO_SPACE:
        return NoSpaceError(
            f"The disk of the vault {url} is full ({what}): {where} was not written. Make room or apply "
            "retention, then run the task again."
        )
    if action in ("look at", "read", "remove", "list"):
        if isinstance(exc, FileNotFoundError) or number in (errno.ENOENT, errno.ENOTDIR):
            return ObjectMissingError(f"{where} does not exist.")
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            return VaultAccessError(
                f"This user (uid {os.getuid()}) may not {action} {where}: {what}. Correct the owner or the "
                "mode of the folder."
            )
    elif number in _IN_THE_WAY:
        return UnwritableFolderError(
            f"The vault {url} cannot be written: a file lies where a folder is needed, at {where} or above it. "
            "Move it away, or correct the URL."
        )
    elif number in _UNWRITABLE:
        return UnwritableFolderError(
            f"The vault {url} cannot be written by this user (uid {os.getuid()}): {what} at {where}. Make "
            "the folder and give it to that user, or correct the URL."
        )
    kind = UnreadableObjectError if action in ("look at", "read") and number in _UNREADABLE else VaultError
    return kind(f"The disk could not {action} {where}: {what}.")


def _errno(exc: Exception, text: str) -> int:
    if isinstance(exc, OSError) and exc.errno:
        return exc.errno
    found = _OS_ERROR.search(text)
    return int(found[1]) if found else 0


def _reason(status: int, code: str, text: str) -> str:
    message = quotable(_first(_MESSAGE, text)).rstrip(" .")
    parts = [f"HTTP {status}" if status else "", code, message]
    return ", ".join(part for part in parts if part)


def _advice(url: VaultUrl, status: int, code: str) -> str:
    if code == "RequestTimeTooSkewed":
        return "The clocks of this machine and of the store differ too much: set this machine's."
    if code in ("AuthorizationHeaderMalformed", "PermanentRedirect"):
        return f"Set {_region(url)}."
    if url.conn_id:
        return f"Check the Airflow connection {url.conn_id!r} and what it is allowed to do."
    if status == 403:
        return "Check the credentials of the environment and what they are allowed to do."
    return f"Check the credentials of the environment, or name an Airflow connection: {url.scheme}://conn_id@..."


def _region(url: VaultUrl) -> str:
    return f"region_name in the connection {url.conn_id!r}" if url.conn_id else "AWS_REGION"


def _endpoint_hint(url: VaultUrl) -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if url.scheme == "s3" else ()
    if url.conn_id:
        return f" in the connection {url.conn_id!r}"
    return next((f" ({name})" for name in names if name in os.environ), "")


def _bundle_hint(url: VaultUrl) -> str:
    if url.scheme != "s3":
        return " in SSL_CERT_FILE"
    return f" as verify in the connection {url.conn_id!r}" if url.conn_id else " in AWS_CA_BUNDLE"


def _network(text: str) -> str:
    table = (
        ("dns error", "its name is not known"),
        ("Connection refused", "connection refused"),
        ("imed out", "timed out"),
        ("imeout", "timed out"),
        ("onnection reset", "connection reset"),
    )
    return next((meaning for word, meaning in table if word in text), "connection failed")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
