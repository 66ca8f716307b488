from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from airflow_provider_xbackup.assets import account_of, backup_alias, backup_asset, check_uri


@pytest.mark.parametrize(
    ("service", "account", "uri"),
    [
        ("xray", "acme", "xbackup://xray/acme"),
        ("xenioo", "welcome", "xbackup://xenioo/welcome"),
        pytest.param("xray", "Acme GmbH", "xbackup://xray/Acme%20GmbH", id="space"),
        pytest.param("xray", "a@b:c", "xbackup://xray/a%40b%3Ac", id="signs"),
        pytest.param("xray", "bücher", "xbackup://xray/b%C3%BCcher", id="umlaut"),
    ],
)
def test_the_asset_of_an_account_has_its_uri(service: str, account: str, uri: str):
    assert backup_asset(service, account).uri == uri


@pytest.mark.parametrize("account", ["acme", "Acme GmbH", "a@b:c", "bücher", "a%20b"])
def test_an_asset_tells_its_account(account: str):
    assert account_of(backup_asset("xenioo", account).uri) == ("xenioo", account)


def test_the_asset_of_another_provider_tells_no_account():
    with pytest.raises(ValueError, match="xbackup://<service>/<account>"):
        account_of("s3://bucket/key")


def test_two_accounts_never_share_an_asset():
    names = ["acme", "Acme", "a cme", "a%20cme", "acme.", "äcme"]

    assert len({backup_asset("xray", name).uri for name in names}) == len(names)


def test_the_uri_of_an_asset_passes_the_check_that_airflow_calls():
    uri = urlsplit("xbackup://xray/Acme%20GmbH")

    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    "uri", ["xbackup://jira/acme", "xbackup://xray", "xbackup://xray/", "xbackup://xray/a/b", "xbackup:///acme"]
)
def test_what_names_no_account_of_a_service_is_refused_with_the_form_it_should_have(uri: str):
    with pytest.raises(ValueError, match="xbackup://<service>/<account>"):
        check_uri(urlsplit(uri))


def test_each_service_has_an_alias_of_its_own():
    assert backup_alias("xray").name != backup_alias("xenioo").name
