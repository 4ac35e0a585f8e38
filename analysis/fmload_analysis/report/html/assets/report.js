"use strict";
(() => {
const CHARTS = JSON.parse(document.getElementById("report-data").textContent);
const COLORS = 8;
const MARK_SYMBOLS = {good: "✓", warn: "▲", bad: "✗"};
const tooltip = document.getElementById("tooltip");
const escaped = text => String(text).replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
const color = series => `var(--c${series.color % COLORS})`;
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const dashes = (series, scale = 1) => { const parts = DASHES[series.dash % DASHES.length]; return parts.length ? ` stroke-dasharray="${parts.map(part => part * scale).join(" ")}"` : ""; };

// ---------------------------------------------------------------- numbers and scales

function number(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return value.toLocaleString("en", {maximumFractionDigits: size < 10000 ? 1 : 0});
  return value.toLocaleString("en", {maximumSignificantDigits: 3, maximumFractionDigits: 9});
}

function linearTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find(factor => (high - low) / (factor * power) <= wanted + 1) || 10);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(Math.abs(tick) < step * 1e-9 ? 0 : tick);
  return ticks;
}

function logTicks(low, high, wanted) {
  const decades = Math.log10(high / low), factors = decades > wanted ? [1] : decades > wanted / 3 ? [1, 3] : [1, 2, 5], ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of factors) { const tick = factor * 10 ** power; if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick); }
  return ticks.length > 2 ? ticks : linearTicks(low, high, wanted).filter(tick => tick > 0);
}

// As much of a panel's title as fits, at some 7 pixels a letter.
function fitted(text, width) {
  const most = Math.max(4, Math.floor(width / 7));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// Those ticks that stand at least 26 pixels from the one before.
function spaced(ticks, at) {
  let last = -Infinity;
  return ticks.filter(tick => Math.abs(at(tick) - last) >= 26 && ((last = at(tick)), true));
}

// A scale turns values into pixels (`at`) and back.
function makeScale(axis, [low, high], from, to, log, wanted) {
  const forward = log ? Math.log : value => value, backward = log ? Math.exp : value => value;
  const a = forward(low), span = forward(high) - a || 1;
  const categories = axis.categories.map((_, index) => index).filter(index => index >= low && index <= high);
  const given = axis.ticks.filter(tick => tick >= low && tick <= high);
  const stride = Math.ceil(categories.length / Math.max(1, wanted * 3));
  return {
    at: value => from + (forward(value) - a) / span * (to - from),
    back: pixel => backward(a + (pixel - from) / (to - from) * span),
    ticks: axis.categories.length ? categories.filter((_, i) => i % stride === 0) : given.length > 1 ? spaced(given, tick => from + (forward(tick) - a) / span * (to - from)) : (log ? logTicks : linearTicks)(low, high, wanted),
    label: tick => axis.categories.length ? axis.categories[tick] : number(tick),
  };
}

// From zero what starts near it or is told to; else, or in logarithms, around the values.
function domain(values, axis, log, rules, margin, fromZero) {
  if (axis.categories.length) return [-0.5, axis.categories.length - 0.5];
  if (axis.span && !log) return axis.span;
  const usable = values.filter(value => value !== null && (!log || value > 0));
  if (!usable.length) return log ? [0.1, 1] : [0, 1];
  let low = usable.reduce((a, b) => Math.min(a, b)), high = usable.reduce((a, b) => Math.max(a, b));
  for (const rule of rules) if (rule <= high * 1.6 && rule > 0) { high = Math.max(high, rule); if (rule > low / 1.6) low = Math.min(low, rule); }
  const room = Math.max(1 + 3 * margin, (high / low) ** margin);
  if (log) return [low / room, high * room];
  const nearZero = low >= 0 && low < high * 0.7, atZero = nearZero || (fromZero && low >= 0);
  const pad = (high - (atZero ? 0 : low)) * margin || Math.abs(high) * 0.1 || 1;  // of what is shown
  if (margin > 0.1 && nearZero) return [-high * 0.07, high + pad];  // no bubble lies over an axis
  return [atZero ? 0 : low - pad, high + pad];
}

// ---------------------------------------------------------------- marks

const OUTLINES = [
  r => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  r => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  r => `M0 ${-r * 1.2}L${r * 1.15} ${r * 0.9}H${-r * 1.15}Z`,
  r => `M0 ${-r * 1.35}L${r * 1.35} 0 0 ${r * 1.35} ${-r * 1.35} 0Z`,
  r => `M0 ${r * 1.2}L${r * 1.15} ${-r * 0.9}H${-r * 1.15}Z`,
  r => `M${-r} ${-r / 3}H${-r / 3}V${-r}H${r / 3}V${-r / 3}H${r}V${r / 3}H${r / 3}V${r}H${-r / 3}V${r / 3}H${-r}Z`,
];
const outline = (series, radius) => OUTLINES[series.shape % OUTLINES.length](radius);

function marker(series, x, y, size, faint) {
  const radius = size === null ? 4 : 4 + 14 * Math.sqrt(size);
  return `<path class="pt" transform="translate(${x.toFixed(1)} ${y.toFixed(1)})" d="${outline(series, radius)}" fill="${color(series)}" `
    + `fill-opacity="${faint ? 0.45 : size === null ? 0.95 : 0.6}" stroke="var(--card)" stroke-width="${faint ? 0.4 : 1}"/>`;
}

// The unbroken runs of points that pass: a band does not bridge a point without an interval.
function runs(points, passes) {
  const found = [[]];
  for (const point of points) if (passes(point)) found.at(-1).push(point); else if (found.at(-1).length) found.push([]);
  return found;
}

// Each point's interval; an end that is not known goes on to the edge, without a cap.
function bars(series, points, frame) {
  const [bottom, top] = frame.edges;
  return points.filter(point => point[2] !== null || point[3] !== null).map(point => {
    const x = frame.x.at(point[0]), low = point[2] === null ? bottom : frame.y.at(Math.max(point[2], frame.floor)), high = point[3] === null ? top : frame.y.at(point[3]);
    const cap = y => `M${(x - 5).toFixed(1)} ${y.toFixed(1)}h10`;
    return `<path d="M${x.toFixed(1)} ${low.toFixed(1)}V${high.toFixed(1)}${point[2] === null ? "" : cap(low)}${point[3] === null ? "" : cap(high)}" fill="none" stroke="${color(series)}" stroke-width="1.5"/>`;
  }).join("");
}

// Each draws one series into `spots` (what can be hovered) and returns SVG.
const DRAW = {
  xy(series, points, frame, spots) {
    const at = points.map(point => [frame.x.at(point[0]), frame.y.at(point[1])]);
    let svg = "";
    const edge = (list, k) => list.map(point => `${frame.x.at(point[0]).toFixed(1)} ${frame.y.at(Math.max(point[k], frame.floor)).toFixed(1)}`);
    if (series.bars) svg += bars(series, points, frame);
    else if (series.joined) for (const band of runs(points, point => point[2] !== null && point[3] !== null)) if (band.length > 1)
      frame.under.push(`<path d="M${edge(band, 3).concat(edge(band, 2).reverse()).join("L")}Z" fill="${color(series)}" opacity=".13"/>`);
    if (series.joined && at.length > 1)
      svg += `<path d="M${at.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}" fill="none" stroke="${color(series)}" stroke-width="2" stroke-linejoin="round"${dashes(series)}/>`;
    at.forEach(([x, y], i) => {
      if (!series.bare) svg += marker(series, x, y, points[i][4], frame.crowded);
      if (points[i][6] === "good") svg += `<path class="ring" transform="translate(${x.toFixed(1)} ${y.toFixed(1)})" d="${OUTLINES[0](7 + (points[i][4] === null ? 0 : 14 * Math.sqrt(points[i][4])))}"/>`;
      spots.push({x, y, series, point: points[i]});
    });
    return svg;
  },
  bar(series, points, frame, spots) {
    const width = Math.max(2, Math.min(46, Math.abs(frame.x.at(1) - frame.x.at(0)) * 0.7));
    return points.filter(point => point[1] > 0).map(point => {
      const below = frame.stack.get(point[0]) || 0;
      frame.stack.set(point[0], below + point[1]);
      const x = frame.x.at(point[0]), top = frame.y.at(below + point[1]), bottom = frame.y.at(Math.max(below, frame.floor));
      spots.push({x, y: (top + bottom) / 2, series, point});
      return `<rect class="pt" x="${(x - width / 2).toFixed(1)}" y="${top.toFixed(1)}" width="${width.toFixed(1)}" height="${Math.max(0.5, bottom - top).toFixed(1)}" fill="${color(series)}" stroke="var(--card)" stroke-width=".7"/>`;
    }).join("");
  },
  box(series, points, frame, spots) {
    const step = Math.abs(frame.x.at(1) - frame.x.at(0)), width = Math.max(3, Math.min(18, step * 0.7 / frame.count));
    const shift = (frame.place - (frame.count - 1) / 2) * (width + 2);
    return points.map(point => {
      const x = frame.x.at(point[0]) + shift, y = frame.y.at(point[1]);
      const low = frame.y.at(Math.max(point[2] ?? point[1], frame.floor)), high = frame.y.at(point[3] ?? point[1]);
      spots.push({x, y, series, point});
      return `<rect x="${(x - width / 2).toFixed(1)}" y="${high.toFixed(1)}" width="${width.toFixed(1)}" height="${Math.max(0.5, low - high).toFixed(1)}" rx="2" fill="${color(series)}" opacity=".28"/>` + marker(series, x, y, null, false);
    }).join("");
  },
};

// ---------------------------------------------------------------- one chart

class Plot {
  constructor(figure) {
    this.figure = figure;
    this.spec = CHARTS[figure.dataset.chart];
    this.area = figure.querySelector(".plots");
    this.hidden = new Set();
    this.crowded = this.spec.series.some(series => !series.joined && series.points.length > 60);
    this.log = {x: this.spec.x.log, y: this.spec.y.log};
    this.view = null;
    this.panels = [];
    this.buildTools();
    this.buildLegend();
    this.draw();
    new ResizeObserver(() => { if (Math.abs(this.area.clientWidth - this.width) > 8) this.draw(); }).observe(this.area);
  }

  buildTools() {
    const tools = this.figure.querySelector(".tools");
    const button = (text, title, action, pressed) => {
      const made = document.createElement("button");
      Object.assign(made, {type: "button", className: "quiet", textContent: text, title});
      if (pressed !== undefined) made.setAttribute("aria-pressed", pressed);
      made.addEventListener("click", () => action(made));
      tools.append(made);
      return made;
    };
    for (const name of ["x", "y"]) {
      if (this.spec[name].categories.length) continue;
      button(`log ${name}`, `Logarithmic ${this.spec[name].label}`, made => {
        this.log[name] = !this.log[name];
        made.setAttribute("aria-pressed", this.log[name]);
        this.view = null;
        this.draw();
      }, this.log[name]);
    }
    button("data", "The numbers of this chart as a table", made => this.toggleData(made), false);
    this.reset = button("reset zoom", "Show everything again (double click does, too)", () => { this.view = null; this.draw(); });
    this.reset.hidden = true;
    const hint = document.createElement("span");
    Object.assign(hint, {className: "note", textContent: "drag to zoom"});
    tools.append(hint);
  }

  buildLegend() {
    const legend = this.figure.querySelector(".legend"), names = [...new Set(this.spec.series.map(series => series.name))];
    for (const name of names) {
      const series = this.spec.series.find(each => each.name === name), made = document.createElement("button");
      made.type = "button";
      made.title = "Click: show or hide. Shift and click: only this one";
      made.setAttribute("aria-pressed", "true");
      made.innerHTML = `<svg viewBox="0 0 22 12" aria-hidden="true">${series.joined && this.spec.kind === "xy" ? `<path d="M0 6H22" stroke="${color(series)}" stroke-width="2"${dashes(series, 0.8)}/>` : ""}<path ${series.bare ? 'visibility="hidden" ' : ""}transform="translate(11 6)" d="${(this.spec.kind === "bar" ? OUTLINES[1] : OUTLINES[series.shape % OUTLINES.length])(4)}" fill="${color(series)}"/></svg>${escaped(name)}`;
      made.addEventListener("click", event => {
        if (event.shiftKey) this.hidden = new Set(this.hidden.size === names.length - 1 && !this.hidden.has(name) ? [] : names.filter(other => other !== name));
        else if (!this.hidden.delete(name)) this.hidden.add(name);
        [...legend.children].forEach((child, i) => child.setAttribute("aria-pressed", !this.hidden.has(names[i])));
        this.draw();
      });
      legend.append(made);
    }
    legend.hidden = names.length < 2;
  }

  visible(panel) { return this.spec.series.filter(series => series.panel === panel && !this.hidden.has(series.name)); }

  domains() {
    const shown = this.spec.series.filter(series => !this.hidden.has(series.name)), points = shown.flatMap(series => series.points);
    const rules = axis => this.spec.rules.filter(rule => rule.axis === axis).map(rule => rule.value);
    const margin = points.some(point => point[4] !== null) ? 0.13 : 0.06;  // room for bubbles
    let heights = points.flatMap(point => [point[1], point[2], point[3]]);
    if (this.spec.kind === "bar") {
      const stack = new Map();
      for (const series of shown) for (const point of series.points) { const key = series.panel + "\n" + point[0]; stack.set(key, (stack.get(key) || 0) + point[1]); }
      heights = [0, ...stack.values()];
    }
    return {x: domain(points.map(point => point[0]), this.spec.x, this.log.x, rules("x"), margin, false), y: domain(heights, this.spec.y, this.log.y, rules("y"), margin, !shown.some(series => series.bars))};
  }

  draw() {
    this.width = this.area.clientWidth || 720;
    const names = this.spec.panels, columns = Math.max(1, Math.min(names.length, Math.floor(this.width / 300), names.length === 4 ? 2 : 3));
    this.area.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const width = (this.width - 16 * (columns - 1)) / columns, height = Math.round(Math.min(380, Math.max(230, width * 0.62)));
    const range = this.view || this.domains();
    this.area.textContent = "";
    this.panels = names.map(name => this.drawPanel(name, width, height, range));
    this.reset.hidden = !this.view;
    this.spot = -1;
  }

  drawPanel(name, width, height, range) {
    const {x: xAxis, y: yAxis} = this.spec, top = name ? 28 : 12, wantedY = Math.max(4, Math.floor(height / 48));
    const crowded = xAxis.categories.length && Math.max(...xAxis.categories.map(text => text.length)) * 6.5 > (width - 70) / xAxis.categories.length;
    const bottom = height - (crowded ? 84 : 42);
    const y = makeScale(yAxis, range.y, bottom, top, this.log.y, wantedY);
    const ends = this.labelsEnds() ? this.visible(name) : [], longest = Math.max(0, ...ends.map(series => Math.min(series.name.length, 24)));
    const left = 26 + Math.max(...y.ticks.map(tick => y.label(tick).length), xAxis.span ? 6 : 2) * 6.6, right = width - 10 - (longest ? Math.min(longest * 7 + 16, width * 0.3) : 0);
    const x = makeScale(xAxis, range.x, left, right, this.log.x, Math.max(3, Math.floor((right - left) / 62)));
    const clip = `clip-${this.figure.dataset.chart}-${this.panels.length}-${Math.random().toString(36).slice(2)}`, spots = [];
    const shown = this.visible(name), frame = {x, y, floor: this.log.y ? range.y[0] : -Infinity, edges: [bottom, top], crowded: this.crowded, stack: new Map(), under: [], count: shown.length};
    const inDomain = point => (!this.log.x || point[0] > 0) && (!this.log.y || point[1] > 0);
    const body = shown.map((series, place) => DRAW[this.spec.kind](series, series.points.filter(inDomain), Object.assign(frame, {place}), spots)).join("");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${width.toFixed(0)} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-label", `${this.spec.title}${name ? `, ${name}` : ""}. ${xAxis.text} against ${yAxis.text}. ${spots.length} points; arrow keys walk through them.`);
    svg.innerHTML = `<clipPath id="${clip}"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath>`
      + (name ? `<text class="panel" x="${left}" y="15">${escaped(fitted(name, right - left))}<title>${escaped(name)}</title></text>` : "")
      + y.ticks.map(tick => `<path class="grid" d="M${left} ${y.at(tick).toFixed(1)}H${right}"/><text x="${left - 6}" y="${(y.at(tick) + 4).toFixed(1)}" text-anchor="end">${escaped(y.label(tick))}</text>`).join("")
      + x.ticks.map(tick => this.xTick(x, tick, bottom, crowded, width)).join("")
      + `<path class="axis" d="M${left} ${bottom}H${right}"/>`
      + `<text x="${(left + right) / 2}" y="${height - 4}" text-anchor="middle">${escaped(xAxis.text)}</text>`
      + `<text transform="translate(11 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(yAxis.text)}</text>`
      + `<g${this.view || xAxis.span ? ` clip-path="url(#${clip})"` : ""}>${this.region(x, y, left, bottom)}${frame.under.join("")}${body}</g>${this.rules(x, y, {left, right, top, bottom}, range)}${this.ends(ends, frame, inDomain, right, top, bottom, width)}<path class="focus"/><rect class="select"/>`;
    this.area.append(svg);
    const panel = {svg, spots: spots.filter(spot => spot.x >= left - 1 && spot.x <= right + 1 && spot.y >= top - 1 && spot.y <= bottom + 1), x, y, box: {left, right, top, bottom}, width};
    this.listen(panel);
    return panel;
  }

  // One panel of lines: each is named at its end, and a legend only repeats it.
  labelsEnds() {
    const names = new Set(this.spec.series.map(series => series.name));
    return this.spec.kind === "xy" && this.spec.panels.length === 1 && names.size > 1 && names.size === this.spec.series.length && this.spec.series.every(series => series.joined);
  }

  ends(shown, frame, inDomain, right, top, bottom, width) {
    const at = shown.map(series => [series, series.points.filter(inDomain).at(-1)]).filter(([, point]) => point).map(([series, point]) => ({series, y: Math.min(bottom, Math.max(top + 6, frame.y.at(point[1])))})).sort((a, b) => a.y - b.y);
    at.forEach((each, i) => { if (i) each.y = Math.max(each.y, at[i - 1].y + 14); });
    let floor = bottom;
    for (const each of at.toReversed()) { each.y = Math.min(each.y, floor); floor = each.y - 14; }
    return at.map(({series, y}) => `<path d="M${right + 3} ${y.toFixed(1)}h9" stroke="${color(series)}" stroke-width="3"${dashes(series, 0.6)}/><text class="end" x="${right + 16}" y="${(y + 4).toFixed(1)}">${escaped(fitted(series.name, width - right - 16))}</text>`).join("");
  }

  xTick(x, tick, bottom, crowded, width) {
    const at = x.at(tick).toFixed(1), half = x.label(tick).length * 3.3, middle = Math.min(x.at(tick), width - half).toFixed(1), text = escaped(crowded && x.label(tick).length > 16 ? `${x.label(tick).slice(0, 15)}…` : x.label(tick));
    const label = crowded ? `<text transform="translate(${at} ${bottom + 12}) rotate(-35)" text-anchor="end">${text}</text>` : `<text x="${middle}" y="${bottom + 17}" text-anchor="middle">${text}</text>`;
    return `<path class="axis" d="M${at} ${bottom}v4"/>${label}`;
  }

  // Where both axes have a limit, the corner that keeps both is shaded.
  region(x, y, left, bottom) {
    const limit = axis => this.spec.rules.find(rule => rule.axis === axis);
    if (!limit("x") || !limit("y")) return "";
    const top = y.at(limit("y").value);
    return `<rect class="region" x="${left}" y="${top.toFixed(1)}" width="${Math.max(0, x.at(limit("x").value) - left).toFixed(1)}" height="${Math.max(0, bottom - top).toFixed(1)}"/>`;
  }

  rules(x, y, {left, right, top, bottom}, range) {
    return this.spec.rules.filter(rule => rule.value >= range[rule.axis][0] && rule.value <= range[rule.axis][1]).map(rule => {
      if (rule.axis === "y") { const at = y.at(rule.value).toFixed(1); return `<path class="rule" d="M${left} ${at}H${right}"/><text class="rule-text" x="${left + 6}" y="${at - 5}">${escaped(rule.label)}</text>`; }
      const at = x.at(rule.value), flip = at > (left + right) / 2;
      return `<path class="rule" d="M${at.toFixed(1)} ${top}V${bottom}"/><text class="rule-text" x="${(at + (flip ? -5 : 5)).toFixed(1)}" y="${top + 12}" text-anchor="${flip ? "end" : "start"}">${escaped(rule.label)}</text>`;
    }).join("");
  }

  // ---- hover, zoom, keys

  listen(panel) {
    const {svg} = panel;
    let start = null;
    const position = event => { const box = svg.getBoundingClientRect(), ratio = panel.width / box.width; return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio]; };
    svg.addEventListener("pointermove", event => {
      const [x, y] = position(event);
      if (start) return this.select(panel, start, [x, y]);
      this.show(panel, panel.spots.reduce((best, spot) => { const far = Math.hypot(spot.x - x, spot.y - y); return far < best.far ? {far, spot} : best; }, {far: 45, spot: null}).spot);
    });
    svg.addEventListener("pointerdown", event => { if (event.button === 0 && event.pointerType !== "touch") { start = position(event); svg.setPointerCapture(event.pointerId); this.show(panel, null); } });
    svg.addEventListener("pointerup", event => { if (start) { const from = start; start = null; this.zoom(panel, from, position(event)); } });
    svg.addEventListener("pointercancel", () => { start = null; this.select(panel, [0, 0], [0, 0]); });
    svg.addEventListener("pointerleave", () => this.show(panel, null));
    svg.addEventListener("blur", () => this.show(panel, null));
    svg.addEventListener("dblclick", () => { this.view = null; this.draw(); });
    svg.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (event.key === "Escape") return this.show(panel, null);
      if (!step || !panel.spots.length) return;
      event.preventDefault();
      this.spot = (this.spot + step + panel.spots.length) % panel.spots.length;
      this.show(panel, panel.spots[this.spot]);
    });
  }

  select(panel, [x0, y0], [x1, y1]) {
    const rect = panel.svg.querySelector(".select");
    for (const [name, value] of Object.entries({x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0)})) rect.setAttribute(name, value);
  }

  zoom(panel, from, to) {
    this.select(panel, [0, 0], [0, 0]);
    if (Math.abs(from[0] - to[0]) < 8 || Math.abs(from[1] - to[1]) < 8) return;
    const {left, right, top, bottom} = panel.box, within = (value, low, high) => Math.min(high, Math.max(low, value));
    const xs = [from[0], to[0]].map(pixel => panel.x.back(within(pixel, left, right))), ys = [from[1], to[1]].map(pixel => panel.y.back(within(pixel, top, bottom)));
    this.view = {x: [Math.min(...xs), Math.max(...xs)], y: [Math.min(...ys), Math.max(...ys)]};
    this.draw();
  }

  show(panel, spot) {
    tooltip.hidden = !spot;
    panel.svg.querySelector(".focus").setAttribute("d", spot ? OUTLINES[0](8) : "");
    if (!spot) return;
    panel.svg.querySelector(".focus").setAttribute("transform", `translate(${spot.x} ${spot.y})`);
    const [x, y, low, high, , tip, mark] = spot.point, of = (axis, value) => axis.categories.length ? axis.categories[value] : `${number(value)}${axis.unit ? ` ${axis.unit}` : ""}`;
    tooltip.innerHTML = `<b>${escaped(spot.series.name)}${mark ? ` ${MARK_SYMBOLS[mark]}` : ""}</b>${escaped(this.spec.x.label)}: ${escaped(of(this.spec.x, x))}<br>${escaped(this.spec.y.label)}: ${escaped(of(this.spec.y, y))}`
      + (low !== null || high !== null ? ` (${low === null ? "…" : number(low)} to ${high === null ? "…" : number(high)})` : "") + (tip ? `<br>${escaped(tip)}` : "");
    const box = panel.svg.getBoundingClientRect(), ratio = box.width / panel.width, px = box.left + spot.x * ratio, py = box.top + spot.y * ratio;
    const place = px + 16 + tooltip.offsetWidth > innerWidth ? px - 16 - tooltip.offsetWidth : px + 16;
    tooltip.style.left = `${Math.max(4, place)}px`;
    tooltip.style.top = `${Math.min(innerHeight - tooltip.offsetHeight - 4, Math.max(4, py - tooltip.offsetHeight / 2))}px`;
  }

  toggleData(button) {
    const old = this.figure.querySelector(".data");
    button.setAttribute("aria-pressed", !old);
    if (old) return old.remove();
    const {x, y} = this.spec, rows = this.spec.series.flatMap(series => series.points.map(point =>
      [series.panel, series.name, x.categories.length ? x.categories[point[0]] : number(point[0]), number(point[1]), point[2] === null ? "" : number(point[2]), point[3] === null ? "" : number(point[3]), point[5]]));
    const head = ["", "series", x.text, y.text, "from", "to", ""], kept = head.map((_, i) => rows.some(row => row[i] !== "")), pick = row => row.filter((_, i) => kept[i]);
    const holder = document.createElement("div");
    holder.className = "scroll data";
    holder.tabIndex = 0;
    holder.innerHTML = `<table><thead><tr>${pick(head).map(text => `<th scope="col"><button type="button">${escaped(text)}</button></th>`).join("")}</tr></thead><tbody>${rows.map(row => `<tr>${pick(row).map(text => `<td>${escaped(text)}</td>`).join("")}</tr>`).join("")}</tbody></table>`;
    this.figure.append(holder);
    sortable(holder.querySelector("table"));
  }
}

// ---------------------------------------------------------------- tables

// The rows of a long table that were data until they are wanted.
function unpack(figure) {
  const held = figure?.querySelector("script.held");
  if (!held) return;
  const {classes, rows} = JSON.parse(held.textContent);
  held.remove();
  figure.querySelector(".more").parentElement.remove();
  const cell = (told, i) => {
    const [html, value = null, mark = null, title = null] = Array.isArray(told) ? told : [told];
    return `<td class="${classes[i]}${mark ? ` ${mark}` : ""}"${value === null ? "" : ` data-v="${escaped(value)}"`}${title ? ` title="${escaped(title)}"` : ""}>${html}</td>`;
  };
  figure.querySelector("tbody").insertAdjacentHTML("beforeend", rows.map(row => `<tr>${row.map(cell).join("")}</tr>`).join(""));
}

function sortable(table) {
  const key = cell => { const text = cell.dataset.v ?? cell.textContent.trim(), parsed = Number(text.replaceAll(",", "")); return text === "" || text === "n/a" ? null : Number.isNaN(parsed) ? text.toLowerCase() : parsed; };
  const order = (a, b) => a === null || b === null ? (a === null) - (b === null) : typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  [...table.tHead.rows[0].cells].forEach((head, column) => head.addEventListener("click", () => {
    unpack(table.closest("figure.table"));
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map(row => [key(row.cells[column]), row]);
    rows.sort(([a], [b]) => (a === null || b === null || !down ? order(a, b) : order(b, a)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

// Every word must occur in the row; `-word` must not.
function filterable(figure) {
  const input = figure.querySelector(".filter"), shown = figure.querySelector(".shown");
  let rows = null, texts = null;
  const apply = () => {
    unpack(figure);
    rows ??= [...figure.querySelectorAll("tbody tr")];
    texts ??= rows.map(row => row.textContent.toLowerCase());
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, i) => { row.hidden = !words.every(word => word.length > 1 && word[0] === "-" ? !texts[i].includes(word.slice(1)) : texts[i].includes(word)); count += !row.hidden; });
    shown.textContent = words.length ? `${count} of ${rows.length} rows` : `${rows.length} rows`;
  };
  input.addEventListener("input", apply);
}

for (const figure of document.querySelectorAll("figure.table")) {
  sortable(figure.querySelector("table"));
  if (figure.querySelector(".filter")) filterable(figure);
  figure.querySelector(".more")?.addEventListener("click", () => unpack(figure));
  figure.querySelector(".details")?.addEventListener("click", event => event.currentTarget.setAttribute("aria-pressed", figure.querySelector("table").classList.toggle("all")));
}

// ---------------------------------------------------------------- the page

const root = document.documentElement, prefersDark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = dark => root.dataset.theme = dark ? "dark" : "light";
setTheme(prefersDark.matches);
prefersDark.addEventListener("change", event => setTheme(event.matches));
document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));

const waiting = new Set(document.querySelectorAll("figure.chart"));
const plot = figure => { if (waiting.delete(figure)) new Plot(figure); };
const near = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => { near.unobserve(entry.target); plot(entry.target); }), {rootMargin: "800px"});
waiting.forEach(figure => near.observe(figure));

let folded = [];
addEventListener("beforeprint", () => {
  [...waiting].forEach(plot);
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach(details => details.open = true);
});
addEventListener("afterprint", () => folded.forEach(details => details.open = false));
tooltip.hidden = true;

const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(entries => {
  for (const entry of entries.filter(each => each.isIntersecting)) {
    links.forEach(link => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, {rootMargin: "-10% 0px -75% 0px"});
document.querySelectorAll("main > section, main > .question").forEach(section => seen.observe(section));

// A link leads into what is folded, too.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", unfold);
document.addEventListener("click", event => { const link = event.target.closest?.('a[href^="#"]'); if (link && link.hash === location.hash) unfold(); });
unfold();
})();
