"""age identities: the private keys that read encrypted backups. Held only where reading is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    import pyrage

#: Environment variables: the text of an identity, and the path of a file with one.
TEXT_VARIABLE = "XBACKUP_AGE_IDENTITY"
FILE_VARIABLE = "XBACKUP_AGE_IDENTITY_FILE"

_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how every private key begins
#: An identity file has a few hundred bytes; whatever is larger is another file.
_LARGEST_FILE = 1024 * 1024
#: How other things begin that people take for an identity, and what to say to them.
_OTHERS = {
    "age1": "is a public key, which only encrypts. Give the private one: age-keygen wrote it beside this, "
    "and it begins with AGE-SECRET-KEY-1",
    "AGE-PLUGIN-": "needs an age plugin, which xbackup does not run. Decrypt with the age tool instead",
    "AGE-SECRET-KEY-PQ-": "is a post-quantum key, which is not known here. Decrypt with the age tool instead",
    "age-encryption.org/": "is encrypted itself. Decrypt it first: age --decrypt FILE",
    "-----BEGIN AGE ENCRYPTED FILE": "is encrypted itself. Decrypt it first: age --decrypt FILE",
    "-----BEGIN": "is no age key. Backups are encrypted to age keys (age1...), not to SSH or PGP keys",
    "ssh-": "is an SSH key. Backups are encrypted to age keys (age1...)",
}


class Identities:
    """One private key or several. No key is ever in its text.

    :param keys: the keys, as pyrage has read them; at least one
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[pyrage.x25519.Identity]) -> None:
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"Identities({len(self._keys)})"

    def __len__(self) -> int:
        return len(self._keys)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("Private keys are not to be stored or sent: read them where they are used.")

    @property
    def keys(self) -> tuple[pyrage.x25519.Identity, ...]:
        """The keys, for pyrage."""
        return self._keys


def parse_identities(text: str, source: str) -> Identities:
    """Read private keys in the form that ``age-keygen`` writes: one a line, comments after ``#``.

    :param text: the text; keys may also be separated by blanks
    :param source: where it came from, for messages
    :return: the keys, each once
    :raises InvalidArgumentError: when something in it is no private key; nothing of it is repeated
    :raises MissingDependencyError: when the extra ``encryption`` is not installed
    """
    words = [
        (number, word)
        for number, line in enumerate(text.splitlines(), 1)
        if not line.lstrip().startswith("#")
        for word in (line.split() if _SECRET in line.upper() else [line.strip()])
        if word
    ]
    for number, word in words:
        if not word.upper().startswith(_SECRET):
            told = next((said for start, said in _OTHERS.items() if word.startswith(start)), None)
            told = told or "is no age private key; those begin with AGE-SECRET-KEY-1"
            raise InvalidArgumentError(f"What {source} holds in line {number} {told}.")
    if not words:
        lost = "; its line breaks were lost, so all of it is a comment" if _SECRET in text.upper() else ""
        raise InvalidArgumentError(
            f"There is no age private key in {source}{lost}. It takes what age-keygen wrote: a line that begins "
            "with AGE-SECRET-KEY-1."
        )
    try:
        import pyrage
    except ImportError:
        raise MissingDependencyError(
            "Encrypted backups can be read only with the extra 'encryption': "
            "pip install 'airflow-provider-xbackup[encryption]'"
        ) from None
    keys = []
    for number, word in {word.upper(): (number, word) for number, word in words}.values():
        try:
            keys.append(pyrage.x25519.Identity.from_str(word))
        except Exception:  # noqa: BLE001 - pyrage raises its own error for every key it cannot read
            problem = f"The age private key that {source} holds in line {number} is mistyped or cut off."
        else:
            continue
        raise InvalidArgumentError(problem)
    return Identities(keys)


def read_identity_file(path: str | os.PathLike[str]) -> Identities:
    """Read an identity file, as ``age-keygen -o FILE`` writes it.

    :param path: the file; ``~`` is the home folder
    :return: its keys
    :raises InvalidArgumentError: when it cannot be read or holds no private key
    :raises MissingDependencyError: when the extra ``encryption`` is not installed
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except OSError as exc:
        problem = f"The identity file {str(file)!r} cannot be read: {exc.strerror or type(exc).__name__}."
    else:
        if len(data) > _LARGEST_FILE:
            raise InvalidArgumentError(f"{str(file)!r} is too large for an identity file. Was another one meant?")
        return parse_identities(data.decode("utf-8", "replace"), f"the identity file {str(file)!r}")
    raise InvalidArgumentError(problem)


def identities_from_environment(environment: Mapping[str, str] | None = None) -> Identities | None:
    """Read the private keys of the environment: ``XBACKUP_AGE_IDENTITY`` and ``XBACKUP_AGE_IDENTITY_FILE``.

    :param environment: the environment, default that of the process
    :return: the keys of both, None where neither is set
    :raises InvalidArgumentError: when one is set and holds no private key
    :raises MissingDependencyError: when one is set and the extra ``encryption`` is not installed
    """
    environment = os.environ if environment is None else environment
    found = []
    if text := environment.get(TEXT_VARIABLE, "").strip():
        found.append(parse_identities(text, f"the environment variable {TEXT_VARIABLE}"))
    if path := environment.get(FILE_VARIABLE, "").strip():
        found.append(read_identity_file(path))
    return Identities(key for each in found for key in each.keys) if found else None
