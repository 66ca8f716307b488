// Addresses inside the page, and out of it into Airflow.
import { h } from "./dom.js";

export const to = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

export function here() {
  const hash = window.location.hash;
  if (!hash.startsWith("#/")) return [];
  try {
    return hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return [];
  }
}

export function crumbs(...links) {
  return h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("ol", null,
    links.map(([text, href]) => h("li", null, href ? h("a", { href }, text) : h("span", { "aria-current": "page" }, text)))));
}

// The page may stand in a frame that must not open windows; the document around it may, and is of this site.
export function airflow(path, text) {
  const href = new URL(`../${path}`, document.baseURI).pathname;
  function leave(event) {
    if (window.parent === window) return;
    event.preventDefault();
    const link = window.parent.document.createElement("a");
    link.href = href;
    window.parent.document.body.append(link);
    link.click();
    link.remove();
  }
  return h("a", { href, onclick: leave }, text);
}

export function runOf(producer) {
  if (!producer.dag_id || !producer.run_id) return null;
  const run = ["dags", producer.dag_id, "runs", producer.run_id].map(encodeURIComponent).join("/");
  return airflow(run, `${producer.dag_id}, ${producer.run_id}`);
}
