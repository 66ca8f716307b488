"""``[xbackup] vaults``: what can be said there, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.page.watched import read_vaults
from airflow_provider_xbackup.vault.status import AccountName

MAIN = {"name": "main", "url": "file:///srv/backups"}


def test_nothing_configured_means_no_vault():
    assert read_vaults("  ") == ()


def test_a_vault_is_read_with_its_promise_and_policy():
    value = MAIN | {
        "expected_accounts": ["xray/acme"],
        "rpo": "26h",
        "verified_rpo": 86400,
        "retention": {"keep_daily": 7},
        "grace": "5d",
    }

    (vault,) = read_vaults(json.dumps([value]))

    assert set(vault.promise.accounts) == {AccountName("xray", "acme")}
    assert (vault.promise.rpo, vault.promise.verified_rpo) == (timedelta(hours=26), timedelta(days=1))
    assert vault.policy is not None
    assert (vault.policy.keep_daily, vault.grace) == (7, timedelta(days=5))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("{", "no JSON", id="no JSON"),
        pytest.param({"name": "main"}, "JSON list", id="no list"),
        pytest.param(["main"], "vault 1 must be an object", id="no object"),
        pytest.param([{"url": "file:///srv"}], "needs a name", id="no name"),
        pytest.param([MAIN | {"name": "a/b"}], "without a slash", id="a slash in the name"),
        pytest.param([{"name": "main"}], "vault 'main'", id="no url"),
        pytest.param([MAIN | {"url": "ftp://host/x"}], "vault 'main'", id="no vault's url"),
        pytest.param([MAIN, MAIN], "two vaults are called 'main'", id="twice"),
        pytest.param([MAIN | {"rp0": "26h"}], "unknown field 'rp0'", id="unknown field"),
        pytest.param([MAIN | {"rpo": "soon"}], "vault 'main'", id="no duration"),
        pytest.param([MAIN | {"rpo": "1m"}], "days and hours", id="a month has no length"),
        pytest.param([MAIN | {"rpo": True}], "vault 'main'", id="true is no duration"),
        pytest.param([MAIN | {"expected_accounts": ["acme"]}], "names no account", id="no account"),
        pytest.param([MAIN | {"expected_accounts": "xray/acme"}], "must be a list", id="no list of accounts"),
        pytest.param([MAIN | {"retention": {"keep": 3}}], "no field 'keep'", id="no policy"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_place(value: object, words: str):
    text = value if isinstance(value, str) else json.dumps(value)

    with pytest.raises(InvalidArgumentError, match=r"^\[xbackup\] vaults in Airflow's configuration") as caught:
        read_vaults(text)

    assert words in str(caught.value)
