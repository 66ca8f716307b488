"""Every fact the vendors leave open, as a switch. Defaults follow the documents or the likeliest guess."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]
KeyCase = Literal["documented", "lower", "upper", "pascal"]


class Settings(BaseModel):
    """Base of all settings: assignments are checked, a misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class CannedAnswer(Settings):
    """An answer whose wording no document gives.

    :param status: HTTP status
    :param body: body text; some places fill placeholders, they say which
    :param content_type: value of ``Content-Type``
    :param headers: further headers
    """

    status: int = Field(ge=200, le=599)
    body: str
    content_type: str = "application/json"
    headers: dict[str, str] = {}


class DataSettings(Settings):
    """What one Xray tenant holds.

    :param seed: same seed, same data
    :param revision: another revision changes about a tenth of the entities, at the instant it is set
    :param projects: Jira project ids that have Xray data
    :param tests: tests in each project; 0 is an empty tenant
    :param chunk: entities per JSON file of the backup
    :param attachment_bytes: bytes of all attachments of the tenant together; 0 is none
    :param padding_bytes: bytes added to the data zip of a full backup of all projects, to reach any size
    :param as_of: newest change of the data as first made; default its start or last reset
    :param empty_files: write ``{"tests": []}`` where there is nothing, instead of no file
    :param entity_names: other spellings, for example ``{"testSets": "TestSets"}``
    :param with_executions: write test executions into the backup too
    :param zip_varies: two jobs over the same data give zips that differ in time stamps and comment
    :param zip_layout: ``streamed`` puts sizes and CRCs behind the data, as archivers on a pipe do
    :param zip_stored: entries are stored, not deflated
    """

    seed: int = 1
    revision: int = Field(default=0, ge=0)
    projects: tuple[str, ...] = ("10042", "10077")
    tests: int = Field(default=40, ge=0)
    chunk: int = Field(default=1000, ge=1)
    attachment_bytes: int = Field(default=200_000, ge=0)
    padding_bytes: int = Field(default=0, ge=0)
    as_of: AwareDatetime | None = None
    empty_files: bool = False
    entity_names: dict[str, str] = {}
    with_executions: bool = False
    zip_varies: bool = True
    zip_layout: Literal["streamed", "seekable"] = "streamed"
    zip_stored: bool = False


class TenantSettings(Settings):
    """One Xray tenant, known by its client id.

    :param client_secret: the secret that belongs to the client id
    :param data: what the tenant holds
    """

    client_secret: str = "demo-secret"  # noqa: S105 - documented, of a simulator
    data: DataSettings = Field(default_factory=DataSettings)


class DownloadSettings(Settings):
    """How the backup files are handed out.

    :param redirect: answer with a signed link to the storage instead of the file
    :param redirect_status: status of that redirect
    :param link_seconds: how long a signed link lives
    :param link_one_time: a link is spent by its first use
    :param link_origin: scheme, host and port of the links; default the simulator itself
    :param ranges: honour ``Range`` and ``If-Range``
    :param etag: kind of the ``ETag``
    :param last_modified: send ``Last-Modified``
    :param last_modified_offset: seconds added to it (negative: older)
    :param content_length: send ``Content-Length``; otherwise the body is chunked
    :param gzip: encode the body with gzip whatever the request accepts
    :param checksum: send ``x-amz-meta-md5`` with the MD5 of the file
    :param content_type: value of ``Content-Type``
    :param content_disposition: value of ``Content-Disposition``; ``{name}`` is the file's name
    """

    redirect: bool = True
    redirect_status: Literal[301, 302, 303, 307, 308] = 302
    link_seconds: Seconds = 900
    link_one_time: bool = True
    link_origin: str | None = None
    ranges: bool = True
    etag: Literal["strong", "weak", "none"] = "strong"
    last_modified: bool = True
    last_modified_offset: float = 0
    content_length: bool = True
    gzip: bool = False
    checksum: bool = False
    content_type: str = "application/octet-stream"
    content_disposition: str | None = None


class XraySettings(Settings):
    """The Xray Cloud API.

    Texts may name ``{every}`` (length of the cooldown in hours), ``{remaining}`` (in words), ``{hours}``,
    ``{minutes}``, ``{seconds}`` and ``{total_seconds}``.

    :param tenants: the tenants by client id
    :param token_seconds: life time of a token
    :param token_has_exp: the token names its end
    :param token_quoted: the token is a JSON string in quotes
    :param wrong_secret: answer to a wrong client id or secret
    :param job_seconds: how long a job runs
    :param running_words: status words while it runs, spread over its time
    :param progress: progress values while it runs, spread over its time; default computed, ``[]`` is none
    :param final_word: status word at the end; anything but ``successful`` is a job without a file
    :param job_kept_seconds: how long a finished job is known; default for ever
    :param file_kept_seconds: how long a file is kept after its job; default for ever
    :param cooldown_seconds: least time from the end of one job to the next; 0 is off
    :param cooldown_scope: whether another set of projects has a cooldown of its own
    :param cooldown_text: the sentence of the refusal during the cooldown
    :param running_text: the sentence of the refusal while a job runs
    :param failed_jobs_count: a failed job starts the cooldown too
    :param unknown_projects: what happens to a project id that the tenant does not have
    :param attachment_url: when the status names ``attachmentUrl``
    :param attachments_missing: no attachments file is made though asked for
    :param attachments_survive: the attachments of an older job are served when the newest has none
    :param file_url_origin: scheme, host and port in ``fileUrl``; default the simulator itself
    :param file_served: ``previous`` serves the file of the job before, as a stale cache would
    :param counts_tenant: GraphQL counts all projects together where a query names none, or refuses it
    :param json_case: spelling of the field names in answers
    :param throttle: refuse too many requests with 429
    :param throttle_requests: requests allowed in the window
    :param throttle_window: length of the window in seconds
    :param throttle_retry_after: send ``Retry-After`` with the 429
    :param download: how files are handed out
    """

    tenants: dict[str, TenantSettings] = Field(default_factory=lambda: {"demo-client": TenantSettings()})
    token_seconds: Seconds = 86_400
    token_has_exp: bool = True
    token_quoted: bool = True
    wrong_secret: CannedAnswer = CannedAnswer(
        status=401, body="Invalid client credentials", content_type="text/plain; charset=utf-8"
    )
    job_seconds: Seconds = 3
    running_words: list[str] = Field(default=["working"], min_length=1)
    progress: list[str] | None = None
    final_word: str = "successful"
    job_kept_seconds: Seconds | None = None
    file_kept_seconds: Seconds | None = None
    cooldown_seconds: Seconds = 6 * 3600
    cooldown_scope: Literal["tenant", "projects"] = "tenant"
    cooldown_text: str = (
        "A backup can be created once every {every} hours, you can create a new one in: {remaining}."
    )
    running_text: str = "A backup is already being created, wait until it ends."
    failed_jobs_count: bool = False
    unknown_projects: Literal["ignore", "refuse"] = "ignore"
    attachment_url: Literal["asked", "always", "never"] = "asked"
    attachments_missing: bool = False
    attachments_survive: bool = False
    file_url_origin: str | None = None
    file_served: Literal["latest", "previous"] = "latest"
    counts_tenant: bool = True
    json_case: KeyCase = "documented"
    throttle: bool = False
    throttle_requests: int = Field(default=300, ge=0)
    throttle_window: Seconds = 300
    throttle_retry_after: bool = True
    download: DownloadSettings = Field(default_factory=DownloadSettings)


class BotSettings(Settings):
    """One Xenioo bot.

    :param api_key: default ``<bot>-key``
    :param api_secret: default ``<bot>-secret``
    :param token: a ready token that never ends; default ``<bot>-token``
    :param backup_bytes: size of the backup, about
    :param revision: another revision changes the bot
    """

    api_key: str | None = None
    api_secret: str | None = None
    token: str | None = None
    backup_bytes: int = Field(default=150_000, ge=0)
    revision: int = Field(default=0, ge=0)


class XeniooSettings(Settings):
    """The Xenioo API. Texts may name the same placeholders as those of Xray.

    :param account_api_key: key of the account
    :param account_token: a ready token of the account that never ends
    :param bots: the bots by name
    :param token_seconds: life time of a token; the reply tells it in minutes
    :param token_fields: names of the two fields of the token reply
    :param integration: ``authorization/integration`` exists; older nodes have only ``authorization/code``
    :param code: ``authorization/code`` exists
    :param entitled: the account may use the API (otherwise 403)
    :param unknown_key: answer to a key or secret that is not known
    :param invalid_token: answer to a token that is invalid or lacks permission
    :param cooldown_seconds: least time between two backups, and between two restores, of a bot; 0 is off
    :param throttled: answer to an early call
    :param throttled_retry_after: send ``Retry-After`` with it
    :param broken_call_spends: a call whose answer broke off spends the hour
    :param restore_new_ids: a restored bot gets ids of its own, in the place of those of its backup
    :param restore_loses: top-level fields of a backup that a restored bot has not
    :param json_case: spelling of the field names in answers, the token reply excepted
    :param backup_content_type: value of ``Content-Type`` of a backup
    :param backup_content_disposition: value of ``Content-Disposition`` of a backup
    :param backup_content_length: send ``Content-Length``; otherwise the body is chunked
    :param backup_gzip: encode the body with gzip whatever the request accepts
    """

    account_api_key: str = "demo-account"
    account_token: str = "account-token"  # noqa: S105 - documented, of a simulator
    bots: dict[str, BotSettings] = Field(
        default_factory=lambda: {name: BotSettings() for name in ("welcome", "support", "sales")}
    )
    token_seconds: Seconds = 3600
    token_fields: tuple[str, str] = ("token", "expire")
    integration: bool = True
    code: bool = True
    entitled: bool = True
    unknown_key: CannedAnswer = CannedAnswer(status=404, body='{"error": "Key not found."}')
    invalid_token: CannedAnswer = CannedAnswer(
        status=400, body='{"error": "The token is invalid or lacks permission."}'
    )
    cooldown_seconds: Seconds = 3600
    throttled: CannedAnswer = CannedAnswer(
        status=400, body='{"error": "This API can be called once per hour for each bot."}'
    )
    throttled_retry_after: bool = False
    broken_call_spends: bool = True
    restore_new_ids: bool = False
    restore_loses: tuple[str, ...] = ()
    json_case: KeyCase = "documented"
    backup_content_type: str = "application/json"
    backup_content_disposition: str | None = None
    backup_content_length: bool = True
    backup_gzip: bool = False


class SimulatorSettings(Settings):
    """Everything that can be set, at start or while it runs.

    :param start_at: what the clock shows at start; default the real time
    :param date_header: send ``Date`` with every answer
    :param journal_size: requests kept in the journal
    :param xray: the Xray Cloud API
    :param xenioo: the Xenioo API
    """

    start_at: AwareDatetime | None = None
    date_header: bool = True
    journal_size: int = Field(default=10_000, ge=1)
    xray: XraySettings = Field(default_factory=XraySettings)
    xenioo: XeniooSettings = Field(default_factory=XeniooSettings)

    def merged(self, changes: dict[str, Any]) -> Self:
        """A copy with some values replaced.

        :param changes: nested as the settings are; mappings are merged, everything else is replaced
        :raises pydantic.ValidationError: when a name or a value is wrong
        """
        return type(self).model_validate(_merge(self.model_dump(), changes))


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, change in changes.items():
        current = merged.get(name)
        merged[name] = (
            _merge(current, change) if isinstance(current, dict) and isinstance(change, dict) else change
        )
    return merged


def whole_seconds(instant: datetime) -> datetime:
    """The instant without its fraction: HTTP dates know whole seconds only."""
    return instant.replace(microsecond=0)
