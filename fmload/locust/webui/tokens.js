// The Tokens tab: charts and the worker table, drawn into Locust's own page. Reads fmload/tokens.json every two seconds.
(() => {
  "use strict";
  const BOX = "fmload-tokens", HEIGHT = 190, POLL_MS = 2000;
  const DATA = new URL("tokens.json", document.currentScript.src); // beside this script, whatever the base path
  // Okabe-Ito: told apart by colour-blind eyes, on white and on black
  const BLUE = "#0072b2", ORANGE = "#e69f00", PURPLE = "#cc79a7", GREEN = "#009e73", RED = "#d55e00", SKY = "#56b4e9";
  const ERROR_COLOURS = [RED, ORANGE, PURPLE, SKY, BLUE, GREEN];
  const PERCENTILES = [["p50", BLUE], ["p95", ORANGE], ["p99", PURPLE]];

  const percentileLines = (name) => (data) =>
    PERCENTILES.map(([p, colour]) => ({ name: p, colour, values: data.seconds[`${name}_${p}_ms`] }));
  // ITL where the tokens of the chunks are known; the gaps between chunks in its place where they are not
  const tokenGapLines = (data) => {
    const known = data.seconds.itl_p50_ms.some((v) => v != null);
    return percentileLines(known ? "itl" : "icl")(data).map((line) => known ? line : { ...line, name: `between chunks ${line.name}` });
  };
  const CHARTS = [
    { title: "Output tokens", ofText: true, unit: "tokens/s", lines: (d) => [{ name: "tokens", colour: GREEN, values: d.seconds.output_tokens }] },
    { title: "Requests in flight", unit: "requests", lines: (d) => [{ name: "in flight", colour: BLUE, values: d.seconds.in_flight }] },
    { title: "Time to first token", ofText: true, unit: "ms", lines: percentileLines("ttft") },
    { title: "Inter-token latency", ofText: true, unit: "ms", lines: tokenGapLines },
    { title: "Time to first text", metric: "first_text", unit: "ms", lines: percentileLines("first_text") },
    { title: "Time to first audio", metric: "first_audio", unit: "ms", lines: percentileLines("first_audio") },
    { title: "E2E latency", ofOthers: true, unit: "ms", lines: percentileLines("e2e") },
    { title: "Goodput", unit: "requests/s", lines: (d) => [
      { name: "completed", colour: SKY, values: d.seconds.completed },
      { name: "met every objective", colour: GREEN, values: d.seconds.good }] },
    { title: "Errors by outcome", unit: "requests/s", lines: (d) => Object.entries(d.seconds.errors).map(
      ([name, values], i) => ({ name, colour: ERROR_COLOURS[i % ERROR_COLOURS.length], values })) },
  ];
  const WORKER_COLUMNS = [["worker", "Worker"], ["host", "Host"], ["state", "State"], ["in_flight", "In flight"],
    ["cpu", "CPU %"], ["loop_lag_p99_ms", "Loop lag p99 (ms)"], ["stamp_lag_p99_ms", "Stamp lag p99 (ms)"], ["stamp", "Stamps"]];

  const TENANT_COLUMNS = [["tenant", "Tenant"], ["endpoint", "Endpoint"], ["requests", "Requests"], ["errors", "Errors"],
    ["good_percent", "Good (%)"], ["output_tokens", "Output tokens"], ["ttft_p50_ms", "TTFT p50 (ms)"], ["ttft_p95_ms", "TTFT p95 (ms)"],
    ["e2e_p50_ms", "E2E p50 (ms)"], ["e2e_p95_ms", "E2E p95 (ms)"]];

  const svg = (parent, name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text != null) node.textContent = text;
    return parent.appendChild(node);
  };
  const html = (parent, name, style, text) => {
    const node = document.createElement(name);
    if (style) node.style.cssText = style;
    if (text != null) node.textContent = text;
    return parent.appendChild(node);
  };
  const number = (v) => v == null ? "–" : v >= 1000 ? Math.round(v).toLocaleString() : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2);
  const clock = (s) => new Date(s * 1000).toLocaleTimeString([], { hour12: false });
  const ceiling = (v) => { // the next 1, 2, 2.5 or 5 times a power of ten
    const power = 10 ** Math.floor(Math.log10(v || 1));
    return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= v);
  };

  function drawChart(holder, chart, data) {
    const times = data.seconds.at_s, lines = chart.lines(data).filter((line) => line.values && line.values.some((v) => v != null));
    holder.querySelectorAll("svg").forEach((old) => old.remove());
    const width = holder.clientWidth || 600, left = 52, right = 10, top = 30, bottom = 22, ink = getComputedStyle(holder).color;
    const root = svg(holder, "svg", { width, height: HEIGHT, role: "img", "aria-label": `${chart.title}, ${chart.unit}` });
    svg(root, "text", { x: 2, y: 15, fill: ink, "font-size": 13, "font-weight": 600 }, `${chart.title} (${chart.unit})`);
    let legend = width - right;
    for (const line of [...lines].reverse()) {
      const label = svg(root, "text", { x: legend, y: 15, fill: ink, "font-size": 11, "text-anchor": "end" }, line.name);
      legend -= label.getComputedTextLength() + 14;
      svg(root, "rect", { x: legend, y: 7, width: 9, height: 9, fill: line.colour });
      legend -= 10;
    }
    if (!times.length || !lines.length) {
      svg(root, "text", { x: width / 2, y: HEIGHT / 2, fill: ink, "fill-opacity": .55, "font-size": 12, "text-anchor": "middle" },
        chart.title.startsWith("Errors") && times.length ? "none" : "no data yet");
      return;
    }
    const first = times[0], last = Math.max(times[times.length - 1], first + 1);
    const peak = ceiling(Math.max(...lines.flatMap((line) => line.values.filter((v) => v != null))));
    const x = (t) => left + (t - first) / (last - first) * (width - left - right);
    const y = (v) => top + (1 - v / peak) * (HEIGHT - top - bottom);
    for (const stage of data.stages) {
      const from = Math.max(x(stage.from_s), left), to = Math.min(x(stage.to_s ?? last), width - right);
      if (to <= from) continue;
      const band = svg(root, "rect", { x: from, y: top, width: to - from, height: HEIGHT - top - bottom, fill: ink, "fill-opacity": .06 });
      svg(band, "title", {}, `window: ${stage.label}`);
      if (to - from > 26) svg(root, "text", { x: from + 3, y: top + 11, fill: ink, "fill-opacity": .6, "font-size": 10 }, stage.short);
    }
    for (let i = 0; i <= 4; i++) {
      svg(root, "line", { x1: left, x2: width - right, y1: y(peak * i / 4), y2: y(peak * i / 4), stroke: ink, "stroke-opacity": .14 });
      svg(root, "text", { x: left - 6, y: y(peak * i / 4) + 4, fill: ink, "font-size": 11, "text-anchor": "end" }, number(peak * i / 4));
    }
    for (let i = 0; i <= 4; i++) svg(root, "text", { x: x(first + (last - first) * i / 4), y: HEIGHT - 6, fill: ink, "font-size": 11,
      "text-anchor": i === 0 ? "start" : i === 4 ? "end" : "middle" }, clock(first + (last - first) * i / 4));
    for (const line of lines) {
      let path = "", pen = "M";
      line.values.forEach((v, i) => { if (v == null) pen = "M"; else { path += `${pen}${x(times[i]).toFixed(1)} ${y(v).toFixed(1)}`; pen = "L"; } });
      svg(root, "path", { d: path, fill: "none", stroke: line.colour, "stroke-width": 1.8, "stroke-linejoin": "round" });
    }
    hover(root, { times, lines, x, ink, top, bottom, left, right, width, unit: chart.unit });
  }

  function hover(root, { times, lines, x, ink, top, bottom, left, right, width, unit }) {
    const rule = svg(root, "line", { y1: top, y2: HEIGHT - bottom, stroke: ink, "stroke-opacity": .5, visibility: "hidden" });
    const label = svg(root, "text", { y: HEIGHT - bottom - 6, fill: ink, "font-size": 11, visibility: "hidden" });
    root.addEventListener("pointermove", (event) => {
      const at = event.clientX - root.getBoundingClientRect().left;
      if (at < left || at > width - right) return;
      const i = times.reduce((best, t, j) => Math.abs(x(t) - at) < Math.abs(x(times[best]) - at) ? j : best, 0);
      rule.setAttribute("x1", x(times[i])); rule.setAttribute("x2", x(times[i])); rule.setAttribute("visibility", "visible");
      label.textContent = `${clock(times[i])}  ` + lines.map((l) => `${l.name} ${number(l.values[i])}`).join(" · ") + ` ${unit}`;
      label.setAttribute("x", at > width / 2 ? at - 6 : at + 6);
      label.setAttribute("text-anchor", at > width / 2 ? "end" : "start"); label.setAttribute("visibility", "visible");
    });
    root.addEventListener("pointerleave", () => { rule.setAttribute("visibility", "hidden"); label.setAttribute("visibility", "hidden"); });
  }

  function drawTable(holder, title, columns, rows) {
    holder.replaceChildren();
    html(holder, "div", "font-weight:600;font-size:13px;margin:12px 0 4px", title);
    const table = html(holder, "table", "border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums");
    const numeric = (key) => rows.some((one) => typeof one[key] === "number");
    const cell = (row, name, key, text) => html(row, name, `text-align:${numeric(key) ? "right" : "left"};padding:4px 10px 4px 2px;border-bottom:1px solid rgba(128,128,128,.35)`, text);
    const written = (v) => typeof v !== "number" ? v ?? "–" : Number.isInteger(v) ? v.toLocaleString() : number(v);
    const head = html(html(table, "thead"), "tr");
    for (const [key, title] of columns) cell(head, "th", key, title);
    const body = html(table, "tbody");
    for (const one of rows) {
      const row = html(body, "tr");
      for (const [key] of columns) cell(row, "td", key, written(one[key]));
    }
  }

  const onTab = () => new URLSearchParams(location.search).get("tab") === "tokens";
  let latest = null;

  // Of a run that makes no text, nothing of tokens; of one metric, only where some request had it
  const isShown = (chart) => (latest.without_text ? !chart.ofText : !chart.ofOthers) &&
    (!chart.metric || latest.seconds[`${chart.metric}_p50_ms`].some((v) => v != null));

  function draw() {
    const box = document.getElementById(BOX);
    if (!box || !latest) return;
    box.querySelector("[data-part=state]").textContent = latest.state;
    CHARTS.forEach((chart, i) => {
      const holder = box.querySelectorAll("[data-part=chart]")[i];
      holder.style.display = isShown(chart) ? "" : "none";
      if (!holder.style.display) drawChart(holder, chart, latest);
    });
    drawTable(box.querySelector("[data-part=workers]"), "Workers", WORKER_COLUMNS, latest.workers);
    const tenants = box.querySelector("[data-part=tenants]");
    tenants.style.display = latest.tenants.length ? "" : "none";
    drawTable(tenants, "Tenants", TENANT_COLUMNS, latest.tenants.map((one) => ({ ...one, tenant: one.tenant || "(none)" })));
  }

  async function refresh() {
    if (!document.getElementById(BOX)) return;
    const answer = await fetch(DATA);
    if (answer.ok) { latest = await answer.json(); draw(); }
  }

  function place() {
    const box = document.getElementById(BOX);
    if (!onTab()) { if (box) box.remove(); return; }
    if (box) return;
    const table = document.querySelector("#root .MuiTableContainer-root");
    if (!table) return;
    const made = document.createElement("div");
    made.id = BOX;
    made.style.marginBottom = "16px";
    html(made, "div", "font-size:14px;margin:4px 0 10px", "").dataset.part = "state";
    const grid = html(made, "div", "display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px 24px");
    for (const _ of CHARTS) html(grid, "div").dataset.part = "chart";
    html(made, "div").dataset.part = "tenants";
    html(made, "div").dataset.part = "workers";
    html(made, "style", "", `#${BOX} + * .MuiTableCell-root { padding: 6px 7px; }`); // nineteen columns side by side
    table.parentNode.insertBefore(made, table);
    draw();
    refresh();
  }

  new MutationObserver(place).observe(document.documentElement, { childList: true, subtree: true });
  addEventListener("resize", draw);
  setInterval(refresh, POLL_MS);
})();
