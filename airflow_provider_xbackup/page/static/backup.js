// Everything about one backup, and how to get it.
import { ask } from "./api.js";
import { copyable, facts, h, table } from "./dom.js";
import { stateOf } from "./pieces.js";
import { crumbs, runOf, to } from "./places.js";
import * as words from "./words.js";

export async function showBackup(vault, service, account, id) {
  const answer = await ask("vaults", vault, "accounts", service, account, "backups", id);
  const { brief, manifest } = answer;
  const where = [vault, service, account];
  const projects = manifest.scope.project_ids;
  return [
    crumbs(["Backups", to()], [`${service}/${account}`, to(...where)], [id]),
    h("div", { class: "title" }, h("h1", { class: "mono" }, id), stateOf(brief),
      h("span", { class: brief.verified ? "state verified" : "state" }, brief.verified ? "verified" : "not verified")),
    answer.problems.length ? h("ul", { class: "notice bad" }, answer.problems.map((text) => h("li", null, text))) : null,
    h("section", { class: "card" }, h("h2", null, "Get it back"), copyable(answer.fetch),
      h("p", { class: "quiet" }, "Writes the files into the folder DIR, checked.", answer.encrypted ? " They are encrypted: FILE holds the private keys." : ""),
      service === "xenioo" ? restore(account, id) : null,
      answer.chain.length > 1 ? h("p", null, "It needs: ", answer.chain.map((each, index) => [index ? ", then " : "",
        each.backup_id === id ? h("span", { class: "mono" }, "itself") : h("a", { class: "mono", href: to(...where, each.backup_id) }, each.backup_id), each.backup_id === id ? "" : ` (${each.kind}, ${each.state})`])) : null),
    h("section", { class: "card" }, h("h2", null, "Retention"), retention(answer.retention, where),
      answer.hold ? h("p", null, h("strong", null, "Held"), ` by ${answer.hold.who}${answer.hold.until ? ` until ${words.when(answer.hold.until)}` : ""}: ${answer.hold.why}`) : null),
    h("section", { class: "card" }, h("h2", null, "Files"), files(manifest.artifacts)),
    h("section", { class: "card" }, h("h2", null, "Checks"), answer.checks.length ? checks(answer.checks) : h("p", { class: "quiet" }, "Nobody has verified it yet."),
      answer.acceptance ? h("p", null, h("strong", null, "Accepted"), ` by ${answer.acceptance.who} on ${words.when(answer.acceptance.at)}: ${answer.acceptance.why}`) : null),
    h("section", { class: "card" }, h("h2", null, "Manifest"), facts([
      ["Kind", manifest.kind], ["Base", manifest.base ? h("a", { class: "mono", href: to(...where, manifest.base) }, manifest.base) : null],
      ["Modified since", manifest.modified_since ? words.when(manifest.modified_since) : null],
      ["Requested", words.when(manifest.requested_at)], ["Completed", words.when(manifest.completed_at)],
      ["Projects", service === "xray" ? (projects ? projects.join(", ") : "all") : null],
      ["Source", manifest.remote.host], ["Job", manifest.remote.job_id], ["Made by", runOf(manifest.producer)],
      ["Package", manifest.producer.package_version], ["Airflow", manifest.producer.airflow_version],
      ["Folder", h("span", { class: "mono" }, answer.location)],
      ...Object.entries(manifest.entities ?? {}).map(([name, number]) => [name, words.number(number)])]),
    h("details", null, h("summary", null, "As stored"), h("pre", { tabindex: "0" }, h("code", null, JSON.stringify(manifest, null, 2))))),
  ].filter(Boolean);
}

// Xenioo takes a bot's file back, Xray none: what the example DAG of the package asks for.
function restore(account, id) {
  return h("p", null, "Back into Xenioo, as a brand-new bot: trigger the DAG ", h("code", null, "xenioo_restore"), " with ",
    h("code", null, JSON.stringify({ account, backup_id: id })),
    ". It is one of the example DAGs (", h("code", null, "xbackup examples FOLDER"), "), asks a person first and uses ",
    h("code", null, "XeniooRestoreBotOperator"), ".");
}

function retention(decided, where) {
  if (!decided) return h("p", { class: "quiet" }, "No policy is configured for this vault.");
  const goes = decided.goes ? `It goes ${decided.goes && Date.parse(decided.goes) <= Date.now() + 60000 ? "with the next run of retention" : `about ${words.day(decided.goes)}, if backups go on as they do`}.` : "It does not go in the time that can be foreseen.";
  return h("p", null, h("strong", null, { keep: "Kept", expire: "Expires", pass: "Stays", revive: "Comes back", remove: "Is removed" }[decided.action]),
    `: ${decided.reasons.join(", ")}. `, goes, " ", h("a", { href: to(...where, "retention") }, "All backups of the account"));
}

function files(artifacts) {
  const headings = [{ text: "File" }, { text: "Role" }, { text: "Plain", number: true }, { text: "Stored", number: true }, { text: "Stored as" }, { text: "SHA-256 of the stored bytes" }];
  return table("Files", headings, artifacts.map((file) => [h("span", { class: "mono" }, file.name), file.role, words.size(file.size), words.size(file.stored_size),
    [file.compression, file.encryption].filter(Boolean).join(", ") || "plain", h("span", { class: "mono digest" }, file.stored_sha256)]));
}

function checks(all) {
  const headings = [{ text: "When" }, { text: "Result" }, { text: "As deep as" }, { text: "Read", number: true }, { text: "Findings" }];
  return table("Checks, the newest first", headings, all.map((check) => [words.when(check.at), h("span", { class: check.passed ? "state ok" : "state bad" }, check.passed ? "passed" : "failed"),
    check.reached, words.size(check.bytes), check.findings.length ? h("ul", { class: "plain" }, check.findings.map((finding) => h("li", null, finding.text))) : h("span", { class: "quiet" }, "none")]));
}
