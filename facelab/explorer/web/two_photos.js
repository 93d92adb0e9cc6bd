// Two photos, of the run or of one's own: their distance, and what it says.

const FRAME = 176; // pixels of the preview
const PHOTO = 250; // pixels of a side of LFW's photos: what is sent of a larger one
const FILES = ["image/jpeg", "image/png"];

/** Where a distance lies among the pairs of a run, in words and numbers. */
function verdict(run, threshold, d, prevalence) {
  const share = (kind) => below(kind.distances, d) / kind.distances.length;
  const lines = [];
  if (run.nDifferent) lines.push(`Nearer than ${percent(1 - share(run.different))} of the different pairs`);
  if (run.nSame) lines.push(`Farther than ${percent(share(run.same))} of the same pairs`);
  const got = run.intervals, result = { lines, accepted: d < threshold };
  if (!got || !run.nSame || !run.nDifferent) return result;
  const bands = got.bands, k = Math.min(Math.max(below(bands, d) - 1, 0), bands.length - 2);
  const [low, high] = [bands[k], bands[k + 1]];
  const inside = (kind) => below(kind.distances, high) - below(kind.distances, low);
  const s = inside(run.same), n = inside(run.different);
  const balanced = (s / run.nSame) / (s / run.nSame + n / run.nDifferent);
  // Bayes: the odds of a same pair, times those at which same and different pairs are met.
  const met = (p) => (p * prevalence) / (p * prevalence + (1 - p) * (1 - prevalence));
  return { ...result, low, high, same: s, different: n, share: met(balanced),
    ends: [met(got.share_low[k]), met(got.share_high[k])] };
}

function photoPicker(host, side, on) {
  const canvas = make("canvas", { width: FRAME, height: FRAME, class: "fl-canvas", tabindex: 0,
    "aria-label": `Photo ${side}; arrow keys move an uploaded photo` });
  const name = make("input", { type: "text", class: "fl-text", list: "", placeholder: "name of an image",
    "aria-label": `Image ${side} of the run`, on: { change: () => pick(name.value.trim()),
      input: () => run?.pairSet.images.includes(name.value) && pick(name.value) } });
  const zoom = make("input", { type: "range", min: 1, max: 6, step: 0.02, value: 1, "aria-label": `Zoom of photo ${side}`,
    on: { input: () => { untouched = null; paint(); settle(); } } });
  const zoomRow = make("label", { class: "fl-zoom", hidden: true }, make("span", { text: "zoom" }), zoom);
  const hint = make("p", { class: "fl-hint", hidden: true, text: "The network sees what is inside the dashed square." });
  const file = make("input", { type: "file", accept: "image/*", class: "fl-file", "aria-label": `Upload photo ${side}`,
    on: { change: () => upload(file.files[0]) } });
  const again = make("button", { type: "button", text: "Random", on: { click: () => on.random(side) } });
  const node = make("div", { class: "fl-picker" }, canvas, name, make("div", { class: "fl-row" }, again,
    make("label", { class: "fl-upload" }, make("span", { text: "Upload…" }), file)), zoomRow, hint);
  let picture = null, centre = [0.5, 0.5], chosen = null, wait = 0, run = null;
  let untouched = null; // an uploaded file that can be sent as it is
  const context = canvas.getContext("2d");

  function paint(target = context, size = FRAME) {
    target.clearRect(0, 0, size, size);
    if (!picture) return;
    const span = Math.min(picture.width, picture.height) / zoom.value;
    const at = [picture.width, picture.height].map((length, k) =>
      Math.min(Math.max(centre[k] * length - span / 2, 0), length - span));
    centre = [(at[0] + span / 2) / picture.width, (at[1] + span / 2) / picture.height];
    target.imageSmoothingQuality = "high";
    target.drawImage(picture, at[0], at[1], span, span, 0, 0, size, size);
    if (target === context && chosen?.upload && run.crop) outline(Math.min(1, run.crop / sent()));
  }
  const sent = () => Math.min(PHOTO, picture.width, picture.height);
  function outline(share) {
    const at = (FRAME * (1 - share)) / 2, width = FRAME * share;
    for (const [colour, dashes] of [["#000", []], ["#fff", [6, 5]]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: 2 });
      context.setLineDash(dashes);
      context.strokeRect(at, at, width, width);
    }
  }
  function label(text) {
    picture = null;
    paint();
    context.fillStyle = getComputedStyle(canvas).color;
    context.font = "600 30px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(text, FRAME / 2, FRAME / 2 + 10);
  }
  async function load(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    picture = image;
    paint();
  }
  async function pick(image) {
    const number = run ? run.pairSet.images.indexOf(image) : -1;
    if (number < 0) {
      on.problem(image ? `No image of this run is called “${image}”.` : "");
      return;
    }
    if (chosen?.image === image) return;
    name.value = image;
    chosen = { image };
    zoomRow.hidden = hint.hidden = true;
    Object.assign(zoom, { value: 1 });
    centre = [0.5, 0.5];
    label(initials(person(run.pairSet, number)));
    on.changed();
    const { urls } = await host.photos(run.name, [image]);
    if (urls.get(image) && chosen?.image === image) await load(urls.get(image));
  }
  async function upload(blob) {
    if (!blob) return;
    const url = URL.createObjectURL(blob);
    try {
      centre = [0.5, 0.5];
      zoom.value = 1;
      await load(url);
      name.value = "";
      chosen = { upload: true };
      untouched = FILES.includes(blob.type) && Math.min(picture.width, picture.height) <= PHOTO ? blob : null;
      zoomRow.hidden = false;
      hint.hidden = !run.crop;
      paint();
      settle();
    } catch {
      on.problem(`${blob.name} is not an image that the browser can read.`);
    } finally {
      URL.revokeObjectURL(url);
    }
  }
  function settle() {
    clearTimeout(wait);
    wait = setTimeout(on.changed, 250);
  }
  function move(dx, dy) {
    if (!chosen?.upload) return;
    const span = Math.min(picture.width, picture.height) / zoom.value / FRAME;
    centre = [centre[0] - (dx * span) / picture.width, centre[1] - (dy * span) / picture.height];
    untouched = null;
    paint();
    settle();
  }
  let grabbed = null;
  canvas.addEventListener("pointerdown", (event) => {
    grabbed = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    move(event.clientX - grabbed[0], event.clientY - grabbed[1]);
    grabbed = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointerup", () => { grabbed = null; });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [8, 0], ArrowRight: [-8, 0], ArrowUp: [0, 8], ArrowDown: [0, -8] }[event.key];
    if (by && chosen?.upload) {
      event.preventDefault();
      event.stopPropagation();
      move(...by);
    }
  });
  /** The file itself, if it is as small as a run's photo and was not moved; else the square that is shown. */
  async function bytes() {
    let blob = untouched;
    if (!blob) {
      const whole = make("canvas", { width: sent(), height: sent() });
      paint(whole.getContext("2d"), sent());
      blob = await new Promise((done) => { whole.toBlob(done, "image/png"); });
    }
    return new DataView(await blob.arrayBuffer());
  }
  return { node, pick, bytes, list: (id) => name.setAttribute("list", id), chosen: () => chosen,
    use: (r) => { run = r; chosen = null; } };
}

/** `host.measure(run, [a, b], buffers)` resolves to { distance } or { error }. */
function photosPanel(host, on) {
  const options = make("datalist", { id: fresh("images") });
  const message = make("p", { class: "fl-lead", role: "status" }), facts = make("div", { class: "fl-facts" });
  const sure = make("p", { class: "fl-sure" });
  const prevalence = make("select", { class: "fl-select", "aria-label": "Share of same pairs among those met",
    on: { change: () => tell() } }, ...[[0.5, "half of the pairs met show one person"],
    [0.1, "1 in 10 shows one person"], [0.01, "1 in 100 shows one person"], [0.001, "1 in 1,000 shows one person"]]
    .map(([value, text]) => make("option", { value, text })));
  const figure = make("div", { class: "fl-figure" });
  let run = null, threshold = 0, distance = null, turn = 0;
  const hooks = { changed: () => measure(), problem: (text) => { message.textContent = text; },
    random: (side) => random(side) };
  const pickers = [photoPicker(host, 1, hooks), photoPicker(host, 2, hooks)];
  for (const picker of pickers) picker.list(options.id);
  const node = make("div", { class: "fl-two" }, options, make("div", { class: "fl-pickers" },
    ...pickers.map((picker) => picker.node)), make("div", { class: "fl-outcome" }, message, figure, facts,
    make("label", { class: "fl-row" }, make("span", { text: "How sure, if" }), prevalence), sure));

  function random(side) {
    const { images, left, right } = run.pairSet, pair = Math.floor(Math.random() * run.n);
    const [a, b] = [left[pair], right[pair]];
    if (!side) return Promise.all([pickers[0].pick(images[a]), pickers[1].pick(images[b])]);
    return pickers[side - 1].pick(images[side === 1 ? a : b]);
  }
  function known(a, b) {
    const { images, left, right } = run.pairSet;
    const [i, j] = [images.indexOf(a), images.indexOf(b)];
    for (let k = 0; k < run.n; k++) {
      if ((left[k] === i && right[k] === j) || (left[k] === j && right[k] === i)) return run.distances[k];
    }
    return null;
  }
  async function measure() {
    const [a, b] = pickers.map((picker) => picker.chosen()), mine = (turn += 1);
    if (!a || !b) return;
    distance = a.image && b.image ? (a.image === b.image ? 0 : known(a.image, b.image)) : null;
    let why = "";
    if (distance === null) {
      message.textContent = "Measuring …";
      const buffers = await Promise.all([a, b].map((c, k) => (c.upload ? pickers[k].bytes() : null)));
      const got = await host.measure(run.name, [a, b], buffers.filter(Boolean));
      if (mine !== turn) return;
      distance = got.distance ?? null;
      why = got.error || "";
    }
    tell(why);
  }
  function tell(why = "") {
    facts.replaceChildren();
    sure.replaceChildren();
    figure.replaceChildren();
    prevalence.parentNode.hidden = distance === null;
    node.dataset.distance = distance ?? "";
    if (distance === null) {
      message.textContent = why || "Pick two images, or upload two photos.";
      return;
    }
    const v = verdict(run, threshold, distance, Number(prevalence.value));
    message.replaceChildren(make("strong", { text: v.accepted ? "Same person" : "Different people" }),
      ` at threshold ${shown(threshold)}: the distance is ${shown(distance)}.`);
    draw();
    for (const line of v.lines) facts.append(make("p", { text: line }));
    if (v.low !== undefined) {
      const [low, high] = v.ends;
      const ends = Number.isFinite(low) ? ` (95 % interval ${percent(low, low < 0.1 ? 1 : 0)} to ${percent(high, high < 0.1 ? 1 : 0)})` : "";
      sure.append(make("strong", { text: percent(v.share, v.share < 0.1 ? 1 : 0) }),
        ` of the pairs at such a distance, ${band(v.low)} to ${band(v.high)}, show one person${ends}. ` +
        `${plural(v.same, "same pair")} and ${plural(v.different, "different pair")} of this run say so.`);
    }
  }
  const band = (edge) => (edge > 0.01 ? written(edge, 2) : shown(edge));
  function draw() {
    const width = Math.max(260, figure.clientWidth), height = 96, edges = binEdges([run]);
    const low = Math.min(edges[0], distance), high = Math.max(edges.at(-1), distance);
    const x = scaleOf(low, high, 12, width - 12), of = histogram(run, edges);
    const dense = { same: of.same.map((c) => c / (run.nSame || 1)), different: of.different.map((c) => c / (run.nDifferent || 1)) };
    const y = scaleOf(0, Math.max(...dense.same, ...dense.different), 22 + height, 22);
    const svg = make("svg", { class: "fl-plot", viewBox: `0 0 ${width} ${height + 54}`, height: height + 54,
      role: "img", "aria-label": "Where the distance lies among the pairs of the run" });
    for (const kind of ["different", "same"]) {
      const d = steps(edges, dense[kind], x, y);
      svg.append(make("g", { class: `fl-${kind}` }, make("path", { class: "fl-area", d }),
        make("path", { class: "fl-outline", d })));
    }
    svg.append(make("line", { class: "fl-set", x1: x(threshold), x2: x(threshold), y1: 22, y2: 22 + height }),
      make("line", { class: "fl-threshold", x1: x(distance), x2: x(distance), y1: 18, y2: 22 + height }),
      make("text", { class: "fl-end", x: Math.min(Math.max(x(distance), 50), width - 50), y: 13,
        "text-anchor": "middle", text: "these two" }));
    axis(svg, x, 22 + height, ticks(low, high, width / 90), "");
    figure.append(svg);
  }
  function show(newRun, t) {
    threshold = t;
    if (newRun !== run) {
      run = newRun;
      for (const picker of pickers) picker.use(run);
      options.replaceChildren(...run.pairSet.images.slice(0, 20000).map((image) => make("option", { value: image })));
      random();
    } else tell();
  }
  return { node, show };
}
