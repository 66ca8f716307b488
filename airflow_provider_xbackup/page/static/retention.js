// What retention would do, and why. Nothing is done.
import { ask } from "./api.js";
import { h, table } from "./dom.js";
import { crumbs, to } from "./places.js";
import * as words from "./words.js";

const ACTIONS = { keep: "keep", expire: "expire", pass: "leave", revive: "bring back", remove: "remove" };

export async function showRetention(vault, service, account) {
  const answer = await ask("vaults", vault, "accounts", service, account, "retention");
  const where = [vault, service, account];
  const policy = answer.vault.retention;
  return [
    crumbs(["Backups", to()], [`${service}/${account}`, to(...where)], ["Retention"]),
    h("h1", null, `What retention would do with ${service}/${account}`),
    policy ? h("p", { class: "summary" }, "A preview by the configured policy ",
      h("code", null, Object.entries(policy).map(([name, value]) => `${name}=${value}`).join(" ")), ". Nothing is done here.")
      : h("p", { class: "notice warn" }, `No policy is configured for the vault ${vault}: add "retention" to it in [xbackup] vaults.`),
    ...answer.groups.map((group) => h("section", { class: "card" }, h("h2", null, group.group),
      group.paused ? h("p", { class: "notice warn" }, `Paused: ${group.paused}.`) : null,
      group.refusals.map((text) => h("p", { class: "notice bad" }, `Refused: ${text}.`)),
      list(group, where),
      group.every ? h("p", { class: "quiet" }, `When a backup goes assumes that full backups go on every ${words.duration(group.every)}.`) : null)),
  ];
}

function list(group, where) {
  const headings = [{ text: "Backup" }, { text: "Age" }, { text: "Action" }, { text: "Why" }, { text: "Goes" }, { text: "Stored", number: true }];
  return table(`Retention of ${group.group}`, headings, group.backups.map((each) => [
    h("a", { class: "mono", href: to(...where, each.backup_id) }, each.backup_id), words.age(each.at),
    h("span", { class: `action ${each.action}` }, ACTIONS[each.action]), each.reasons.join(", "),
    each.goes ? words.until(each.goes) : h("span", { class: "quiet" }, "not soon"), words.size(each.stored_size)]));
}
