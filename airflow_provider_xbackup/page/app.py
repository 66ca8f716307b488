"""The app under ``/xbackup``: routes, who may ask them, and what every answer carries.

Whoever asks must be signed in to Airflow and may see its plugins' views. All routes read, none writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from airflow_provider_xbackup import __version__, configuration
from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.page import answers
from airflow_provider_xbackup.page.watch import Looked, Watch, utc_now
from airflow_provider_xbackup.page.watched import WatchedVault
from airflow_provider_xbackup.vault.conditions import Condition, stand
from airflow_provider_xbackup.vault.errors import ManifestError, NoSuchBackupError, StoreUnavailableError
from airflow_provider_xbackup.vault.status import AccountName
from airflow_provider_xbackup.vault.vault import Vault

_STATIC = files("airflow_provider_xbackup.page") / "static"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

#: Own scripts and styles only, no inline ones; shown in frames of Airflow itself alone.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SIGN_IN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Backups</title>'
    "<p>You are not signed in to Airflow. Sign in there, and open this page again."
)
#: What every refusal means, by its status; the API's description names those of each route.
_REFUSALS = {
    401: "Nobody is signed in.",
    403: "The user's role in Airflow does not let them see plugins.",
    404: "There is no such vault, account or backup.",
    409: "The backup's manifest is damaged.",
    422: "A name, an id or the configuration cannot be used.",
    502: "The vault refuses, or cannot be read.",
    504: "The vault does not answer in time.",
}
#: What an error of a vault means over HTTP, the first that fits.
_STATUS: tuple[tuple[type[BackupError], int], ...] = (
    (NoSuchBackupError, 404),
    (InvalidArgumentError, 422),
    (ManifestError, 409),
    (StoreUnavailableError, 504),
    (BackupError, 502),
)

Name = Annotated[str, Query(max_length=200)]


def create_app(
    vaults: Callable[[], tuple[WatchedVault, ...]] = configuration.vaults,
    open_vault: Callable[[object], Vault] | None = None,
) -> FastAPI:
    """Make the app.

    :param vaults: returns the vaults to show; asked once, with the first request
    :param open_vault: opens one of them; by default with the credentials of its connection
    :return: the app, to be mounted into Airflow's
    """
    app = FastAPI(
        title="XBackup",
        version=__version__,
        description="The state of the backups in the configured vaults. Read-only.",
        # They would be served to everybody; /api/openapi.json below is not.
        openapi_url=None,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
        responses=_refusals(401, 403, 422),
    )
    watched = _Watched(vaults, open_vault or _open_vault)
    _add_page(app)
    _add_api(app, watched)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(BackupError)
    async def tell(_: Request, exc: BackupError) -> Response:
        status = next(status for kind, status in _STATUS if isinstance(exc, kind))
        return JSONResponse({"detail": str(exc)}, status)

    @app.exception_handler(401)
    async def ask_to_sign_in(request: Request, exc: HTTPException) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return Response(_SIGN_IN, 401, media_type="text/html")
        return JSONResponse({"detail": exc.detail}, 401)

    return app


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": answers.Refusal, "description": _REFUSALS[status]} for status in statuses}


class _Watched:
    """The configured vaults by their names; the only ones that anybody can ask about.

    :param vaults: returns them
    :param open_vault: opens one
    """

    def __init__(
        self, vaults: Callable[[], tuple[WatchedVault, ...]], open_vault: Callable[[object], Vault]
    ) -> None:
        self._vaults = vaults
        self._open_vault = open_vault
        self._watches: dict[str, Watch] | None = None

    @property
    def all(self) -> Mapping[str, Watch]:
        """All of them, in the order of the configuration."""
        if self._watches is None:
            patience = configuration.page_timeout().total_seconds()
            self._watches = {each.name: Watch(each, self._open_vault, patience) for each in self._vaults()}
        return self._watches

    def __getitem__(self, name: str) -> Watch:
        watch = self.all.get(name)
        if watch is None:
            raise HTTPException(404, "No such vault is configured.")
        return watch


def _open_vault(url: object) -> Vault:
    from airflow_provider_xbackup.hooks.vault import VaultHook

    return VaultHook(url).vault


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return _file("index.html")

    @app.get("/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in _assets():
            raise HTTPException(404, "There is no such file.")
        return _file(name)

    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> dict[str, Any]:
        return {**app.openapi(), "servers": [{"url": request.scope["root_path"]}]}


def _add_api(app: FastAPI, watched: _Watched) -> None:
    @app.get("/api/vaults")
    def list_vaults() -> list[answers.Configured]:
        """List the configured vaults. Nothing is asked of them."""
        return [answers.Configured.of(watch.config) for watch in watched.all.values()]

    @app.get("/api/vaults/{vault}/accounts", responses=_refusals(404))
    async def list_accounts(
        vault: str,
        q: Name = "",
        condition: Condition | None = None,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> answers.Accounts:
        """Tell how the accounts of a vault stand, the worst first.

        A vault that does not answer in time is no error: ``problem`` says so, beside what was seen last.
        """
        watch = watched[vault]
        looked = await watch.look()

        def answer() -> answers.Accounts:
            now = utc_now()
            overview = looked.overview
            standings = [] if overview is None else stand(overview, watch.config.promise, now)
            return answers.accounts(
                watch.config,
                overview,
                standings,
                looked.problem,
                now,
                text=q,
                condition=condition or "",
                offset=offset,
                limit=limit,
            )

        return await watch.compute(answer)

    @app.get("/api/vaults/{vault}/accounts/{service}/{account}", responses=_refusals(404, 504))
    async def show_account(vault: str, service: str, account: str) -> answers.AccountPage:
        """Show one account with its history."""
        watch, name = watched[vault], _name(service, account)
        looked = await watch.look()
        return await watch.compute(partial(_account, watch.config, looked, name))

    @app.get("/api/vaults/{vault}/accounts/{service}/{account}/retention", responses=_refusals(404, 502, 504))
    async def preview_retention(vault: str, service: str, account: str) -> answers.RetentionPage:
        """Say what retention would do with an account now, and why. Nothing is done."""
        watch, name = watched[vault], _name(service, account)
        return await watch.ask(lambda there: answers.retention(watch.config, there, name, utc_now()))

    @app.get(
        "/api/vaults/{vault}/accounts/{service}/{account}/backups/{backup_id}",
        responses=_refusals(404, 409, 502, 504),
    )
    async def show_backup(vault: str, service: str, account: str, backup_id: str) -> answers.BackupPage:
        """Show everything about one backup."""
        watch, name = watched[vault], _name(service, account)
        return await watch.ask(lambda there: answers.backup(watch.config, there, name, backup_id, utc_now()))


def _account(vault: WatchedVault, looked: Looked, name: AccountName) -> answers.AccountPage:
    if looked.overview is None:
        raise StoreUnavailableError(looked.problem or "The vault has not answered.")
    now = utc_now()
    for standing in stand(looked.overview, vault.promise, now):
        if standing.name == name:
            return answers.account(vault, looked.overview, standing, looked.problem, now)
    raise HTTPException(404, f"The vault {vault.name!r} knows no such account.")


def _name(service: str, account: str) -> AccountName:
    return AccountName.parse(f"{service}/{account}")


def _assets() -> frozenset[str]:
    return frozenset(each.name for each in _STATIC.iterdir() if each.name.partition(".")[2] in _TYPES)


def _file(name: str) -> Response:
    media_type = _TYPES[name.partition(".")[2]]
    return Response((_STATIC / name).read_bytes(), media_type=media_type)
