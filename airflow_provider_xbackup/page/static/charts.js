// Strips, lines and bars, as SVG and plain elements.
import { h, svg } from "./dom.js";
import * as words from "./words.js";

export function strip(days) {
  const width = 8;
  const told = words.count(days.filter((each) => each.number).length, "day") + ` with backups of ${days.length}`;
  const bad = days.filter((each) => each.mark === "failed" || each.mark === "overdue").length;
  const label = bad ? `${told}, ${words.count(bad, "day")} failed or overdue` : told;
  return svg("svg", { class: "strip", viewBox: `0 0 ${days.length * width} 18`, preserveAspectRatio: "xMinYMid meet", role: "img", "aria-label": label },
    days.map((each, index) => svg("g", { class: `mark ${each.mark}` },
      svg("title", null, `${each.date}: ${words.MARKS[each.mark]}${each.number > 1 ? ` (${each.number} backups)` : ""}`),
      ...shape(each.mark, index * width))));
}

// Shapes differ, not only colours: tall full, low partial, crossed failed, open overdue, a dot for nothing.
function shape(mark, x) {
  switch (mark) {
    case "full": return [svg("rect", { x: x + 1, y: 1, width: 6, height: 16, rx: 1.5 })];
    case "partial": return [svg("rect", { x: x + 1, y: 8, width: 6, height: 9, rx: 1.5 })];
    case "failed": return [svg("rect", { x: x + 1, y: 1, width: 6, height: 16, rx: 1.5 }),
      svg("path", { class: "cross", d: `M${x + 2.6} 6.6l2.8 4.8m0 -4.8l-2.8 4.8` })];
    case "overdue": return [svg("rect", { x: x + 1.75, y: 1.75, width: 4.5, height: 14.5, rx: 1.5 })];
    default: return [svg("rect", { x: x + 2.5, y: 14, width: 3, height: 3, rx: 1.5 })];
  }
}

export function legend() {
  const one = (mark) => h("span", null,
    svg("svg", { class: "strip one", viewBox: "0 0 8 18", "aria-hidden": "true" },
      svg("g", { class: `mark ${mark}` }, shape(mark, 0))),
    mark === "failed" ? "failed" : words.MARKS[mark]);
  return h("p", { class: "legend" }, Object.keys(words.MARKS).map(one));
}

export function line(title, points, value, write) {
  const shown = points.filter((point) => value(point) !== null);
  if (shown.length < 2) return h("figure", { class: "chart" }, h("figcaption", null, title),
    h("p", { class: "quiet" }, "A line needs two full backups that were read."));
  const [width, height, left, bottom, top] = [560, 150, 8, 20, 12];
  const times = shown.map((point) => Date.parse(point.at));
  const [first, last] = [times[0], times.at(-1)];
  const most = Math.max(...shown.map(value)) || 1;
  const x = (time) => left + (width - 2 * left) * (last === first ? 1 : (time - first) / (last - first));
  const y = (amount) => height - bottom - (height - bottom - top) * (amount / most);
  const places = shown.map((point, index) => [x(times[index]), y(value(point))]);
  const path = places.map(([px, py], index) => `${index ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  const base = height - bottom;
  const odd = shown.filter((point) => point.anomalies.length);
  const label = `${title}: from ${write(value(shown[0]))} to ${write(value(shown.at(-1)))}`
    + (odd.length ? `, ${words.count(odd.length, "anomaly").replace("anomalys", "anomalies")} marked` : "");
  return h("figure", { class: "chart" },
    h("figcaption", null, title, h("strong", null, write(value(shown.at(-1))))),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      svg("path", { class: "grid", d: `M${left} ${base}H${width - left}M${left} ${top}H${width - left}` }),
      svg("path", { class: "area", d: `${path}L${places.at(-1)[0].toFixed(1)} ${base}L${places[0][0].toFixed(1)} ${base}Z` }),
      svg("path", { class: "line", d: path }),
      places.map(([px, py], index) => {
        const point = shown[index];
        const odd = point.anomalies.length > 0;
        const title = `${words.when(point.at)}: ${write(value(point))}${odd ? `. ${words.sentences(point.anomalies)}` : ""}`;
        return svg("g", { class: odd ? "point odd" : "point" }, svg("title", null, title),
          odd ? svg("path", { d: `M${px} ${py - 6}l6 10h-12z` }) : svg("circle", { cx: px, cy: py, r: 2.5 }));
      }),
      svg("text", { x: left, y: height - 5 }, words.day(shown[0].at)),
      svg("text", { x: width - left, y: height - 5, "text-anchor": "end" }, words.day(shown.at(-1).at))),
    odd.length ? h("ul", { class: "odd" }, odd.slice(-3).map((point) =>
      h("li", null, `${words.day(point.at)}: ${words.sentences(point.anomalies)}`))) : null);
}

export function storage(kept) {
  const total = kept.full + kept.partial + kept.expired;
  const parts = ["full", "partial", "expired"].filter((kind) => kept[kind] > 0);
  let x = 0;
  const bars = parts.map((kind) => {
    const width = (100 * kept[kind]) / total;
    const bar = svg("rect", { class: kind, x, y: 0, width, height: 6 });
    x += width;
    return bar;
  });
  const told = parts.map((kind) => `${words.size(kept[kind])} ${kind}`).join(", ");
  return h("div", { class: "storage" },
    h("span", null, h("strong", null, words.size(total)), ` in ${words.count(kept.backups, "backup")}`),
    total ? svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": `Storage: ${told}` }, bars) : null,
    parts.length ? h("span", { class: "quiet" }, told) : null);
}
