// Questions to the JSON API.
export async function ask(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const chosen = Object.entries(query).filter(([, value]) => value !== "" && value !== 0);
  const search = new URLSearchParams(chosen).toString();
  const path = ["api", ...parts.map(encodeURIComponent)].join("/");
  let answer;
  try {
    answer = await fetch(search ? `${path}?${search}` : path, { credentials: "same-origin" });
  } catch {
    throw new Error("Airflow's API server does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 401) throw new Error("You are not signed in to Airflow any more. Reload the page.");
  if (answer.status === 403) throw new Error("Your role in Airflow does not let you see the backups.");
  throw new Error(typeof body.detail === "string" ? body.detail : `The answer was ${answer.status}.`);
}
