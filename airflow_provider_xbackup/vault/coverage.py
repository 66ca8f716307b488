"""Which bots of an account a vault has backups of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Backup, Finding


@dataclass(frozen=True, slots=True)
class AccountBot:
    """One bot of the vendor's account.

    :param name: its name; may be empty, and another bot may have it as well
    :param key_sha256: the SHA-256 of its API key, None where the list does not tell the key
    """

    name: str
    key_sha256: str | None

    def __str__(self) -> str:
        if self.name:
            return repr(self.name)
        return f"without a name (SHA-256 of its API key: {(self.key_sha256 or 'unknown')[:12]})"


class Coverage:
    """Takes in backups as they pass, and tells which bots none of them is of.

    A backup is of the bot whose key it was taken with. Where it does not name its key, or the bot's is not
    known, the names decide: the one in the backup, or that of the backup's account. A name that several bots
    have counts when as many accounts have it.

    Memory grows with the number of bots, not of backups.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        #: Accounts by the names that their backups go by: of backups without a digest, and of all.
        self._keyless: defaultdict[str, set[str]] = defaultdict(set)
        self._named: defaultdict[str, set[str]] = defaultdict(set)

    def watch(self, backups: Iterable[Backup]) -> Iterator[Backup]:
        """Take in every backup that can be relied on, and pass all of them on."""
        for backup in backups:
            if backup.path.service == "xenioo" and backup.reliable:
                self._take(backup)
            yield backup

    def uncovered(self, bots: Collection[AccountBot]) -> Iterator[Finding]:
        """Name the bots that no backup covers, by the code ``uncovered-bot``; ``no-bots`` when there are none.

        :param bots: all bots of the account
        :return: the findings; their path is the bot's name
        """
        if not bots:
            yield Finding("no-bots", "", "The account lists no bots. Check whose account the connection is to.")
        unmatched = [bot for bot in bots if bot.key_sha256 is None or bot.key_sha256 not in self._keys]
        for bot in sorted(unmatched, key=lambda bot: (bot.name, bot.key_sha256 or "")):
            namesakes = sum(other.name == bot.name for other in unmatched)
            accounts = (self._named if bot.key_sha256 is None else self._keyless).get(bot.name, ())
            if not bot.name or len(accounts) < namesakes:
                yield Finding("uncovered-bot", bot.name, _say(bot, namesakes, len(accounts)))

    def _take(self, backup: Backup) -> None:
        bot, account = backup.manifest.remote.bot, backup.path.account
        names = {account} if bot is None or bot.name is None else {account, bot.name}
        key = None if bot is None else bot.key_sha256
        if key is not None:
            self._keys.add(key)
        for name in names:
            self._named[name].add(account)
            if key is None:
                self._keyless[name].add(account)


def check_all_looked_at(service: str | None, account: str | None) -> None:
    """Refuse to look for uncovered bots among a part of the backups: the others would seem to be missing.

    :param service: the service that alone is looked at
    :param account: the account that alone is looked at
    :raises InvalidArgumentError: when bots' backups are left out
    """
    if service == "xray" or account is not None:
        raise InvalidArgumentError(
            "Whether every bot has a backup can be told from all backups of bots only: leave out the account "
            "and the service xray."
        )


def _say(bot: AccountBot, namesakes: int, accounts: int) -> str:
    if accounts:
        return (
            f"The bot {bot} may have no backup: {namesakes} bots are called so, and {accounts} of the vault's "
            "accounts. Connections with bot_api_key tell them apart."
        )
    return f"The bot {bot} has no backup in this vault that can be relied on."
