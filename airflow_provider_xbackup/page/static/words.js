// Numbers and instants as people say them.
const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${Number(value.toPrecision(3))} ${UNITS[unit]}`;
}

export const number = (value) => value.toLocaleString("en-US");

export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

// What fell is told in sentences where a backup was stored so, in the beginnings of some elsewhere.
export const sentences = (texts) => texts.map((text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".")).join(" ");

function span(seconds) {
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= (unit === "min" ? length : 2 * length)) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

export const duration = span;

export function age(instant) {
  const seconds = (Date.now() - Date.parse(instant)) / 1000;
  return seconds < -300 ? "in the future" : span(seconds);
}

export const until = (instant) => {
  const seconds = (Date.parse(instant) - Date.now()) / 1000;
  return seconds <= 60 ? "now" : `in ${span(seconds)}`;
};

export const when = (instant) => `${instant.slice(0, 10)} ${instant.slice(11, 16)} UTC`;

export const day = (instant) => instant.slice(0, 10);

export const CONDITIONS = {
  never: "Never backed up",
  damaged: "Damaged",
  suspect: "Suspect",
  empty: "Empty",
  late: "Late",
  unverified: "Unverified",
  fine: "Fine",
};

export const MARKS = {
  full: "full backup",
  partial: "partial backup",
  failed: "a backup that cannot be relied on",
  overdue: "overdue",
  none: "nothing expected",
};
