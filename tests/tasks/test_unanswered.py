"""A request that nobody saw answered is what a later refusal is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stand_in import StateStore, make_context

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.http.errors import AnswerLostError, ConnectionFailedError
from airflow_provider_xbackup.services.errors import (
    AuthenticationError,
    CooldownError,
    ServerFaultError,
    ThrottledError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.tasks.unanswered import UnansweredRequest

WITHIN = timedelta(hours=12)


def request(store: StateStore | None, arguments: Any = None, **ti: Any) -> UnansweredRequest:
    return UnansweredRequest(make_context(store, **ti), arguments or {"of": "acme"}, WITHIN)


def explained(store: StateStore | None, arguments: Any = None, **ti: Any) -> str:
    return request(store, arguments, **ti).explain("asked at {at}", "perhaps")


def ask(store: StateStore, error: BaseException | None = None) -> None:
    def send() -> None:
        with request(store).noted():
            if error is not None:
                raise error

    if error is None:
        send()
    else:
        with pytest.raises(type(error)):
            send()


@pytest.mark.parametrize(
    ("error", "open_still"),
    [
        pytest.param(None, False, id="answered"),
        pytest.param(CooldownError("x", available_at=datetime.now(UTC)), False, id="refused"),
        pytest.param(AuthenticationError("x"), False, id="not let in"),
        pytest.param(ThrottledError("x"), False, id="throttled"),
        pytest.param(ConnectionFailedError("x"), False, id="never sent"),
        pytest.param(AnswerLostError("x"), True, id="answer lost"),
        pytest.param(ServerFaultError("x"), True, id="a gateway's error"),
        pytest.param(UnreadableAnswerError("x"), True, id="a page"),
        pytest.param(KeyboardInterrupt(), True, id="interrupted"),
    ],
)
def test_a_request_is_remembered_until_its_answer_is_known(error: BaseException | None, open_still: bool):
    store = StateStore()

    ask(store, error)

    now = f"{datetime.now(UTC):%Y-%m-%d}"
    assert explained(store).startswith(f"asked at {now}") is open_still
    assert (store.values != {}) is open_still


def test_an_error_of_airflows_kind_is_judged_by_what_it_tells_of():
    for plain, open_still in ((AuthenticationError("x"), False), (AnswerLostError("x"), True)):
        store, error = StateStore(), XBackupError("x")
        error.error = plain
        ask(store, error)
        assert (store.values != {}) is open_still


def test_it_is_remembered_over_all_refusals_that_follow_and_no_longer():
    store = StateStore()
    ask(store, AnswerLostError("x"))
    first = explained(store)

    for _ in range(2):
        ask(store, CooldownError("x", available_at=datetime.now(UTC)))
        assert explained(store) == first
    ask(store)

    assert explained(store) == ""


def test_it_explains_nothing_once_it_is_long_ago_or_about_something_else():
    store = StateStore()
    ask(store, AnswerLostError("x"))

    assert explained(store, {"of": "globex"}) == ""
    assert UnansweredRequest(make_context(store), {"of": "acme"}, timedelta()).explain("{at}", "perhaps") == ""


@pytest.mark.parametrize(("try_number", "said"), [(1, ""), (2, "perhaps")])
def test_without_a_store_a_later_try_says_perhaps(try_number: int, said: str):
    assert explained(None, try_number=try_number) == said


def test_a_store_that_fails_or_holds_something_else_costs_nothing():
    class Broken(StateStore):
        def get(self, key: str) -> Any:
            raise RuntimeError

        set = delete = get  # type: ignore[assignment]

    ask(Broken())
    odd = StateStore()
    ask(odd, AnswerLostError("x"))
    (key,) = odd.values
    odd.set(key, odd.get(key) | {"asked_at": "never"})

    assert explained(Broken()) == explained(odd) == ""
