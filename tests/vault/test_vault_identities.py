"""Where private keys are read from, and what is refused without repeating it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyrage
import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.identities import (
    Identities,
    identities_from_environment,
    parse_identities,
    read_identity_file,
)

ONE, TWO = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
PUBLIC = str(ONE.to_public())


def texts(identities: Identities | None) -> list[str]:
    assert identities is not None
    return [str(key) for key in identities.keys]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(str(ONE), [ONE], id="one"),
        pytest.param(f"# created: 2026\n# public key: {PUBLIC}\n{ONE}\n", [ONE], id="as age-keygen writes it"),
        pytest.param(f"{ONE}\r\n\r\n  # second\r\n  {TWO}\r\n", [ONE, TWO], id="several"),
        pytest.param(f"{ONE} {TWO}", [ONE, TWO], id="in one line"),
        pytest.param(f"{ONE}\n{ONE}\n", [ONE], id="twice"),
        pytest.param(str(ONE).lower(), [ONE], id="lower case"),
    ],
)
def test_private_keys_are_read(text: str, expected: list[object]) -> None:
    assert texts(parse_identities(text, "a test")) == [str(key) for key in expected]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("", "no age private key in a test", id="empty"),
        pytest.param("# only a comment\n", "no age private key in a test", id="a comment"),
        pytest.param(f"# created: today # public key: {PUBLIC} {ONE}", "line breaks were lost", id="folded"),
        pytest.param(f"# mine\n{PUBLIC}\n", "line 2 is a public key, which only encrypts", id="a public key"),
        pytest.param(str(ONE)[:-1], "mistyped or cut off", id="cut off"),
        pytest.param(str(ONE)[:-1] + ("Q" if str(ONE)[-1] != "Q" else "P"), "mistyped", id="mistyped"),
        pytest.param("age-encryption.org/v1\n-> scrypt", "is encrypted itself", id="encrypted"),
        pytest.param("-----BEGIN AGE ENCRYPTED FILE-----", "is encrypted itself", id="encrypted and armoured"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----", "not to SSH", id="an SSH key"),
        pytest.param("ssh-ed25519 AAAA", "is an SSH key", id="a public SSH key"),
        pytest.param("AGE-PLUGIN-YUBIKEY-1ABC", "needs an age plugin", id="a plugin"),
        pytest.param("hunter2", "is no age private key", id="a password"),
    ],
)
def test_anything_else_is_refused_and_not_repeated(text: str, word: str) -> None:
    with pytest.raises(InvalidArgumentError, match=word) as caught:
        parse_identities(text, "a test")
    assert str(ONE)[20:40] not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_no_key_is_in_any_text_or_pickle() -> None:
    identities = parse_identities(f"{ONE}\n{TWO}", "a test")
    assert repr(identities) == str(identities) == f"{identities}" == "Identities(2)"
    with pytest.raises(TypeError, match="not to be stored"):
        pickle.dumps(identities)


def test_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key.txt").write_text(f"# public key: {PUBLIC}\n{ONE}\n")
    assert texts(read_identity_file(tmp_path / "key.txt")) == [str(ONE)]
    assert texts(read_identity_file("~/key.txt")) == [str(ONE)]


def test_a_file_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "backup.zip").write_bytes(bytes(2_000_000))
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00" * 100)
    for name, word in (("backup.zip", "too large"), ("noise", "no age private key"), ("none", "No such file")):
        with pytest.raises(InvalidArgumentError, match=word):
            read_identity_file(tmp_path / name)
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_identity_file(tmp_path)


def test_the_environment_gives_a_text_a_file_both_or_none(tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text(str(TWO))
    text, path = {"XBACKUP_AGE_IDENTITY": str(ONE)}, {"XBACKUP_AGE_IDENTITY_FILE": str(file)}
    assert identities_from_environment({}) is None
    assert identities_from_environment({"XBACKUP_AGE_IDENTITY": " "}) is None
    assert texts(identities_from_environment(text)) == [str(ONE)]
    assert texts(identities_from_environment(path)) == [str(TWO)]
    assert texts(identities_from_environment(text | path)) == [str(ONE), str(TWO)]


def test_a_wrong_key_in_the_environment_names_its_variable() -> None:
    with pytest.raises(InvalidArgumentError, match="XBACKUP_AGE_IDENTITY holds in line 1 is a public key"):
        identities_from_environment({"XBACKUP_AGE_IDENTITY": PUBLIC})
