// Figures as SVG: laid out when runs or sizes change, moved when the threshold does.

const SVG = "http://www.w3.org/2000/svg";

/** Set attributes of an element; they may hold `text`, `on` (listeners) and `title` (a tooltip). */
function change(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
}

/**
 * Make an element with attributes, as `change` takes them.
 *
 * What can have the focus keeps its keys: JupyterLab would take letters and arrows for shortcuts,
 * and looks for the attribute on the focused element alone.
 */
function make(tag, attributes = {}, ...children) {
  const svg = make.svg.has(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  change(node, attributes);
  if (make.keys.has(tag) || "tabindex" in attributes) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
make.keys = new Set(["button", "input", "select", "summary"]);
make.svg = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath",
  "pattern"]);
/** What the images are, marked where the faces are drawn. */
const origin = (of) => (of.synthetic ? make("span", { class: "fl-synthetic", text: of.source }) : of.source);
let ids = 0;
const fresh = (name) => `fl-${name}-${(ids += 1)}`;

/** Round numbers between two ends. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((f) => f * power >= rough);
  const first = Math.ceil(low / step - 1e-9), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const n = Math.floor(high / step + 1e-9) - first + 1;
  const more = Math.abs(step / 10 ** -digits - 2.5) < 1e-6 ? 1 : 0;
  return Array.from({ length: n }, (_, k) => [(first + k) * step,
    digits > 5 ? ((first + k) * step).toExponential(0) : ((first + k) * step).toFixed(digits + more)]);
}

/** A step line over bins, from the ground to the ground. */
function steps(edges, heights, x, y) {
  let path = `M${x(edges[0])},${y(0)}`;
  heights.forEach((h, k) => { path += `V${y(h).toFixed(1)}H${x(edges[k + 1]).toFixed(1)}`; });
  return `${path}V${y(0)}`;
}

function axis(parent, scale, at, marks, name) {
  const g = make("g", { class: "fl-axis" });
  for (const [value, text] of marks) {
    const x = scale(value);
    g.append(make("line", { x1: x, x2: x, y1: at, y2: at + 5 }),
      make("text", { x, y: at + 20, "text-anchor": "middle", text }));
  }
  const [a, b] = scale.range;
  g.append(make("line", { x1: a, x2: b, y1: at, y2: at }));
  if (name) g.append(make("text", { x: (a + b) / 2, y: at + 41, "text-anchor": "middle", text: name }));
  parent.append(g);
}

function scaleOf(low, high, a, b) {
  const scale = (v) => a + ((v - low) / (high - low)) * (b - a);
  scale.range = [a, b];
  scale.inverse = (pixel) => low + ((pixel - a) / (b - a)) * (high - low);
  return scale;
}

/**
 * The distances of same and of different pairs with a threshold to drag, F1 and accuracy below.
 *
 * `on.threshold(value)` is called while it is dragged, `on.bin(low, high)` when a bin is chosen.
 */
function distancesPlot(parent, { strip = true, height = 300, label = "Threshold", on }) {
  const svg = make("svg", { class: "fl-plot fl-distances", role: "group", "aria-label": "Distances" });
  parent.append(svg);
  const clip = [fresh("below"), fresh("above")];
  const state = { width: 0 };
  let nodes = {}, run = null, edges = [], inBins = null, x = null, drag = false;

  function bars(kind, density, y) {
    const d = steps(edges, density, x, y), wrong = kind === "different" ? clip[0] : clip[1];
    return make("g", { class: `fl-${kind}` }, make("path", { class: "fl-area", d }),
      make("path", { class: "fl-wrong", d, "clip-path": `url(#${wrong})` }),
      make("path", { class: "fl-hatch", d, "clip-path": `url(#${wrong})`, fill: `url(#${wrong}-hatch)` }),
      make("path", { class: "fl-outline", d }));
  }

  function layout(newRun, shared = [newRun], peak = 0) {
    run = newRun;
    svg.replaceChildren();
    const width = Math.max(300, parent.clientWidth), head = 112;
    const total = head + height + (strip ? 160 : 54), right = strip ? 74 : 16;
    state.width = width;
    change(svg, { viewBox: `0 0 ${width} ${total}`, height: total });
    edges = binEdges(shared);
    x = scaleOf(edges[0], edges.at(-1), 14, width - right);
    inBins = histogram(run, edges);
    const dense = densities(run, edges), top = peak || Math.max(...dense.same, ...dense.different);
    const y = scaleOf(0, top, head + height, head), ground = head + height;
    const hatch = (id, d) => make("pattern", { id: `${id}-hatch`, width: 7, height: 7,
      patternUnits: "userSpaceOnUse" }, make("path", { d, class: "fl-hatch-line" }));
    nodes.below = make("rect", { x: 0, y: 0, height: total, width: 0 });
    nodes.above = make("rect", { x: 0, y: 0, height: total, width });
    svg.append(make("defs", {}, make("clipPath", { id: clip[0] }, nodes.below),
      make("clipPath", { id: clip[1] }, nodes.above),
      hatch(clip[0], "M-1,1L1,-1M0,7L7,0M6,8L8,6"), hatch(clip[1], "M-1,6L1,8M0,0L7,7M6,-1L8,1")));
    svg.append(bars("different", dense.different, y), bars("same", dense.same, y));
    nodes.hover = make("rect", { class: "fl-hover", y: head, height, width: 0 });
    nodes.chosen = make("rect", { class: "fl-chosen-bin", y: head, height, width: 0 });
    svg.append(nodes.hover, nodes.chosen);
    svg.append(make("rect", { class: "fl-catch", x: x.range[0], y: head, height,
      width: x.range[1] - x.range[0], "data-bins": edges.length - 1 }));
    const marks = ticks(edges[0], edges.at(-1), width / 90);
    const name = width < 420 ? "distance" : "distance between unit-length embeddings";
    axis(svg, x, ground, strip ? marks.map(([at]) => [at, ""]) : marks, strip ? "" : name);
    if (strip) curves(ground + 18, 94, marks, width < 420 ? "threshold" :
      "threshold: accept when the distance is below", right);
    nodes.counts = ["accepted", "rejected"].map((side, k) => {
      const place = { x: k ? width - 8 : 8, "text-anchor": k ? "end" : "start" };
      const lines = [make("text", { ...place, y: 16, class: "fl-side", text: side })];
      for (const kind of ["same", "different"]) {
        lines.push(make("text", { ...place, y: kind === "same" ? 38 : 59, class: `fl-text-${kind}` }));
      }
      svg.append(...lines);
      return lines.slice(1);
    });
    const own = [...new Set([run.threshold, run.f1_threshold])].map((t) => make("line", { class: "fl-set",
      y1: head - 8, y2: ground + (strip ? 112 : 0), x1: x(t), x2: x(t) }));
    nodes.line = make("line", { class: "fl-threshold", y1: 98, y2: ground + (strip ? 112 : 0) });
    nodes.grip = make("g", { class: "fl-grip", tabindex: 0, role: "slider", "aria-label": label,
      "aria-valuemin": edges[0].toFixed(3), "aria-valuemax": edges.at(-1).toFixed(3) },
    make("rect", { x: -44, y: 70, width: 88, height: 30, rx: 15 }),
    make("text", { y: 91, "text-anchor": "middle" }));
    nodes.told = make("text", { y: head + 16 });
    svg.append(...own, nodes.line, nodes.grip, make("g", { class: "fl-told" }, nodes.told));
  }

  function curves(top, height, marks, name, right) {
    const y = scaleOf(0, 1, top + height, top), [a, b] = x.range, last = { f1: "", accuracy: "" };
    const g = make("g", { class: "fl-strip" });
    for (let pixel = a; pixel <= b; pixel += 1) {
      const r = rates(counts(run, x.inverse(pixel)));
      for (const metric of ["f1", "accuracy"]) {
        if (Number.isFinite(r[metric])) last[metric] += `${last[metric] ? "L" : "M"}${pixel},${y(r[metric]).toFixed(1)}`;
      }
    }
    for (const value of [0, 0.5, 1]) {
      g.append(make("line", { class: "fl-grid", x1: a, x2: b, y1: y(value), y2: y(value) }));
    }
    nodes.dots = {};
    for (const metric of ["accuracy", "f1"]) {
      g.append(make("path", { class: `fl-curve fl-${metric}`, d: last[metric] }));
      nodes.dots[metric] = { dot: make("circle", { class: `fl-dot fl-${metric}`, r: 6.5 }),
        text: make("text", { class: `fl-end fl-${metric}`, x: b + 8 }), y };
    }
    g.append(make("text", { class: "fl-tick", x: a + 4, y: top + 15, text: "100 %" }));
    for (const { dot, text } of Object.values(nodes.dots)) g.append(dot, text);
    g.append(make("rect", { class: "fl-catch fl-catch-strip", x: a, y: top, width: b - a, height }));
    svg.append(g);
    axis(svg, x, top + height, marks, name);
  }

  function update(threshold, c, r) {
    state.threshold = threshold;
    const at = Math.min(Math.max(x(threshold), x.range[0]), x.range[1]);
    change(nodes.below, { width: at });
    change(nodes.above, { x: at });
    change(nodes.line, { x1: at, x2: at });
    const pill = Math.min(Math.max(at, 52), state.width - 52);
    nodes.grip.lastChild.textContent = shown(threshold);
    change(nodes.grip, { transform: `translate(${pill},0)`, "aria-valuenow": +threshold.toPrecision(8),
      "aria-valuetext": `${shown(threshold)}, ${count(c.tp)} of ${count(run.nSame)} same and ` +
      `${count(c.fp)} of ${count(run.nDifferent)} different pairs accepted` });
    const wide = state.width > 560;
    const far = Number.isFinite(r.far) ? (wide ? ` (FAR ${percent(r.far)})` : "") : "";
    const frr = Number.isFinite(r.frr) ? (wide ? ` (FRR ${percent(r.frr)})` : "") : "";
    const [[a, b], [d, e]] = nodes.counts;
    a.textContent = `${count(c.tp)} same`;
    b.textContent = `${count(c.fp)} different${far}`;
    d.textContent = `${count(c.fn)} same${frr}`;
    e.textContent = `${count(c.tn)} different`;
    for (const [metric, { dot, text, y }] of Object.entries(nodes.dots || {})) {
      const v = Number.isFinite(r[metric]) ? r[metric] : 0, other = r[metric === "f1" ? "accuracy" : "f1"];
      change(dot, { cx: at, cy: y(v) });
      const apart = Math.abs(y(v) - y(other)) < 36 ? (v > other || (v === other && metric === "f1") ? -1 : 1) : 0;
      const mid = apart ? (y(v) + y(other)) / 2 + 18 * apart : y(v);
      text.replaceChildren(...[metric === "f1" ? "F1" : "accuracy", percent(r[metric])].map((line, k) =>
        make("tspan", { x: text.getAttribute("x"), y: mid + 15 * k - 2, text: line })));
    }
  }

  function choose(low, high) {
    const bin = Number.isFinite(low) ? { x: x(low), width: x(high) - x(low) } : { x: 0, width: 0 };
    change(nodes.chosen, bin);
  }

  const point = (event) => {
    const box = svg.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * state.width, event.target];
  };
  const near = (pixel) => Math.abs(pixel - Number(nodes.line.getAttribute("x1"))) < 11;
  const binAt = (pixel) => Math.min(edges.length - 2, Math.max(0,
    Math.floor((x.inverse(pixel) - edges[0]) / (edges[1] - edges[0]) + 1e-9)));
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [pixel, target] = point(event);
    const strip = target.classList.contains("fl-catch-strip");
    if (strip || near(pixel) || nodes.grip.contains(target)) {
      drag = true;
      svg.setPointerCapture(event.pointerId);
      nodes.grip.focus({ preventScroll: true });
      if (strip) on.threshold(x.inverse(pixel));
      event.preventDefault();
    } else if (target.classList.contains("fl-catch") && on.bin) {
      const k = binAt(pixel);
      on.bin(edges[k], edges[k + 1]);
    }
  });
  svg.addEventListener("pointermove", (event) => {
    const [pixel, target] = point(event);
    if (drag) {
      const inside = Math.min(Math.max(pixel, x.range[0]), x.range[1]);
      on.threshold(x.inverse(inside));
      return;
    }
    const over = on.bin && target.classList.contains("fl-catch") && !near(pixel) &&
      !target.classList.contains("fl-catch-strip");
    svg.classList.toggle("fl-near", near(pixel) || target.classList.contains("fl-catch-strip"));
    hover(over ? binAt(pixel) : -1);
  });
  function hover(k) {
    const [from, to] = k < 0 ? [0, 0] : [x(edges[k]), x(edges[k + 1])], middle = (from + to) / 2;
    change(nodes.hover, { x: from, width: to - from });
    nodes.told.textContent = k < 0 ? "" : `${span(edges[k], edges[k + 1])}: ` +
      `${count(inBins.same[k])} same, ${count(inBins.different[k])} different`;
    const side = middle < 150 ? "start" : middle > state.width - 150 ? "end" : "middle";
    change(nodes.told, { "text-anchor": side, x: { start: from, middle, end: to }[side] });
  }
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { drag = false; });
  svg.addEventListener("pointerleave", () => hover(-1));
  svg.addEventListener("keydown", (event) => {
    const span = edges.at(-1) - edges[0], now = state.threshold;
    const move = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
    const to = event.key === "Home" ? edges[0] : event.key === "End" ? edges.at(-1) :
      move ? now + (move * span) / (event.shiftKey ? 1000 : 200) : null;
    if (to === null || event.target !== nodes.grip) return;
    event.preventDefault();
    event.stopPropagation();
    on.threshold(Math.min(Math.max(to, edges[0]), edges.at(-1)));
  });
  return { layout, update, choose, edges: () => edges };
}

/** ROC, or the two errors on normal-deviate axes (DET), with the operating point. */
function curvePlot(parent) {
  const svg = make("svg", { class: "fl-plot fl-roc", role: "img" });
  parent.append(svg);
  let place = null, dots = [];
  function layout(runs, det) {
    svg.replaceChildren();
    const size = Math.min(460, Math.max(240, parent.clientWidth)), left = 68, bottom = 52;
    change(svg, { viewBox: `0 0 ${size} ${size}`, width: size, height: size });
    const clip = fresh("roc");
    const low = det ? Math.min(0.02, Math.max(0.0005, 0.5 / Math.max(...runs.map((r) => r.n)))) : 0;
    const high = det ? (Math.max(...runs.map((r) => r.eer || 0)) > 0.4 ? 1 - low : 0.6) : 1;
    const bend = det ? probit : (p) => p;
    const x = scaleOf(bend(low), bend(high), left, size - 12);
    const y = scaleOf(bend(low), bend(high), size - bottom, 12);
    const inside = (p) => Math.min(Math.max(p, low), high);
    place = (far, tar) => [x(bend(inside(far))), y(bend(inside(det ? 1 - tar : tar)))];
    svg.append(make("defs", {}, make("clipPath", { id: clip }, make("rect", { x: left - 1, y: 11,
      width: size - left - 10, height: size - bottom - 10 }))));
    const marks = det ? [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99].filter((p) =>
      p >= low && p <= high) : size < 340 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
    const apart = (k) => !k || x(bend(marks[k])) - x(bend(marks[k - 1])) > 46;
    const crowded = marks.some((_, k) => !apart(k));
    for (const [k, p] of marks.entries()) {
      const [px, py] = [x(bend(p)), y(bend(p))], text = `${+(100 * p).toFixed(1)} %`;
      if (crowded && (marks.length - 1 - k) % (marks.length > 8 ? 3 : 2)) continue;
      svg.append(make("line", { class: "fl-grid", x1: left, x2: size - 12, y1: py, y2: py }),
        make("line", { class: "fl-grid", x1: px, x2: px, y1: 12, y2: size - bottom }),
        make("text", { class: "fl-tick", x: px, y: size - bottom + 20, "text-anchor":
          p === 1 ? "end" : "middle", text }),
        make("text", { class: "fl-tick", x: left - 7, y: py + 4, "text-anchor": "end", text }));
    }
    const [ax, ay] = [place(low, det ? 1 - low : low), place(high, det ? 1 - high : high)];
    svg.append(make("line", { class: "fl-chance", x1: ax[0], y1: ax[1], x2: ay[0], y2: ay[1] }));
    svg.append(make("text", { class: "fl-name", x: (left + size - 12) / 2, y: size - 8,
      "text-anchor": "middle", text: "different pairs accepted (FAR)" }));
    svg.append(make("text", { class: "fl-name", "text-anchor": "middle",
      transform: `translate(13,${(size - bottom) / 2}) rotate(-90)`,
      text: det ? "same pairs rejected (FRR)" : "same pairs accepted (TAR)" }));
    dots = runs.map((run, k) => {
      const d = run.roc.map(([far, tar], i) => `${i ? "L" : "M"}${place(far, tar).map((v) => v.toFixed(1))}`);
      svg.append(make("path", { class: `fl-line fl-run-${k}`, d: d.join(""), "clip-path": `url(#${clip})` }));
      const [cx, cy] = operating(run);
      svg.append(make("circle", { class: `fl-ring fl-run-${k}`, cx, cy, r: 7 }));
      return svg.appendChild(make("circle", { class: `fl-dot fl-run-${k}`, r: 7.5 }));
    });
    svg.setAttribute("aria-label", det ? "DET: the two error rates at every threshold" :
      "ROC: same against different pairs accepted at every threshold");
  }
  const operating = (run, r = rates(counts(run, run.threshold))) =>
    place(r.far || 0, Number.isFinite(r.frr) ? 1 - r.frr : 0);
  function update(k, r) {
    if (!dots[k]) return;
    const [cx, cy] = operating(null, r);
    change(dots[k], { cx, cy });
  }
  return { layout, update };
}
