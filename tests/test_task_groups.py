from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.task_groups import rows_for, xenioo_backup, xray_backup
from airflow_provider_xbackup.tasks.arguments import is_literal

VAULT = "file:///srv/backups"

pytestmark = pytest.mark.filterwarnings("ignore:Partial task group")


@pytest.fixture
def dag():
    with DAG("flows", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


@task
def rows() -> list[dict[str, Any]]:
    return []


@task
def row() -> dict[str, Any]:
    return {}


def test_an_xray_flow_asks_waits_and_stores(dag: DAG):
    xray_backup(vault=VAULT)

    assert set(dag.task_ids) == {"xray_backup.create", "xray_backup.wait", "xray_backup.store"}
    assert dag.get_task("xray_backup.create").downstream_task_ids == {"xray_backup.wait"}
    assert dag.get_task("xray_backup.wait").downstream_task_ids == {"xray_backup.store"}


def test_a_xenioo_flow_is_one_task(dag: DAG):
    xenioo_backup(vault=VAULT)

    assert set(dag.task_ids) == {"xenioo_backup.store"}


def test_the_arguments_reach_the_tasks(dag: DAG):
    xray_backup(
        vault=VAULT,
        account="acme",
        project_ids=["1"],
        modified_since="auto",
        with_attachments=True,
        on_cooldown="skip",
        xray_conn_id="xray_acme",
        deferrable=True,
        poke_interval=7,
        timeout=70,
    )

    create, wait, store = (dag.get_task(f"xray_backup.{name}") for name in ("create", "wait", "store"))
    assert (create.project_ids, create.modified_since, create.on_cooldown) == (["1"], "auto", "skip")
    assert create.with_attachments is True
    assert {task.account for task in (create, wait, store)} == {"acme"}
    assert {task.xray_conn_id for task in (create, wait, store)} == {"xray_acme"}
    assert {create.vault, store.vault} == {VAULT}
    assert (wait.deferrable, wait.poke_interval, wait.timeout) == (True, 7, 70)


def test_what_is_not_given_keeps_the_defaults_of_the_operators(dag: DAG):
    from airflow_provider_xbackup.sensors.xray import XrayBackupSensor

    xray_backup(vault=VAULT)

    plain = XrayBackupSensor(task_id="plain", job={"job_id": "1", "requested_at": "2026-01-01T00:00:00Z"})
    wait = dag.get_task("xray_backup.wait")
    assert (wait.deferrable, wait.poke_interval, wait.timeout, wait.pool) == (
        plain.deferrable,
        plain.poke_interval,
        plain.timeout,
        plain.pool,
    )


def test_the_pool_is_that_of_wait_and_store_and_never_of_create(dag: DAG):
    xray_backup(vault=VAULT, pool="backups")

    pools = {name: dag.get_task(f"xray_backup.{name}").pool for name in ("create", "wait", "store")}
    assert pools == {"create": "default_pool", "wait": "backups", "store": "backups"}


@pytest.mark.parametrize(
    ("arguments", "uri"),
    [
        pytest.param({"account": "acme"}, "xbackup://xray/acme", id="account"),
        pytest.param({"xray_conn_id": "xray_acme"}, "xbackup://xray/xray_acme", id="connection"),
        pytest.param({}, "xbackup://xray/xray_default", id="default connection"),
    ],
)
def test_a_flow_of_one_known_account_updates_its_asset(dag: DAG, arguments: dict[str, Any], uri: str):
    xray_backup(vault=VAULT, **arguments)

    (outlet,) = dag.get_task("xray_backup.store").outlets
    assert isinstance(outlet, Asset)
    assert outlet.uri == uri


def test_a_flow_whose_account_is_known_later_updates_it_through_an_alias(dag: DAG):
    xray_backup(vault=VAULT, account="{{ params.account }}")

    (outlet,) = dag.get_task("xray_backup.store").outlets
    assert isinstance(outlet, AssetAlias)


def test_a_mapped_flow_updates_its_assets_through_an_alias(dag: DAG):
    xray_backup.partial(vault=VAULT).expand_kwargs([{"account": "acme"}, {"account": "globex"}])
    xenioo_backup.partial(vault=VAULT).expand_kwargs([{"account": "welcome"}, {"account": "support"}])

    for flow in ("xray_backup", "xenioo_backup"):
        (outlet,) = dag.get_task(f"{flow}.store").outlets
        assert isinstance(outlet, AssetAlias)


def test_rows_that_leave_arguments_out_keep_their_defaults(dag: DAG):
    xray_backup.partial(vault=VAULT).expand_kwargs([{"account": "acme"}, {"account": "globex"}])

    create = dag.get_task("xray_backup.create")
    assert (create.project_ids, create.modified_since, create.on_cooldown) == (None, None, "wait")
    assert create.xray_conn_id == "xray_default"


def test_an_argument_that_any_row_brings_is_mapped(dag: DAG):
    xray_backup.partial(vault=VAULT).expand_kwargs(
        [{"account": "acme", "project_ids": ["1"]}, {"account": "globex", "project_ids": None}]
    )

    assert dag.get_task("xray_backup.create").project_ids is not None


@pytest.mark.parametrize("name", ["pool", "deferrable", "poke_interval", "timeout"])
def test_what_is_the_same_for_all_accounts_cannot_be_mapped(dag: DAG, name: str):
    with pytest.raises(ValueError, match=rf"\.partial\({name}="):
        xray_backup.partial(vault=VAULT).expand_kwargs([{"account": "acme", name: 1}, {"account": "b", name: 2}])


@pytest.mark.parametrize("name", ["pool", "deferrable", "poke_interval", "timeout"])
def test_what_is_the_same_for_all_accounts_cannot_be_expanded(dag: DAG, name: str):
    with pytest.raises(ValueError, match=rf"\.partial\({name}="):
        xray_backup.partial(vault=VAULT).expand(**{name: [1, 2]})


@pytest.mark.parametrize("flow", [xray_backup, xenioo_backup])
def test_rows_that_come_from_a_task_bring_everything_but_what_is_the_same_for_all_accounts(dag: DAG, flow: Any):
    flow.partial(vault=VAULT).expand_kwargs(rows())

    store = dag.get_task(f"{flow.function.__name__}.store")
    assert store.pool == "default_pool"
    assert not is_literal(store.account)
    assert not is_literal(store.encrypt_to)


def test_rows_of_which_only_one_comes_from_a_task_keep_the_pool_of_all_accounts(dag: DAG):
    given = {"account": "a", "on_cooldown": "wait", "encrypt_to": None, "xenioo_conn_id": "a"}
    xenioo_backup.partial(vault=VAULT).expand_kwargs([given, row()])

    assert dag.get_task("xenioo_backup.store").pool == "default_pool"


@pytest.mark.parametrize(
    ("brought", "says"),
    [
        pytest.param([{"account": "a"}, {"account": "b", "encrypt_to": None}], "Row 1 .*'encrypt_to'", id="first"),
        pytest.param([{"account": "a"}, {"xenioo_conn_id": "b", "account": "b"}, {}], "Row", id="several"),
        pytest.param([{"account": "a"}, {"account": "b"}, {}], "Row 3 .*'account'", id="last"),
        pytest.param([{"account": "a", "pool": "x"}, {"account": "b"}], "Row 2 .*'pool'", id="pool"),
    ],
)
def test_what_only_some_rows_hold_is_refused_when_the_dag_is_parsed(dag: DAG, brought: Any, says: str):
    with pytest.raises(ValueError, match=says):
        xenioo_backup.partial(vault=VAULT).expand_kwargs(brought)


def test_what_a_row_lacks_next_to_rows_of_a_task_is_refused_when_the_dag_is_parsed(dag: DAG):
    with pytest.raises(ValueError, match=r"Row 1 of the map has no"):
        xenioo_backup.partial(vault=VAULT).expand_kwargs([{"account": "a"}, row()])


def test_the_pool_of_a_bot_cannot_be_mapped(dag: DAG):
    with pytest.raises(ValueError, match=r"\.partial\(pool="):
        xenioo_backup.partial(vault=VAULT).expand_kwargs(
            [{"account": "a", "pool": "x"}, {"account": "b", "pool": "y"}]
        )


def test_what_is_the_same_for_all_accounts_is_given_with_partial(dag: DAG):
    xray_backup.partial(vault=VAULT, pool="backups", deferrable=True).expand_kwargs([{"account": "acme"}])

    assert dag.get_task("xray_backup.wait").pool == "backups"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"vault": "/srv"}, id="vault"),
        pytest.param({"vault": VAULT, "account": "a/b"}, id="account"),
        pytest.param({"vault": VAULT, "project_ids": []}, id="project_ids"),
        pytest.param({"vault": VAULT, "on_cooldown": "hope"}, id="on_cooldown"),
    ],
)
def test_a_flow_that_cannot_be_meant_is_refused_when_the_dag_is_parsed(dag: DAG, arguments: dict[str, Any]):
    with pytest.raises(XBackupFailError):
        xray_backup(**arguments)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param([], "nothing would be backed up", id="no rows"),
        pytest.param([{"acount": "a"}], "Row 1 of the map has 'acount'", id="a misspelt argument"),
    ],
)
def test_rows_that_airflow_would_drop_silently_are_refused_when_the_dag_is_parsed(rows: Any, words: str):
    with DAG("rows", schedule=None), pytest.raises(ValueError, match=words):
        xray_backup.partial(vault="file:///v").expand_kwargs(rows)


TEMPLATE = "{{ params.account }}"


@pytest.mark.parametrize(
    ("partial", "rows", "words"),
    [
        pytest.param(
            {}, [{"account": "a"}, {"account": "b"}, {"account": "a"}], "Rows 1 and 3 .*'a'", id="the same account"
        ),
        pytest.param(
            {},
            [{"account": "a", "project_ids": ["1"]}, {"account": "a", "project_ids": ["2"]}],
            "Rows 1 and 2 .*one row",
            id="projects of one tenant in two rows",
        ),
        pytest.param(
            {"account": "a"},
            [{"project_ids": ["1"]}, {"project_ids": ["2"]}],
            "Rows 1 and 2 .*'a'",
            id="from partial",
        ),
        pytest.param(
            {}, [{"project_ids": ["1"]}, {"project_ids": ["2"]}], "'xray_default'", id="the default connection"
        ),
        pytest.param(
            {}, [{"xray_conn_id": "t"}, {"xray_conn_id": "t"}], "'t'", id="named by the connection, both times"
        ),
        pytest.param(
            {},
            [{"account": "t", "xray_conn_id": "x"}, {"account": None, "xray_conn_id": "t"}],
            "'t'",
            id="named by the connection, one time",
        ),
        pytest.param(
            {}, [{"account": "a"}, {"account": TEMPLATE}, {"account": "a"}], "Rows 1 and 3", id="around a template"
        ),
    ],
)
def test_two_rows_for_one_account_are_refused_when_the_dag_is_parsed(
    dag: DAG, partial: dict[str, Any], rows: Any, words: str
):
    with pytest.raises(ValueError, match=words):
        xray_backup.partial(vault=VAULT, **partial).expand_kwargs(rows)


@pytest.mark.parametrize(
    ("partial", "lists"),
    [
        pytest.param({}, {"account": ["a", "b", "a"]}, id="in the list of accounts"),
        pytest.param({"account": "a"}, {"project_ids": [["1"], ["2"]]}, id="over its projects"),
        pytest.param({}, {"account": ["a", "b"], "project_ids": [["1"], ["2"]]}, id="in every combination"),
    ],
)
def test_an_account_that_is_expanded_twice_is_refused_when_the_dag_is_parsed(
    dag: DAG, partial: dict[str, Any], lists: dict[str, Any]
):
    with pytest.raises(ValueError, match="both for the account 'a'"):
        xray_backup.partial(vault=VAULT, **partial).expand(**lists)


def test_two_rows_for_one_bot_are_refused_when_the_dag_is_parsed(dag: DAG):
    with pytest.raises(ValueError, match=r"Rows 1 and 2 .*'welcome'"):
        xenioo_backup.partial(vault=VAULT).expand_kwargs(
            [{"xenioo_conn_id": "welcome"}, {"xenioo_conn_id": "welcome"}]
        )


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"account": TEMPLATE}, {"account": TEMPLATE}], id="templates"),
        pytest.param([{"account": "a"}, {"account": "b"}], id="two accounts"),
        pytest.param([{"account": "a"}], id="one row"),
    ],
)
def test_rows_that_are_not_known_to_be_of_one_account_pass(dag: DAG, rows: Any):
    xray_backup.partial(vault=VAULT).expand_kwargs(rows)


def test_one_account_may_be_a_tenant_and_a_bot(dag: DAG):
    xray_backup.partial(vault=VAULT).expand_kwargs([{"account": "acme"}])
    xenioo_backup.partial(vault=VAULT).expand_kwargs([{"account": "acme"}])


LOCKING = "s3://backups@acme-backups/vault"


def test_a_lock_reaches_the_task_that_stores_and_the_one_that_asks(dag: DAG):
    xray_backup(vault=LOCKING, lock_for="90d", lock_mode="compliance")
    xenioo_backup(vault=LOCKING, lock_for="{{ var.value.lock }}")

    assert dag.get_task("xray_backup.create").lock_for == "90d"
    assert dag.get_task("xray_backup.store").lock_for == "90d"
    assert dag.get_task("xray_backup.store").lock_mode == "compliance"
    assert dag.get_task("xenioo_backup.store").lock_for == "{{ var.value.lock }}"


def test_a_lock_of_mapped_flows_is_given_with_partial_and_may_be_a_template(dag: DAG):
    rows = [{"account": "a", "xenioo_conn_id": "a"}, {"account": "b", "xenioo_conn_id": "b"}]
    xenioo_backup.partial(vault=LOCKING, lock_for="{{ var.value.lock }}").expand_kwargs(rows)

    assert dag.get_task("xenioo_backup.store").lock_for == "{{ var.value.lock }}"
    with pytest.raises(ValueError, match=r"\.partial\(lock_for="):
        xenioo_backup.override(group_id="other").partial(vault=LOCKING).expand_kwargs(
            [row | {"lock_for": "90d"} for row in rows]
        )


@pytest.mark.parametrize("flow", [xray_backup, xenioo_backup])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"vault": VAULT, "lock_for": "90d"}, "only buckets on S3", id="a vault that locks nothing"),
        pytest.param({"vault": LOCKING, "lock_for": "90"}, "is no duration", id="no duration"),
        pytest.param({"vault": LOCKING, "lock_mode": "hard"}, "'governance' or 'compliance'", id="no mode"),
    ],
)
def test_a_lock_that_cannot_be_is_refused_when_the_dag_is_parsed(
    dag: DAG, flow: Any, arguments: dict[str, Any], says: str
):
    with pytest.raises(XBackupFailError, match=says):
        flow(**arguments)


def test_a_lock_is_looked_at_beforehand_only_where_the_vault_is_known(dag: DAG):
    with pytest.raises(XBackupFailError, match="vault must say what will be locked"):
        XrayCreateBackupOperator(task_id="create", lock_for="90d")


@pytest.mark.parametrize(
    ("flow", "row", "complete"),
    [
        pytest.param(
            xray_backup,
            {"account": "acme", "project_ids": ["1"]},
            {
                "account": "acme",
                "project_ids": ["1"],
                "modified_since": None,
                "with_attachments": False,
                "on_cooldown": "wait",
                "encrypt_to": None,
                "xray_conn_id": "xray_default",
            },
            id="xray",
        ),
        pytest.param(
            xenioo_backup,
            {"xenioo_conn_id": "welcome"},
            {"account": None, "on_cooldown": "wait", "encrypt_to": None, "xenioo_conn_id": "welcome"},
            id="xenioo",
        ),
    ],
)
def test_rows_that_a_task_has_read_get_the_defaults_of_what_they_leave_out(flow: Any, row: Any, complete: Any):
    assert rows_for(flow, [row]) == [complete]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param([], "nothing would be backed up", id="no rows"),
        pytest.param(["acme"], "list of objects", id="names instead of rows"),
        pytest.param([{"account": "a"}, {"encrypt": "age1"}], "Row 2 .*'encrypt'", id="a misspelt argument"),
        pytest.param([{"account": "a", "pool": "p"}], "pool is the same for all", id="what is not mapped"),
        pytest.param([{"account": "a"}, {"account": "a"}], "Rows 1 and 2 .*'a'", id="an account twice"),
        pytest.param([{}, {"account": "xray_default"}], "Rows 1 and 2 .*'xray_default'", id="a connection's name"),
    ],
)
def test_rows_that_a_task_has_read_and_that_cannot_be_meant_fail_it_without_retries(rows: Any, words: str):
    with pytest.raises(XBackupFailError, match=words):
        rows_for(xray_backup, rows)
