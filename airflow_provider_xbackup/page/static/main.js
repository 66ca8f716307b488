// Shows what the address names.
import { showAccount } from "./account.js";
import { showBackup } from "./backup.js";
import { h } from "./dom.js";
import { showOverview } from "./overview.js";
import { here, to } from "./places.js";
import { showRetention } from "./retention.js";

const content = document.getElementById("content");
let turn = 0;

function choose([vault, service, account, more]) {
  if (account === undefined) return () => showOverview(vault);
  if (more === undefined) return () => showAccount(vault, service, account);
  if (more === "retention") return () => showRetention(vault, service, account);
  return () => showBackup(vault, service, account, more);
}

async function show() {
  const mine = ++turn;
  content.setAttribute("aria-busy", "true");
  let made;
  try {
    made = await choose(here())();
  } catch (error) {
    made = [h("h1", null, "Backups"), h("p", { class: "notice bad", role: "alert" }, error.message),
      h("p", null, h("a", { href: to() }, "All accounts"))];
  }
  if (mine !== turn) return;
  content.replaceChildren(...made);
  content.removeAttribute("aria-busy");
  const heading = content.querySelector("h1");
  document.title = heading ? `${heading.textContent} · Backups` : "Backups";
  if (mine > 1 && heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says what is shown
  content.focus();
});
window.addEventListener("hashchange", show);
show();
