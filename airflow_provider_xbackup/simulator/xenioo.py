"""The Xenioo API, as its documents read. Every bot has a service endpoint: ``/xenioo/<bot>``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from airflow_provider_xbackup.simulator.answers import (
    RefusedError,
    bearer,
    canned,
    gzipped,
    json_answer,
    json_object,
    waiting_words,
)
from airflow_provider_xbackup.simulator.bots import Bot
from airflow_provider_xbackup.simulator.settings import XeniooSettings
from airflow_provider_xbackup.simulator.tokens import Holder, InvalidTokenError
from airflow_provider_xbackup.simulator.world import World

_BLOCK = 1 << 16


class XeniooApi:
    """The endpoints of all bots.

    :param world: the simulator's state
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.router = APIRouter(prefix="/xenioo/{bot}")
        routes: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
            ("POST", "/authorization/integration", self.integration),
            ("POST", "/authorization/code", self.code),
            ("GET", "/bots/backup", self.backup),
            ("POST", "/bots/restore", self.restore),
            ("GET", "/bots", self.list_bots),
        ]
        for method, path, endpoint in routes:
            self.router.add_api_route(path, endpoint, methods=[method])

    @property
    def _settings(self) -> XeniooSettings:
        return self._world.settings.xenioo

    async def integration(self, request: Request, bot: str) -> Response:
        """Keys for a token, where this node knows the endpoint."""
        return await self._authorize(request, bot, exists=self._settings.integration)

    async def code(self, request: Request, bot: str) -> Response:
        """The same on older nodes."""
        return await self._authorize(request, bot, exists=self._settings.code)

    async def backup(self, request: Request, bot: str) -> Response:
        """The backup of the bot that the token belongs to, once an hour."""
        holder = self._holder(request, bot)
        if holder.bot is None:
            raise RefusedError(canned(self._settings.invalid_token))
        found = self._world.bots.find(holder.bot)
        if found is None:
            raise self._error(404, "Bot not found.")
        self._throttle(request, "backup", holder)
        return self._backup_response(found)

    async def restore(self, request: Request, bot: str) -> Response:
        """A brand-new bot from a backup, once an hour."""
        holder = self._holder(request, bot)
        if await json_object(request) is None:
            raise self._error(400, "The body is not a backup.")
        self._throttle(request, "restore", holder)
        made = self._world.bots.restore(await request.body())
        return self._json({"APIKey": made.api_key, "APISecret": made.api_secret})

    async def list_bots(self, request: Request, bot: str) -> Response:
        """Every bot of the account, for a token of the account."""
        if self._holder(request, bot).bot is not None:
            raise RefusedError(canned(self._settings.invalid_token))
        return self._json({"Result": [_listed(each) for each in self._world.bots.all()]})

    async def _authorize(self, request: Request, bot: str, *, exists: bool) -> Response:
        self._endpoint(request, bot)
        if not exists:
            raise self._error(404, "Not found.")
        body = await json_object(request)
        keys = [(body or {}).get(name) for name in ("AccountAPIKey", "BotAPIKey", "BotAPISecret")]
        account, bot_key, bot_secret = keys
        if not account or (bot_key is None) != (bot_secret is None):
            raise self._error(400, "Missing data.")
        if account != self._settings.account_api_key:
            raise RefusedError(canned(self._settings.unknown_key))
        if not self._settings.entitled:
            raise self._error(403, "The account is not entitled to use the API.")
        name = None
        if bot_key is not None:
            keys_match = (
                each for each in self._world.bots.all() if (each.api_key, each.api_secret) == (bot_key, bot_secret)
            )
            found = next(keys_match, None)
            if found is None:
                raise RefusedError(canned(self._settings.unknown_key))
            name = found.name
        seconds = self._settings.token_seconds
        token = self._world.xenioo_tokens.issue(Holder(name), self._world.clock.now(), seconds)
        token_field, end_field = self._settings.token_fields
        return json_answer({token_field: token, end_field: round(seconds / 60)})

    def _endpoint(self, request: Request, bot: str) -> None:
        """Check that the service endpoint exists.

        :raises RefusedError: with 404 where no bot has it
        """
        if self._world.bots.find(bot) is None:
            raise self._error(404, "Not found.")
        request.state.entry.bot = bot

    def _holder(self, request: Request, bot: str) -> Holder:
        """Whom the caller speaks for.

        :raises RefusedError: when the token is not valid
        """
        self._endpoint(request, bot)
        token = bearer(request)
        ready = {each.token: Holder(each.name) for each in self._world.bots.all() if each.token}
        ready[self._settings.account_token] = Holder(None)
        if token in ready:
            return ready[token]
        try:
            return self._world.xenioo_tokens.read(token, self._world.clock.now())
        except InvalidTokenError as error:
            raise RefusedError(canned(self._settings.invalid_token)) from error

    def _throttle(self, request: Request, call: str, holder: Holder) -> None:
        """Spend the hour of a call.

        :raises RefusedError: when it is spent already
        """
        left = self._world.bots.seconds_to_wait(call, holder.bot)
        if left > 0:
            words = waiting_words(self._settings.cooldown_seconds, left)
            headers = {"retry-after": words["total_seconds"]} if self._settings.throttled_retry_after else None
            raise RefusedError(canned(self._settings.throttled, waiting=words, headers=headers))
        self._world.bots.spend(call, holder.bot)
        if not self._settings.broken_call_spends:
            # The fault that breaks the answer off calls this before the caller can notice.
            request.state.on_break = lambda: self._world.bots.refund(call, holder.bot)

    def _backup_response(self, bot: Bot) -> Response:
        settings = self._settings
        headers = {"content-type": settings.backup_content_type}
        if settings.backup_content_disposition is not None:
            headers["content-disposition"] = settings.backup_content_disposition
        if settings.backup_gzip:
            encoded = gzipped(_blocks(bot.content))
            return StreamingResponse(encoded, headers=headers | {"content-encoding": "gzip"})
        if settings.backup_content_length:
            headers["content-length"] = str(len(bot.content))
        return StreamingResponse(_blocks(bot.content), headers=headers)

    def _json(self, payload: dict[str, Any]) -> Response:
        return json_answer(payload, case=self._settings.json_case)

    def _error(self, status: int, message: str) -> RefusedError:
        return RefusedError(json_answer({"error": message}, status=status, case=self._settings.json_case))


def _listed(bot: Bot) -> dict[str, Any]:
    return {
        "Name": bot.name,
        "Description": json.loads(bot.content).get("Culture", ""),
        "APIKey": bot.api_key,
        "APISecret": bot.api_secret,
        "Avatar": "",
        "Channels": [{"Type": "web", "Name": f"{bot.name} on the web"}],
    }


async def _blocks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _BLOCK):
        yield content[start : start + _BLOCK]
