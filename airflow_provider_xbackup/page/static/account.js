// One account: how it stands, how its backups went, all of them.
import { ask } from "./api.js";
import { legend, line, strip } from "./charts.js";
import { facts, h, table } from "./dom.js";
import { aged, badge, expiry, problem, range, sentence, stateOf } from "./pieces.js";
import { crumbs, to } from "./places.js";
import * as words from "./words.js";

export async function showAccount(vault, service, account) {
  const answer = await ask("vaults", vault, "accounts", service, account);
  const { row } = answer;
  const where = [vault, service, account];
  return [
    crumbs(["Backups", to()], [`${service}/${account}`]),
    h("div", { class: "title" }, h("h1", null, `${service}/${account}`), badge(row.condition)),
    problem(answer.problem, answer.at),
    row.reasons.length ? h("ul", { class: "notice warn reasons" }, row.reasons.map((reason) => h("li", null, h("strong", null, words.CONDITIONS[reason.condition]), " ", sentence(row, reason.text)))) : null,
    h("section", { class: "card" }, h("h2", { class: "hidden" }, "At a glance"),
      facts([["Newest whole", [aged(row.newest, where), promised(answer.vault.rpo)]], ["Newest verified", [aged(row.verified, where), promised(answer.vault.verified_rpo)]], ["Can go back to", range(row)],
        ["Next expiry", expiry(row.next_expiry, answer.vault.retention)], ["Backups", words.number(row.number)], ["Size", words.size(row.stored_size)], ["Vault", vault]]),
      h("h3", null, "The last 30 days"), h("div", { class: "wide" }, strip(row.strip)), legend()),
    answer.line.length ? h("section", { class: "card" }, h("h2", null, "Full backups"), h("div", { class: "charts" },
      line("Size", answer.line, (point) => point.size, words.size),
      line("Entities", answer.line, (point) => point.entities, words.number))) : null,
    h("section", { class: "card" }, h("header", null, h("h2", null, "All backups"),
      h("a", { href: to(...where, "retention") }, "What retention would do")),
    answer.backups.length ? list(answer, where) : h("p", { class: "quiet" }, "There is none."),
    answer.more ? h("p", { class: "quiet" }, `${words.count(answer.more, "older backup")} not shown.`) : null),
  ].filter(Boolean);
}

const promised = (rpo) => rpo ? h("span", { class: "quiet" }, `, every ${words.duration(rpo)} promised`) : null;

function list(answer, where) {
  const headings = [{ text: "Backup" }, { text: "Age" }, { text: "Kind" }, { text: "State" }, { text: "Verified" }, { text: "Entities", number: true }, { text: "Stored", number: true }];
  return table("All backups, the newest first", headings, answer.backups.map((brief) => [
    h("a", { class: "mono", href: to(...where, brief.backup_id) }, brief.backup_id), words.age(brief.at), brief.kind,
    h("span", null, stateOf(brief), brief.held && brief.state !== "held" ? " held" : ""), brief.verified ? "yes" : h("span", { class: "quiet" }, "no"),
    brief.entities === null ? h("span", { class: "quiet" }, "not read") : words.number(brief.entities), words.size(brief.stored_size)]));
}
