// What several views show.
import { h } from "./dom.js";
import { to } from "./places.js";
import * as words from "./words.js";

export const badge = (condition) => h("span", { class: `badge ${condition}` }, words.CONDITIONS[condition] ?? condition);

export function problem(text, at) {
  if (!text) return null;
  const shown = at ? ` Shown is what was there ${words.age(at)} ago.` : "";
  return h("p", { class: "notice warn", role: "status" }, text, shown);
}

export function aged(brief, where) {
  if (!brief) return h("span", { class: "quiet" }, "none");
  return h("a", { href: to(...where, brief.backup_id), title: `${brief.backup_id}, ${words.when(brief.at)}` },
    h("time", { datetime: brief.at }, words.age(brief.at)), brief.empty ? ", empty" : "");
}

// The name of the account stands beside it already.
export function sentence(row, text) {
  const name = `${row.service}/${row.account}: `;
  if (!text.startsWith(name)) return text;
  const rest = text.slice(name.length);
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

export function range(row) {
  if (!row.oldest) return h("span", { class: "quiet" }, "–");
  const from = dated(row.oldest);
  return row.oldest.backup_id === row.newest.backup_id ? from : h("span", null, from, " to ", dated(row.newest));
}

const dated = (brief) => h("span", null, h("time", { datetime: brief.at }, words.when(brief.at)), brief.empty ? ", empty" : "");

export function expiry(instant, configured) {
  if (instant) return h("time", { datetime: instant, title: words.when(instant) }, words.until(instant));
  return h("span", { class: "quiet" }, configured ? "not soon" : "no policy");
}

export function stateOf(brief) {
  const bad = brief.doubts.length > 0 || ["suspect", "incomplete", "future"].includes(brief.state);
  const word = bad && ["ok", "held"].includes(brief.state) ? "damaged" : brief.state;
  return h("span", { class: `state ${bad ? "bad" : word}`, title: brief.doubts.join(" ") }, word);
}
