// Follows Airflow's look: the class on the document around this frame; alone, what Airflow remembered.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function around() {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null;
    }
  }

  function isDark() {
    const root = around();
    if (root && (root.classList.contains("dark") || root.classList.contains("light"))) {
      return root.classList.contains("dark");
    }
    let kept = null;
    try {
      kept = window.localStorage.getItem("theme");
    } catch { /* storage is closed to frames of other sites */ }
    return kept === "dark" || (kept !== "light" && system.matches);
  }

  function follow() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  }

  follow();
  const root = around();
  if (root) new MutationObserver(follow).observe(root, { attributeFilter: ["class"] });
  window.addEventListener("storage", follow);
  system.addEventListener("change", follow);
})();
