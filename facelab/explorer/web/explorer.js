// The explorer: one state, drawn by the figures and panels above.

/** What a threshold is worth: chosen beforehand by other people, given, or moved by hand. */
function worth(run, t) {
  const accuracy = t === run.threshold, f1 = t === run.f1_threshold;
  if (!accuracy && !f1) {
    return run.role === "test" ? ["exploring", "Exploration, not a result.",
      "A threshold moved by hand on test pairs has been chosen on the answers."] :
      ["free", `Moved by hand on these pairs, ${run.pairs}.`, "Verify it on other people."];
  }
  if (run.rule === "given") return ["given", "A given threshold.", "Nothing says on which pairs it was chosen."];
  const told = `Chosen beforehand: ${run.threshold_from}.`;
  if (run.seen) return ["seen", told, `The people of these pairs are no strangers: ${run.seen}.`];
  if (run.role !== "test") return ["chosen", told, ""];
  const result = accuracy && f1 ? "what stands here is a result" : accuracy ?
    "accuracy, FAR and FRR are results here; F1, precision and recall are at “Chosen for F1”" :
    "F1, precision and recall are results here; accuracy, FAR and FRR are at “Chosen for accuracy”";
  return ["chosen", told, `The people of these pairs had no say in it, so ${result}.`];
}

/**
 * Build the explorer in `el`.
 *
 * `data` is what payload.py sent; `host` has photos(run, images), measure(run, photos,
 * buffers) and, where intervals are not in the data, intervals(run), all of them asynchronous.
 */
function mount(el, data, host) {
  const runs = data.runs.map((meta) => makeRun(meta, data.sets));
  for (const run of runs) run.roc = rocPoints(run);
  const root = make("div", { class: "fl-explorer" });
  el.append(root);
  const unwatch = watchTheme(root);
  if (!runs.length) {
    root.append(make("h3", { class: "fl-which", text: "Nothing to explore yet" }),
      make("p", { class: "fl-empty", text: "Results appear here when a chapter has run: 'facelab run 01' makes " +
        "the first ones with drawn faces, in a few minutes. Then run this cell again, or reload the page." }),
      remarks(data.problems));
    return () => {
      unwatch();
      root.remove();
    };
  }
  const state = { run: data.first, other: data.first, byHand: false, bin: null, det: false, tab: "pairs" };

  const select = make("select", { class: "fl-select fl-which", "aria-label": "Run", on: { change: () =>
    chooseRun(Number(select.value)) } });
  const faces = choice("Faces", [["real", "Real faces"], ["drawn", "Drawn faces"]], (key) => {
    const drawn = key === "drawn";
    if (drawn === now().synthetic) return;
    chooseRun(runs[data.first].synthetic === drawn ? data.first : runs.findIndex((run) => run.synthetic === drawn));
  });
  const single = make("h3", { class: "fl-which" }), source = make("p", { class: "fl-source" });
  const badge = make("p", { class: "fl-badge", role: "status" });
  const holder = make("div", { class: "fl-figure fl-main" }), side = make("div", { class: "fl-figure fl-side-figure" });
  const plot = distancesPlot(holder, { height: 250, on: { threshold: (t) => set(t), bin: clickBin } });
  const roc = curvePlot(side);
  const kind = choice("Curve", [["roc", "ROC"], ["det", "DET"]], (key) => {
    state.det = key === "det";
    layoutRoc();
    draw();
  });
  const area = make("p", { class: "fl-hint" });
  side.prepend(kind.node);
  side.append(area);
  const number = make("input", { type: "number", step: "any", class: "fl-number", "aria-label": "Threshold",
    on: { change: typed, keydown: (event) => event.key === "Enter" && typed() } });
  function typed() {
    const t = number.valueAsNumber;
    if (Number.isFinite(t) && t !== +state.threshold.toPrecision(7)) set(t);
  }
  const presets = make("div", { class: "fl-presets", role: "group", "aria-label": "Thresholds" });
  const tiles = {}, grid = make("div", { class: "fl-tiles", role: "list" });
  for (const metric of METRICS) {
    const value = make("span", { class: "fl-value", "data-metric": metric });
    const text = make("span", { class: "fl-interval" }), band = make("i"), tick = make("b");
    grid.append(make("div", { class: "fl-tile", role: "listitem", title: MEANING[metric] },
      make("span", { class: "fl-metric", text: WORDS[metric] }), value,
      make("span", { class: "fl-track", "aria-hidden": "true" }, band, tick), text));
    tiles[metric] = { value, text, band, tick };
  }
  const fine = make("p", { class: "fl-hint" }), live = make("p", { class: "fl-live", "aria-live": "polite" });

  const pairs = pairsPanel(host, { changed: showTab, stepBin });
  const compare = comparePanel(host, { threshold: set, changed: showTab, compare: chooseOther,
    second: (t) => { state.second = t; draw(); } });
  const film = filmPanel(data.films, data.bins), two = photosPanel(host);
  const tabs = { pairs: ["The pairs", pairs.node], compare: ["Compare two runs", compare.node],
    film: ["Watch the training", film.node], two: ["Two photos", two.node] };
  const list = make("div", { class: "fl-tabs", role: "tablist", "aria-label": "Look closer" });
  const buttons = {}, without = make("p", { class: "fl-hint fl-without" });
  for (const [key, [text, node]] of Object.entries(tabs)) {
    const panel = fresh("panel"), id = fresh("tab");
    buttons[key] = make("button", { type: "button", role: "tab", id, "aria-controls": panel, text,
      "data-tab": key, on: { click: () => openTab(key) } });
    change(node, { id: panel, role: "tabpanel", "aria-labelledby": id });
    node.classList.add("fl-panel");
    list.append(buttons[key]);
  }
  list.addEventListener("keydown", (event) => {
    const keys = Object.keys(tabs).filter((key) => !buttons[key].hidden), k = keys.indexOf(state.tab);
    const to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: keys.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    openTab(keys[(to + keys.length) % keys.length]);
    buttons[state.tab].focus();
  });
  const ofBoth = new Set(runs.map((run) => run.synthetic)).size > 1;
  root.append(make("div", { class: "fl-head" }, ofBoth ? faces.node : null, runs.length > 1 ? select : single, source), badge,
    make("div", { class: "fl-top" }, holder, side),
    make("div", { class: "fl-row fl-controls" }, make("label", { class: "fl-row" }, make("span", { text: "Threshold" }),
      number), presets), grid, fine, live, list, without, ...Object.values(tabs).map(([, node]) => node), remarks(data.problems));

  const now = () => runs[state.run];
  const partner = () => (runs.length > 1 ? runs[state.other] : null);

  function set(t) {
    state.threshold = t;
    draw();
  }
  let asked = 0, later = 0;
  function draw() {
    if (!asked) asked = requestAnimationFrame(paint);
  }
  function paint() {
    asked = 0;
    const run = now(), t = state.threshold, c = counts(run, t), r = rates(c);
    plot.update(t, c, r);
    roc.update(0, r);
    if (state.tab === "compare" && partner()) {
      roc.update(1, rates(counts(partner(), state.second)));
      compare.update(run, t, partner(), state.second);
    }
    const typing = document.activeElement === number && (number.valueAsNumber === t || root.dataset.threshold === String(t));
    if (!typing) number.value = +t.toPrecision(7);
    for (const [metric, { value, text, band, tick }] of Object.entries(tiles)) {
      const v = r[metric], ends = interval(run, metric, t);
      value.textContent = percent(v);
      value.dataset.value = v;
      text.textContent = ends ? `${percent(ends[0])} to ${percent(ends[1])}` : run.intervals ? "–" : " ";
      text.dataset.low = ends ? ends[0] : "";
      text.dataset.high = ends ? ends[1] : "";
      const [low, high] = ends || [0, 0];
      band.style.left = `${100 * low}%`;
      band.style.width = `${100 * (high - low)}%`;
      tick.style.left = `${100 * (Number.isFinite(v) ? v : 0)}%`;
    }
    root.dataset.threshold = t;
    for (const [key, n] of Object.entries(c)) root.dataset[key] = n;
    badge.dataset.kind = worth(run, t)[0];
    const shows = [run.threshold, run.f1_threshold].indexOf(t);
    for (const [k, text] of [...badge.children].entries()) text.classList.toggle("fl-now", k === (shows < 0 ? 2 : shows));
    for (const button of presets.children) button.setAttribute("aria-pressed", Number(button.dataset.threshold) === t);
    clearTimeout(later);
    later = setTimeout(() => {
      live.textContent = `Threshold ${shown(t)}: ${count(c.tp)} of ${count(run.nSame)} same and ` +
        `${count(c.fp)} of ${count(run.nDifferent)} different pairs accepted.`;
      showTab();
    }, 130);
  }

  function showTab() {
    if (state.tab === "pairs") pairs.show(now(), state.threshold, state.bin);
    if (state.tab === "compare") compare.show(now(), state.threshold, partner(), state.second);
    if (state.tab === "two") two.show(now(), state.threshold);
  }
  function openTab(key) {
    state.tab = key;
    for (const [name, [, node]] of Object.entries(tabs)) {
      buttons[name].setAttribute("aria-selected", name === key);
      buttons[name].tabIndex = name === key ? 0 : -1;
      node.hidden = name !== key;
    }
    layoutRoc();
    if (key === "compare") compare.layout(now(), partner());
    if (key === "film") film.layout();
    if (key === "two") showTab();  // at once: what is picked before would be lost
    draw();
  }
  function chooseBin(low, high) {
    state.bin = [low, high];
    plot.choose(low, high);
    pairs.mode("bin");
    if (state.tab === "pairs") showTab();
    else openTab("pairs");
  }
  function clickBin(low, high) {
    chooseBin(low, high);
    pairs.reveal();
  }
  function stepBin(by) {
    const edges = plot.edges(), at = state.bin ? edges.indexOf(state.bin[0]) : -1;
    const start = state.bin ? at + by : below(edges, state.threshold) - 1;
    const k = Math.min(Math.max(start, 0), edges.length - 2);
    chooseBin(edges[k], edges[k + 1]);
  }
  function layoutRoc() {
    const drawn = state.tab === "compare" && partner() ? [now(), partner()] : [now()];
    roc.layout(drawn, state.det);
    const say = (run) => `AUC ${written(run.auc ?? NaN)} · EER ${percent(run.eer ?? NaN)}`;
    area.textContent = drawn.length > 1 ? `first, solid: ${say(drawn[0])}\nsecond, dashed: ${say(drawn[1])}` : say(now());
  }
  function layout() {
    plot.layout(now());
    if (state.bin) plot.choose(...state.bin);
    layoutRoc();
    if (state.tab === "compare") compare.layout(now(), partner());
    if (state.tab === "film") film.layout();
    draw();
  }
  function chooseOther(k) {
    Object.assign(state, { other: k, byHand: true, second: runs[k].threshold });
    layout();
    need(k);
  }
  /** Compare with a run on the same pairs, else of the same kind of faces; who chose by hand keeps the choice. */
  function suitPartner() {
    const isOnSame = (k) => runs[k].pairSet === now().pairSet, isOfKind = (k) => runs[k].synthetic === now().synthetic;
    if (state.other !== state.run && (state.byHand || isOnSame(state.other))) return;
    const others = runs.map((_, k) => k).filter((k) => k !== state.run);
    const other = others.find(isOnSame) ?? others.find(isOfKind) ?? others[0];
    Object.assign(state, { other, byHand: false, second: runs[other].threshold });
  }
  function need(k) {
    const run = runs[k], say = () => {
      const n = run.intervals?.n;
      fine.textContent = run.nSame && run.nDifferent ? (n ? `Bars: 95 % intervals, the ${count(run.pairSet.people.length)} people resampled ${count(n)} times.` :
        "Resampling people for the intervals …") :
        "Without both kinds of pairs some rates are undefined.";
      fine.title = "People are drawn with replacement, not pairs, because pairs that share a person depend on one another. " +
        "Between the thresholds of the buttons the ends are interpolated.";
    };
    if (k === state.run) say();
    if (run.intervals || run.asked || !host.intervals) return;
    run.asked = true;
    host.intervals(run.name).then((got) => {
      run.intervals = got;
      if (k === state.run) say();
      draw();
    });
  }
  function chooseRun(k) {
    state.run = k;
    const run = now();
    Object.assign(state, { threshold: run.threshold, bin: null });
    if (partner()) suitPartner();
    faces.set(run.synthetic ? "drawn" : "real");
    select.replaceChildren(...grouped(runs, (i) => (runs[i].synthetic === run.synthetic ? { selected: i === k } : null)));
    single.textContent = run.name;
    source.replaceChildren(origin(run), ` · ${run.pairs} · ${count(run.nSame)} same and ${count(run.nDifferent)} different pairs ` +
      `of ${count(run.pairSet.people.length)} people` + (run.seen ? ` · ${run.seen}` : "") +
      (run.outside_data ? ` · ${run.category}: ${run.outside_data}` : ""));
    const named = { f1: "Best F1", accuracy: "Best accuracy", eer: "EER", far: "FAR = 1 %" };
    const two = run.threshold !== run.f1_threshold, from = run.threshold_from;
    const own = two ? { set: "Chosen for accuracy", set_f1: "Chosen for F1" } :
      { set: from[0].toUpperCase() + from.slice(1) };
    presets.replaceChildren(...Object.entries(own).map(([key, text]) => {
      const value = key === "set" ? run.threshold : run.f1_threshold;
      return make("button", { type: "button", class: "fl-set-button", "data-preset": key, "data-threshold": value,
        text, title: `of this report: ${from}`, on: { click: () => set(value) } });
    }), ...Object.entries(named).map(([key, text]) => {
      const [value, why] = run.buttons[key];
      return make("button", { type: "button", "data-preset": key, text, disabled: value === null, title: why,
        "data-threshold": value ?? "", on: { click: () => set(value) } });
    }));
    // All three at one place, of which one shows: its height stays while the threshold moves.
    badge.replaceChildren(...[run.threshold, run.f1_threshold, NaN].map((t) => {
      const [, told, more] = worth(run, t);
      return make("span", {}, make("strong", { text: told }), ` ${more}`);
    }));
    compare.options(runs, k, state.other);
    film.choose(run.name);
    offerPhotos(Boolean(host.measure && run.can_measure));
    layout();
    if (state.tab === "two") showTab();  // at once: what stands there is of another run
    need(k);
  }

  /** Two photos are measured by the network of the run: without it there is no tab, and a line says why. */
  function offerPhotos(can) {
    buttons.two.hidden = !can;
    without.hidden = can;
    without.textContent = can ? "" : host.measure ? "No two photos here: no network was kept for this run. " +
      "fl.explore(report, faces=faces, model=model) in a notebook measures them." : host.unmeasured;
    if (!can && state.tab === "two") openTab("pairs");
  }

  let width = 0;
  const watch = new ResizeObserver(() => {
    if (root.clientWidth && root.clientWidth !== width) {
      width = root.clientWidth;
      layout();
    }
  });
  chooseRun(data.first);
  openTab("pairs");
  watch.observe(root);
  return () => {
    watch.disconnect();
    unwatch();
    root.remove();
  };
}

/** Keep the explorer dark where the text around it is light; returns what ends that. */
function watchTheme(root) {
  function dark() {
    const [r, g, b] = (getComputedStyle(root).color.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
    root.classList.toggle("fl-dark", 0.3 * r + 0.6 * g + 0.1 * b > 127);
  }
  const theme = new MutationObserver(dark), scheme = matchMedia("(prefers-color-scheme: dark)");
  theme.observe(document.body, { attributes: true });
  scheme.addEventListener("change", dark);
  dark();
  return () => {
    theme.disconnect();
    scheme.removeEventListener("change", dark);
  };
}

/** What could not be read, by name. */
function remarks(problems) {
  const n = problems.length, text = n === 1 ? "One run or file" : `${n} runs or files`;
  return make("details", { class: "fl-remarks", hidden: !n }, make("summary", { text: `${text} could not be read` }),
    make("ul", {}, ...problems.map(({ name, why }) => make("li", {}, make("strong", { text: name }), ` ${why}`))));
}

/** A page without a kernel: everything is in its JSON. */
function mountPage(el, { meta, buffers }) {
  const bytes = buffers.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  const why = "Photos are not part of a report. fl.explore(fl.load_shown()) in a notebook shows them where " +
    "the environment variable FACELAB_LFW names a copy of LFW.";
  return mount(el, decode(meta, bytes), {
    photos: async () => ({ urls: new Map(), why }),
    measure: null,
    unmeasured: "No two photos here: the network, and what would run it in this page (ONNX Runtime Web, 13 MB), " +
      "would make the page several times as large. 'facelab explore' measures them where a network was kept.",
  });
}

/** The notebook's side: everything comes as messages from the kernel, nothing is kept in it. */
function render({ model, el }) {
  const waiting = new Map(), photos = new Map(); // a photo's URL, or why there is none
  let turn = 0, unmount = null;
  const note = make("p", { class: "fl-explorer fl-wait", role: "status", text: "Waiting for the kernel …" });
  el.append(note);
  const ask = (kind, body = {}, buffers = []) => new Promise((done) => {
    const id = `${Date.now()}-${(turn += 1)}-${Math.random()}`;
    waiting.set(id, done);
    model.send({ ask: id, kind, ...body }, undefined, buffers);
  });
  const answer = (message, buffers) => {
    const done = waiting.get(message.ask);
    waiting.delete(message.ask);
    if (done) done({ ...message, buffers });
  };
  model.on("msg:custom", answer);
  const host = {
    async photos(run, images) {
      const key = (image) => `${run}\n${image}`, missing = images.filter((i) => !photos.has(key(i)));
      if (missing.length) {
        const got = await ask("photos", { run, images: missing });
        missing.forEach((image) => photos.set(key(image), { why: got.why }));
        (got.images || []).forEach((image, k) => photos.set(key(image),
          { url: URL.createObjectURL(new Blob([got.buffers[k]], { type: "image/jpeg" })) }));
      }
      const known = images.map((image) => photos.get(key(image)));
      return { urls: new Map(images.map((image, k) => [image, known[k].url])), why: known.find((one) => one.why)?.why };
    },
    measure: (run, pair, buffers) => ask("measure", { run, photos: pair }, buffers),
    async intervals(run) {
      const got = await ask("intervals", { run });
      return got.meta ? decode(got.meta, got.buffers) : null;
    },
  };
  const slow = setTimeout(() => {
    note.textContent = "No answer from a kernel yet. In a notebook that was opened again, run this cell: the " +
      "figure above shows how the explorer starts.";
  }, 5000);
  ask("ready").then(({ meta, buffers, error }) => {
    clearTimeout(slow);
    if (error) {
      note.textContent = error;
      return;
    }
    note.remove();
    if (el.isConnected || !unmount) unmount = mount(el, decode(meta, buffers), host);
  });
  return () => {
    clearTimeout(slow);
    model.off("msg:custom", answer);
    for (const { url } of photos.values()) if (url) URL.revokeObjectURL(url);
    unmount?.();
  };
}

export default { render };
