// Can we restore? Every vault with its accounts, those that need somebody first.
import { ask } from "./api.js";
import { legend, storage, strip } from "./charts.js";
import { h, table } from "./dom.js";
import { aged, badge, expiry, problem, range, sentence } from "./pieces.js";
import { to } from "./places.js";
import * as words from "./words.js";

const PAGE = 50;
const AGAIN = 5000; // milliseconds after which a vault that has not answered is asked again
const chosen = new Map(); // what was filtered in each vault, for who comes back

export async function showOverview(name) {
  const vaults = await ask("vaults");
  if (name !== undefined && !vaults.some((vault) => vault.name === name)) throw new Error(`No vault ${name} is configured.`);
  const summary = h("p", { class: "summary", role: "status" }, vaults.length ? "Asking the vaults …" : "");
  const answers = new Map();
  const told = (name, answer) => {
    answers.set(name, answer);
    summary.replaceChildren(...summarise(answers, vaults.length));
  };
  const sections = vaults.map((vault) => section(vault, told));
  return [h("h1", null, "Backups"), summary, ...(vaults.length ? [...sections, legend()] : [nothing()])];
}

function nothing() {
  return h("div", { class: "card" }, h("h2", null, "No vault is configured"),
    h("p", null, "Name the vaults that this page is to show in Airflow's configuration:"),
    h("pre", null, h("code", null, '[xbackup]\nvaults = [{"name": "main", "url": "s3://aws_default@backups/xbackup", "rpo": "26h"}]')));
}

function summarise(answers, vaults) {
  const conditions = new Map();
  let silent = 0;
  for (const answer of answers.values()) {
    if (answer.problem) silent += 1;
    for (const [name, number] of Object.entries(answer.conditions)) {
      conditions.set(name, (conditions.get(name) ?? 0) + number);
    }
  }
  const all = [...conditions.values()].reduce((sum, number) => sum + number, 0);
  const fine = conditions.get("fine") ?? 0;
  const parts = [];
  if (all) parts.push(fine === all ? h("strong", { class: "good" }, all === 1 ? "The account can be restored." : `All ${words.number(all)} accounts can be restored.`)
    : h("strong", null, `${words.number(all - fine)} of ${words.count(all, "account")} ${all - fine === 1 ? "needs" : "need"} somebody.`));
  else if (answers.size === vaults && !silent) parts.push("There are no backups yet, and nobody is expected.");
  if (silent) parts.push(" ", h("strong", { class: "bad" }, `${words.count(silent, "vault")} cannot be read.`));
  if (answers.size < vaults) parts.push(` Asking ${words.count(vaults - answers.size, "more vault")} …`);
  return parts;
}

function section(vault, told) {
  const filter = chosen.get(vault.name) ?? { q: "", condition: "", offset: 0 };
  chosen.set(vault.name, filter);
  const body = h("div", { class: "body", "aria-busy": "true" }, h("p", { class: "quiet" }, "Asking the vault …"));
  const head = h("div", { class: "vault" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Filter by condition" });
  const search = h("input", { type: "search", placeholder: "Find an account", "aria-label": `Find an account in ${vault.name}`, value: filter.q, oninput: typed });
  const id = `vault-${encodeURIComponent(vault.name)}`;
  let timer = null;
  let turn = 0;

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(() => change({ q: search.value.trim(), offset: 0 }), 200);
  }

  function change(to) {
    Object.assign(filter, to);
    return read();
  }

  async function read(quietly = false) {
    const mine = ++turn;
    if (!quietly) body.setAttribute("aria-busy", "true");
    let answer;
    try {
      answer = await ask("vaults", vault.name, "accounts", { ...filter, limit: PAGE });
    } catch (error) {
      answer = { vault, problem: error.message, at: null, storage: { full: 0, partial: 0, expired: 0, backups: 0 }, conditions: {}, findings: [], total: 0, accounts: [] };
    }
    if (mine !== turn) return;
    const focused = document.activeElement?.dataset?.chip;
    draw(answer);
    if (focused !== undefined) chips.querySelector(`[data-chip="${focused}"]`)?.focus();
    told(vault.name, answer);
    body.removeAttribute("aria-busy");
    if (answer.problem) setTimeout(() => { if (mine === turn && body.isConnected) read(true); }, AGAIN);
  }

  function draw(answer) {
    const all = Object.values(answer.conditions).reduce((sum, number) => sum + number, 0);
    head.replaceChildren(...(answer.at ? [storage(answer.storage), h("span", { class: "quiet" }, `seen ${words.age(answer.at)} ago`)] : []));
    const chip = (name, text, number) => h("button", { type: "button", "data-chip": name, class: `chip ${name}`, "aria-pressed": String(filter.condition === name), onclick: () => change({ condition: filter.condition === name ? "" : name, offset: 0 }) }, text, h("span", { class: "many" }, words.number(number)));
    chips.replaceChildren(...(all ? [chip("", "All", all), ...Object.entries(answer.conditions).map(([name, number]) => chip(name, words.CONDITIONS[name], number))] : []));
    search.hidden = !all;
    body.replaceChildren(...[problem(answer.problem, answer.at), answer.findings.length ? found(answer.findings) : null, ...rows(answer, all)].filter(Boolean));
  }

  function rows(answer, all) {
    if (!all) return answer.problem ? [] : [h("p", { class: "quiet" }, "This vault holds no backups yet, and no account is expected in it.")];
    if (!answer.total) return [h("p", { class: "quiet" }, "No account is like that.")];
    const headings = [{ text: "Account" }, { text: "Condition" }, { text: "Newest whole" }, { text: "Newest verified" }, { text: "Can go back to" }, { text: "Next expiry" }, { text: "30 days" }, { text: "Size", number: true }];
    const made = table(`Accounts of ${vault.name}`, headings, answer.accounts.map((row) => cells(vault, row)));
    made.classList.add("accounts");
    return [made, answer.total > PAGE ? pager(answer.total) : null];
  }

  function pager(total) {
    const last = Math.min(filter.offset + PAGE, total);
    const step = (text, offset, enabled) => h("button", { type: "button", disabled: !enabled, onclick: () => change({ offset }) }, text);
    return h("nav", { class: "pager", "aria-label": `Pages of ${vault.name}` },
      step("Previous", Math.max(0, filter.offset - PAGE), filter.offset > 0),
      h("span", { role: "status" }, `${words.number(filter.offset + 1)} to ${words.number(last)} of ${words.number(total)}`),
      step("Next", filter.offset + PAGE, last < total));
  }

  read();
  return h("section", { class: "card", "aria-labelledby": id },
    h("header", null, h("div", null, h("h2", { id }, vault.name), h("p", { class: "quiet mono" }, vault.url,
      vault.rpo ? ` · every ${words.duration(vault.rpo)}` : "")), head),
    h("div", { class: "tools" }, chips, search), body);
}

const found = (findings) => h("details", { class: "notice warn" }, h("summary", null, `${words.count(findings.length, "finding")} in this vault`),
  h("ul", null, findings.map((text) => h("li", null, text))));

function cells(vault, row) {
  const where = [vault.name, row.service, row.account];
  const why = row.reasons.length ? h("span", { class: "why" }, sentence(row, row.reasons[0].text), row.reasons.length > 1 ? ` (and ${row.reasons.length - 1} more)` : "") : null;
  return [h("div", null, h("a", { class: "account", href: to(...where) }, h("span", { class: "service" }, `${row.service}/`), row.account), why),
    badge(row.condition), aged(row.newest, where), aged(row.verified, where), range(row), row.newest ? expiry(row.next_expiry, vault.retention) : h("span", { class: "quiet" }, "–"),
    strip(row.strip), words.size(row.stored_size)];
}
