// Two photos, of the run or of one's own: their distance, and what it says.

const FRAME = 200; // pixels of the preview
const OVAL = [38, 50]; // half the width and height of a face in it
const PHOTO = 250; // pixels of a side of LFW's photos: what is sent of a larger one
const MOST_BYTES = 40e6; // of a file; what is sent is smaller
const MOST_PIXELS = 100e6;
const SENT_BYTES = 2e6; // of a file that is sent as it is

/** Why a file is no photo to measure; empty for a JPEG, or a PNG that does not move. */
async function refusal(file) {
  if (file.size > MOST_BYTES) return `has ${count(file.size)} bytes; a photo has ${count(MOST_BYTES)} or fewer`;
  const head = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const signs = String.fromCharCode(...head.subarray(0, 4));
  if (signs.startsWith("\xff\xd8\xff")) return "";
  if (signs !== "\x89PNG") return "is no JPEG or PNG photo";
  const [width, height] = [16, 20].map((at) => new DataView(head.buffer).getUint32(at));
  if (width * height > MOST_PIXELS) return tooLarge(width, height);
  return new TextDecoder("latin1").decode(head).includes("acTL") ? "is an animation; a photo stands still" : "";
}
const tooLarge = (width, height) => `has ${width} x ${height} pixels; a photo has ${count(MOST_PIXELS)} or fewer`;

/** Where a distance lies among the pairs of a run, and what it says. */
function verdict(run, threshold, d, prevalence) {
  const share = (kind) => below(kind.distances, d) / kind.distances.length;
  const lines = [];
  if (run.nDifferent) lines.push(`Nearer than ${percent(1 - share(run.different))} of the different pairs`);
  if (run.nSame) lines.push(`Farther than ${percent(share(run.same))} of the same pairs`);
  const known = run.intervals?.calibration;
  return { lines, accepted: d < threshold, sure: known && calibrated(known, d, prevalence) };
}

/** P(same) at a distance, and its 95 % interval, from logarithms of likelihood ratios at distances from 0 to 2. */
function calibrated({ log_lr, low, high }, d, prevalence) {
  const share = Math.min(d, 2) / 2, log = along(log_lr, share), nearest = Math.round(share * (log_lr.length - 1));
  const odds = Math.log(prevalence / (1 - prevalence)), chance = (of) => 1 / (1 + Math.exp(-of - odds));
  return [log, Math.min(low[nearest], log), Math.max(high[nearest], log)].map(chance);
}

function photoPicker(host, side, on) {
  const canvas = make("canvas", { width: FRAME, height: FRAME, class: "fl-canvas", tabindex: 0,
    "aria-label": `Photo ${side}; arrow keys move an uploaded photo` });
  const whole = make("p", { class: "fl-whole" });
  const name = make("input", { type: "text", class: "fl-text", list: "", placeholder: "name of an image",
    "aria-label": `Image ${side} of the run`, on: { change: () => pick(name.value.trim()),
      input: () => run?.pairSet.images.includes(name.value) && pick(name.value) } });
  const zoom = make("input", { type: "range", min: 1, max: 6, step: 0.02, value: 1, "aria-label": `Zoom of photo ${side}`,
    on: { input: () => { untouched = null; paint(); settle(); } } });
  const zoomRow = make("label", { class: "fl-zoom", hidden: true }, make("span", { text: "zoom" }), zoom);
  const hint = make("p", { class: "fl-hint", hidden: true });
  const file = make("input", { type: "file", accept: "image/jpeg,image/png", class: "fl-file",
    "aria-label": `Upload photo ${side}`, on: { change: () => {
      upload(file.files[0]);
      file.value = ""; // or the same file could not be chosen again
    } } });
  const again = make("button", { type: "button", text: "Random", on: { click: () => on.random(side) } });
  const own = make("label", { class: "fl-upload" }, make("span", { text: "Upload…" }), file);
  const node = make("div", { class: "fl-picker" }, canvas, whole, name, make("div", { class: "fl-row" }, again, own),
    zoomRow, hint);
  let picture = null, centre = [0.5, 0.5], chosen = null, wait = 0, run = null;
  let untouched = null; // an uploaded file that can be sent as it is
  let turn = 0; // of what was asked for: an upload takes its time
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
    if (target === context && chosen?.upload && !run.aligned) outline(run.crop ? Math.min(1, run.crop / (run.side ?? sent())) : 1);
  }
  const sent = () => Math.min(PHOTO, picture.width, picture.height);
  /** What the network sees, and about where the face lies in LFW's photos. */
  function outline(share) {
    const at = (FRAME * (1 - share)) / 2, width = FRAME * share, middle = FRAME / 2;
    for (const [colour, dashes] of [["#000", []], ["#fff", [6, 5]]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: 2 });
      context.setLineDash(dashes);
      context.beginPath();
      if (share < 1) context.rect(at, at, width, width);
      context.moveTo(middle + OVAL[0], middle);
      context.ellipse(middle, middle, ...OVAL, 0, 0, 2 * Math.PI);
      context.stroke();
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
    await new Promise((done, failed) => Object.assign(image, { onload: done, onerror: failed, src: url }));
    if (image.width * image.height > MOST_PIXELS) throw new Error(tooLarge(image.width, image.height));
    await image.decode();
    return image;
  }
  async function pick(image) {
    const number = run ? run.pairSet.images.indexOf(image) : -1;
    if (number < 0) {
      const typed = name.value;
      clear();
      name.value = typed;
      on.problem(image ? `No image of this run is called “${image}”.` : "");
      return;
    }
    turn += 1;
    if (chosen?.image === image) return;
    name.value = image;
    chosen = { image };
    whole.textContent = image.replaceAll("_", " ");
    zoomRow.hidden = hint.hidden = true;
    Object.assign(zoom, { value: 1 });
    centre = [0.5, 0.5];
    label(initials(person(run.pairSet, number)));
    on.changed();
    const { urls } = await host.photos(run.name, [image]);
    if (!urls.get(image)) return;
    const loaded = await load(urls.get(image));
    if (chosen?.image !== image) return;
    picture = loaded;
    paint();
  }
  async function upload(blob) {
    if (!blob) return;
    const url = URL.createObjectURL(blob), mine = (turn += 1);
    let loaded;
    try {
      const why = await refusal(blob);
      if (why) throw new Error(why);
      loaded = await load(url);
    } catch (error) {
      if (mine !== turn) return;
      clear();
      on.problem(`${blob.name} ${error.message || "is not a photo that the browser can read"}.`);
      return;
    } finally {
      URL.revokeObjectURL(url);
    }
    if (mine !== turn) return;
    picture = loaded;
    centre = [0.5, 0.5];
    zoom.value = 1;
    const small = Math.min(picture.width, picture.height) <= PHOTO && blob.size <= SENT_BYTES;
    untouched = small ? blob : null;
    name.value = "";
    whole.replaceChildren(...breakable(blob.name));
    chosen = { upload: true };
    zoomRow.hidden = hint.hidden = false;
    paint();
    settle();
  }
  function clear() {
    clearTimeout(wait);
    chosen = picture = null;
    name.value = whole.textContent = "";
    zoomRow.hidden = hint.hidden = true;
    paint();
  }
  function settle() {
    clearTimeout(wait);
    on.forget();
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
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { grabbed = null; });
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
  /** Show another run: what was uploaded stays. */
  function use(newRun) {
    const image = chosen?.image;
    run = newRun;
    const sees = run.crop ? "The network sees what is inside the dashed square. " : "";
    hint.textContent = run.aligned ? "The face nearest the middle is found and put upright, as in the run's photos." :
      `${sees}Zoom and drag until the face fills the oval, as in the run's photos.`;
    if (chosen?.upload) {
      paint();
      return;
    }
    clear();
    if (run.pairSet.images.includes(image)) pick(image);
  }
  return { node, pick, bytes, use, list: (id) => name.setAttribute("list", id), chosen: () => chosen };
}

/** For runs whose network is at hand: `host.measure(run, [a, b], buffers)` resolves to { distance } or { error }. */
function photosPanel(host) {
  const options = make("datalist", { id: fresh("images") });
  const message = make("p", { class: "fl-lead", role: "status" }), facts = make("div", { class: "fl-facts" });
  const sure = make("p", { class: "fl-sure" }), truth = make("p", { class: "fl-truth" });
  const prevalence = make("select", { class: "fl-select", "aria-label": "Share of same pairs among those met",
    on: { change: () => tell() } }, ...[[0.5, "half of the pairs met show one person"],
    [0.1, "1 in 10 shows one person"], [0.01, "1 in 100 shows one person"], [0.001, "1 in 1,000 shows one person"]]
    .map(([value, text]) => make("option", { value, text })));
  const figure = make("div", { class: "fl-figure" });
  let run = null, threshold = 0, distance = null, turn = 0;
  const hooks = { changed: () => measure(), random, forget, problem: forget };
  const pickers = [photoPicker(host, 1, hooks), photoPicker(host, 2, hooks)];
  for (const picker of pickers) picker.list(options.id);
  const node = make("div", { class: "fl-two" }, options, make("div", { class: "fl-pickers" },
    ...pickers.map((picker) => picker.node)), make("div", { class: "fl-outcome" }, message, truth, figure, facts,
    make("label", { class: "fl-row" }, make("span", { text: "How sure, if" }), prevalence), sure));

  function random(side) {
    const { images, left, right } = run.pairSet, pair = Math.floor(Math.random() * run.n);
    const [a, b] = [left[pair], right[pair]];
    if (!side) return Promise.all([pickers[0].pick(images[a]), pickers[1].pick(images[b])]);
    return pickers[side - 1].pick(images[side === 1 ? a : b]);
  }
  /** Whether both photos show one person, where both are the run's; else null. */
  function known() {
    const { images, person } = run.pairSet, [a, b] = pickers.map((picker) => picker.chosen()?.image);
    return a && b ? person[images.indexOf(a)] === person[images.indexOf(b)] : null;
  }
  /** Which pair of the run both photos are, or -1. */
  function pairOf(a, b) {
    const { images, left, right } = run.pairSet, [i, j] = [images.indexOf(a), images.indexOf(b)];
    if (i < 0 || j < 0) return -1;
    const is = (k) => (left[k] === i && right[k] === j) || (left[k] === j && right[k] === i);
    return run.distances.findIndex((_, k) => is(k));
  }
  /** What stands of other photos, or of another run, goes at once. */
  function forget(why) {
    turn += 1;
    distance = null;
    tell(why);
  }
  async function measure() {
    forget();
    const [a, b] = pickers.map((picker) => picker.chosen()), mine = turn;
    if (!a || !b) return;
    if (a.image && b.image) distance = a.image === b.image ? 0 : run.distances[pairOf(a.image, b.image)] ?? null;
    let why = "";
    if (distance === null) {
      const buffers = await Promise.all([a, b].map((c, k) => (c.upload ? pickers[k].bytes() : null)));
      const got = await host.measure(run.name, [a, b], buffers.filter(Boolean));
      if (mine !== turn) return;
      distance = got.distance ?? null;
      why = got.error || "";
    }
    tell(why);
  }
  function tell(why = "") {
    for (const part of [facts, sure, figure, truth]) part.replaceChildren();
    prevalence.parentNode.hidden = distance === null || !run.intervals?.calibration;
    node.dataset.distance = distance ?? "";
    if (distance === null) {
      const both = pickers.every((picker) => picker.chosen());
      message.textContent = why || (both ? "Measuring …" : "Pick two images, or upload two photos.");
      return;
    }
    const v = verdict(run, threshold, distance, Number(prevalence.value));
    message.replaceChildren(make("strong", { text: v.accepted ? "Same person" : "Different people" }),
      ` at threshold ${shown(threshold)}: the distance is ${shown(distance)}.`);
    const same = known();
    if (same !== null) {
      const pair = pairOf(...pickers.map((picker) => picker.chosen().image));
      const said = same === v.accepted ? ": right ✓" : ": wrong ✗", mislabelled = run.pairSet.known_errors.includes(pair);
      truth.append(make("span", { class: `fl-text-${same ? "same" : "different"}`, text: same ? "They are one person" :
        "They are two people" }), mislabelled ? ", says a label that is known to be wrong" : said);
    }
    draw();
    for (const line of v.lines) facts.append(make("p", { text: line }));
    if (v.sure) {
      const [p, low, high] = v.sure.map((share) => percent(share, 1));
      sure.append("P(same) is ", make("strong", { text: p }), ` (95 % interval ${low} to ${high}), ` +
        `calibrated on ${run.intervals.calibration.on}.`);
    } else if (!run.intervals) sure.textContent = "Resampling people for P(same) …";
  }
  function draw() {
    const width = Math.max(260, figure.clientWidth), height = 96, edges = binEdges([run]);
    const low = Math.min(edges[0], distance), high = Math.max(edges.at(-1), distance);
    const x = scaleOf(low, high, 12, width - 12), dense = densities(run, edges);
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
      distance = null;
      options.replaceChildren(...run.pairSet.images.slice(0, 20000).map((image) => make("option", { value: image })));
      for (const picker of pickers) picker.use(run);
      if (pickers.some((picker) => picker.chosen())) measure();
      else random();
    } else if (distance !== null) tell();
  }
  return { node, show };
}
