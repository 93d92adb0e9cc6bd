// What lies below the figure: pairs with their photos, a second run, a training as a film.

const PAGE = 8;

/** A file's name, which may break after an underscore. */
const breakable = (name) => name.split("_").flatMap((part, k) => (k ? ["_", make("wbr"), part] : [part]));

/** Cards of pairs, and a button for more. `host.photos(run, images)` resolves to a Map of image to URL. */
function pairCards(host, showMore) {
  const more = make("button", { type: "button", class: "fl-quiet", on: { click: showMore } });
  const list = make("ul", { class: "fl-cards" });
  const hint = make("p", { class: "fl-hint" });
  let turn = 0;

  function photo(image, name) {
    return make("span", { class: "fl-photo", "data-image": image, title: image, role: "img", "aria-label": `${name}: ${image}` },
      make("span", { "aria-hidden": "true", text: initials(name) }));
  }

  function card({ run, pair, remark }, threshold) {
    const { images, left, right, same, known_errors: wrong } = run.pairSet, d = run.distances[pair];
    const accepted = d < threshold, good = accepted === Boolean(same[pair]);
    const kind = same[pair] ? "same" : "different";
    const [a, b] = [left[pair], right[pair]], both = [a, b].map((image) => person(run.pairSet, image));
    const names = same[pair] ? both.slice(0, 1) : both;
    return make("li", { class: `fl-card fl-${kind}`, "data-pair": pair, "data-distance": d },
      make("div", { class: "fl-photos" }, photo(images[a], both[0]), photo(images[b], both[1]),
        make("span", { class: "fl-distance", text: shown(d) })),
      make("div", { class: "fl-names" }, ...names.map((name) => make("span", { text: name }))),
      make("div", { class: "fl-names fl-files" }, ...[a, b].map((image) => make("span", {}, ...breakable(images[image])))),
      make("div", { class: "fl-verdict" },
        make("span", { class: `fl-text-${kind}`, text: same[pair] ? "same person" : "different people" }),
        make("span", { class: good ? "" : "fl-bad", text: `${accepted ? "accepted" : "rejected"} ${good ? "✓" : "✗"}` })),
      wrong.includes(pair) ? make("div", { class: "fl-more", text: "this label is known to be wrong" }) : null,
      remark ? make("div", { class: "fl-more", text: remark }) : null);
  }

  async function show(items, threshold, total) {
    const mine = (turn += 1);
    more.hidden = items.length >= total;
    more.textContent = `Show more: ${count(items.length)} of ${count(total)} are shown`;
    list.replaceChildren(...items.map((item) => card(item, threshold)));
    hint.textContent = "";
    const images = new Set([...list.querySelectorAll("[data-image]")].map((n) => n.dataset.image));
    if (!images.size) return;
    const { urls, why } = await host.photos(items[0].run.name, [...images]);
    if (mine !== turn) return;
    for (const node of list.querySelectorAll("[data-image]")) {
      const url = urls.get(node.dataset.image);
      if (url) node.replaceChildren(make("img", { src: url, alt: "", draggable: "false" }));
    }
    hint.textContent = why || "";
  }
  return { node: make("div", { class: "fl-holder" }, list, hint), more, show };
}

/**
 * The options of a list of runs or films, under the headings of their groups.
 *
 * One without `attributes` is left out. The AUC leads: a narrow list shows how a text begins.
 */
function grouped(of, attributes = () => ({}), remark = () => "") {
  const nodes = [];
  for (const [k, one] of of.entries()) {
    const own = attributes(k), auc = Number.isFinite(one.auc) ? `AUC ${written(one.auc)} · ` : "";
    if (!own) continue;
    const option = make("option", { value: k, text: auc + one.name + remark(k), "data-name": one.name, ...own });
    if (one.group && nodes.at(-1)?.label !== one.group) nodes.push(make("optgroup", { label: one.group }));
    if (one.group) nodes.at(-1).append(option);
    else nodes.push(option);
  }
  return nodes;
}

/** Buttons of which one is pressed. */
function choice(name, options, on) {
  const group = make("div", { class: "fl-choice", role: "group", "aria-label": name });
  const buttons = options.map(([key, text]) => make("button", { type: "button", "data-key": key, text,
    on: { click: () => { set(key); on(key); } } }));
  group.append(...buttons);
  function set(key) {
    for (const b of buttons) b.setAttribute("aria-pressed", b.dataset.key === key);
  }
  set(options[0][0]);
  return { node: group, set, buttons };
}

/** Pairs of one run: nearest the threshold, its worst mistakes, or those of a bin. */
function pairsPanel(host, on) {
  const cards = pairCards(host, () => { n += PAGE; on.changed(); }), head = make("p", { class: "fl-lead" });
  const modes = choice("Which pairs", [["nearest", "Nearest the threshold"],
    ["accepts", "Worst false accepts"], ["rejects", "Worst false rejects"], ["bin", "In a bin"]],
  (key) => { mode = key; n = PAGE; on.changed(); });
  const step = (text, by, name) => make("button", { type: "button", class: "fl-step", text,
    "aria-label": name, on: { click: () => on.stepBin(by) } });
  const bins = make("span", { class: "fl-bins", hidden: true }, step("◀", -1, "previous bin"),
    step("▶", 1, "next bin"));
  let mode = "nearest", n = PAGE;

  const all = (run, kind, from, to) => Array.from({ length: Math.max(0, to - from) }, (_, k) =>
    ({ run, pair: run[kind].pairs[from + k], distance: run[kind].distances[from + k] }));
  function pick(run, t, bin) {
    const c = counts(run, t);
    if (mode === "accepts") {
      return { items: all(run, "different", 0, Math.min(n, c.fp)), total: c.fp, text: c.fp ?
        `${plural(c.fp, "pair")} of different people taken for the same person, the nearest first` :
        "No pair of different people is accepted at this threshold." };
    }
    if (mode === "rejects") {
      const last = run.nSame;
      return { items: all(run, "same", last - Math.min(n, c.fn), last).reverse(), total: c.fn, text: c.fn ?
        `${plural(c.fn, "pair")} of one person taken for different people, the farthest first` :
        "No pair of one person is rejected at this threshold." };
    }
    if (mode === "bin") {
      if (!bin) return { items: [], total: 0, text: "Click a bin of the histogram above, or step through them with the arrows." };
      const ends = ["same", "different"].map((kind) => bin.map((edge) => below(run[kind].distances, edge)));
      const [[a, b], [c2, d]] = ends;
      const items = [...all(run, "same", a, Math.min(b, a + n)), ...all(run, "different", c2, Math.min(d, c2 + n))];
      items.sort((p, q) => p.distance - q.distance || p.pair - q.pair);
      return { items: items.slice(0, n), total: b - a + d - c2, counts: [b - a, d - c2], text:
        `Distance ${span(...bin)}: ${count(b - a)} same, ${count(d - c2)} different` };
    }
    const items = ["same", "different"].flatMap((kind) => {
      const k = below(run[kind].distances, t);
      return all(run, kind, Math.max(0, k - n), Math.min(run[kind].pairs.length, k + n));
    });
    items.sort((p, q) => Math.abs(p.distance - t) - Math.abs(q.distance - t) || p.pair - q.pair);
    return { items: items.slice(0, n), total: run.n, text: "The pairs that a small move of the threshold decides otherwise" };
  }
  function show(run, t, bin) {
    const found = pick(run, t, bin);
    head.textContent = found.text;
    bins.hidden = mode !== "bin";
    node.dataset.mode = mode;
    if (bin) Object.assign(node.dataset, { low: bin[0], high: bin[1] });
    if (found.counts) Object.assign(node.dataset, { same: found.counts[0], different: found.counts[1] });
    cards.show(found.items, t, found.total);
  }
  const node = make("div", { class: "fl-pairs" }, make("div", { class: "fl-row" }, modes.node, bins),
    head, cards.node, cards.more);
  const reveal = () => node.querySelector(".fl-card")?.scrollIntoView({ block: "nearest" });
  return { node, show, reveal, mode: (key) => { mode = key; n = PAGE; modes.set(key); } };
}

/** A second run on the same axes, and the pairs that only one of the two decides rightly. */
function comparePanel(host, on) {
  const select = make("select", { class: "fl-select", "aria-label": "Compare with", on: { change: () => {
    n = PAGE;
    on.compare(Number(select.value));
  } } });
  const holder = make("div", { class: "fl-figure" }), table = make("table", { class: "fl-table" });
  const note = make("p", { class: "fl-lead" }), titles = [0, 1].map(() => make("p", { class: "fl-run-title" }));
  const first = make("div", { class: "fl-figure" });
  const plots = [distancesPlot(first, { strip: false, height: 130, label: "Threshold of the first run",
    on: { threshold: (t) => on.threshold(t) } }), distancesPlot(holder, { strip: false, height: 130,
    label: "Threshold of the second run", on: { threshold: (t) => on.second(t) } })];
  const cards = pairCards(host, () => { n += PAGE; on.changed(); });
  const modes = choice("Which pairs", [["a", "Only the first is right"], ["b", "Only the second is right"]],
    (key) => { mode = key; n = PAGE; on.changed(); });
  let mode = "a", n = PAGE;
  const hint = make("p", { class: "fl-hint" });
  const both = make("div", {}, titles[0], first, titles[1], holder, table, hint, note, modes.node, cards.node, cards.more);
  const lone = make("p", { class: "fl-empty", text: "There is only one run here. Run another chapter, or pass several reports, fl.explore({\"first\": …, \"second\": …}), to compare them." });
  const node = make("div", { class: "fl-compare" }, make("label", { class: "fl-row" },
    make("span", { text: "Compare with" }), select), both, lone);

  function options(runs, current, other) {
    select.replaceChildren(...grouped(runs, (k) => ({ selected: k === other, disabled: k === current }),
      (k) => (runs[k].pairSet === runs[current].pairSet ? "" : " · other pairs")));
    const alone = runs.length < 2;
    lone.hidden = !alone;
    both.hidden = select.parentNode.hidden = alone;
  }
  function layout(a, b) {
    if (!b) return;
    titles[0].textContent = a.name;
    titles[1].textContent = b.name;
    const dense = [a, b].map((run) => densities(run, binEdges([a, b])));
    const peak = Math.max(...dense.flatMap(({ same, different }) => [...same, ...different]));
    [a, b].forEach((run, k) => plots[k].layout(run, [a, b], peak));
  }
  function update(a, ta, b, tb) {
    if (!b) return;
    const values = [[a, ta], [b, tb]].map(([run, t], k) => {
      const c = counts(run, t), r = rates(c);
      plots[k].update(t, c, r);
      return { threshold: t, ...r, auc: run.auc, eer: run.eer };
    });
    const rows = [["threshold", "Threshold"], ...METRICS.map((m) => [m, WORDS[m]]), ["auc", "AUC"], ["eer", "EER"]];
    const form = (key, v) => (key === "threshold" ? shown(v) : key === "auc" ? written(v) : percent(v));
    table.replaceChildren(make("thead", {}, make("tr", {}, ...["", "First", "Second", "Second − first"].map((text) =>
      make("th", { scope: "col", text })))), make("tbody", {}, ...rows.map(([key, word]) => {
      const [p, q] = values.map((v) => v[key] ?? NaN);
      const moved = key === "auc" ? written(q - p) : `${written(100 * (q - p), 1)} points`;
      return make("tr", {}, make("th", { scope: "row", text: word }), make("td", { text: form(key, p) }),
        make("td", { text: form(key, q) }), make("td", {}, key === "threshold" || !Number.isFinite(q - p) ? "" :
          signed(q - p, moved), a.pairSet === b.pairSet ? make("small", { "data-difference": key, text: "\u00a0" }) : null));
    })));
  }
  let known = { of: [] };
  function tellIntervals(...of) {
    if (of.some((value, k) => value !== known.of[k])) known = { of, ...differences(...of) };
    const { n, ends } = known;
    hint.textContent = n ? `Each at its threshold. In brackets 95 % intervals of the differences, from ${count(n)} ` +
      "resamples of the people of both at once: one that holds 0 may be luck." :
      "Each at its threshold. So many pairs are resampled in Python: fl.compare(first, second).";
    for (const cell of table.querySelectorAll("[data-difference]")) {
      const of = ends[cell.dataset.difference];
      if (!of) continue;
      Object.assign(cell.dataset, { low: of[0], high: of[1] });
      const form = (end) => signed(end, cell.dataset.difference === "auc" ? written(end) : written(100 * end, 1));
      cell.textContent = `(${form(of[0])} to ${form(of[1])})`;
    }
  }
  function show(a, ta, b, tb) {
    if (!b) return;
    const comparable = a.pairSet === b.pairSet;
    hint.hidden = modes.node.hidden = cards.node.hidden = !comparable;
    if (comparable) tellIntervals(a, ta, b, tb);
    if (!comparable) {
      cards.more.hidden = true;
      note.textContent = "The two runs hold different pairs, so there are none on which they could disagree.";
      return;
    }
    const only = { a: [], b: [] }, same = a.pairSet.same;
    for (let i = 0; i < a.n; i++) {
      const x = a.distances[i] < ta, y = b.distances[i] < tb;
      if (x !== y) only[x === Boolean(same[i]) ? "a" : "b"].push(i);
    }
    Object.assign(node.dataset, { onlyA: only.a.length, onlyB: only.b.length });
    note.textContent = `They disagree on ${plural(only.a.length + only.b.length, "pair")} of ${count(a.n)}.`;
    modes.buttons.forEach((b2, k) => {
      b2.textContent = `Only the ${k ? "second" : "first"} is right: ${count(only[k ? "b" : "a"].length)}`;
    });
    const how = (i) => Math.min(Math.abs(a.distances[i] - ta), Math.abs(b.distances[i] - tb));
    const chosen = only[mode].map((i) => [how(i), i]).sort((p, q) => q[0] - p[0] || p[1] - q[1]);
    const [run, t, second] = mode === "a" ? [a, ta, b] : [b, tb, a];
    cards.show(chosen.slice(0, n).map(([, pair]) => ({ run, pair, remark:
      `${mode === "a" ? "second" : "first"} run: ${shown(second.distances[pair])}, ` +
      `${second.distances[pair] < (mode === "a" ? tb : ta) ? "accepted" : "rejected"}` })), t, chosen.length);
  }
  return { node, options, layout, update, show };
}

/** The watched distances of a training, epoch by epoch. */
function filmPanel(films, bins) {
  const empty = make("p", { class: "fl-empty", text: "No training was recorded for these runs. Pass what fl.fit returned, fl.explore(report, films=training), to see its epochs." });
  if (!films.length) return { node: empty, layout: () => {}, choose: () => {} };
  const select = make("select", { class: "fl-select", "aria-label": "Training", on: { change: () => {
    choose(films[Number(select.value)].name);
  } } }, ...grouped(films));
  const play = make("button", { type: "button", text: "▶ Play", on: { click: () => (timer ? stop() : start()) } });
  const range = make("input", { type: "range", min: 0, step: 1, class: "fl-range", "aria-label": "Epoch",
    on: { input: () => { stop(); frame(Number(range.value)); } } });
  const epochs = make("output", { class: "fl-epoch" }), panels = make("div", { class: "fl-films" });
  const caption = make("p", { class: "fl-hint" });
  const other = make("p", { class: "fl-lead", hidden: true });
  const node = make("div", { class: "fl-film" }, other, make("div", { class: "fl-row" }, select, play, range, epochs),
    panels, caption);
  let film = films[0], draw = [], timer = 0;

  function panel(split, k) {
    const box = panels.children[k];
    const width = Math.max(240, box.clientWidth), height = 190, base = 226, tail = 72, left = 14;
    const x = scaleOf(0, 2, left, width - 14), per = (kind) => split[kind].n * (bins[1] - bins[0]) || 1;
    const peaks = ["same", "different"].flatMap((kind) => split[kind].counts.map((row) => Math.max(...row) / per(kind)));
    peaks.sort((p, q) => p - q);
    const top = Math.min(peaks.at(-1), 3 * peaks[peaks.length >> 1]);
    const y = scaleOf(0, top, base, base - height);
    const svg = make("svg", { class: "fl-plot", viewBox: `0 0 ${width} ${base + 44 + tail}`, role: "img",
      height: base + 44 + tail });
    box.append(svg);
    svg.append(make("text", { class: "fl-film-title", x: left, y: 18, text:
      `${split.name[0].toUpperCase()}${split.name.slice(1)} people` }));
    const aucText = make("text", { class: "fl-film-auc", x: width - 14, y: 18, "text-anchor": "end" });
    const parts = {};
    for (const kind of ["different", "same"]) {
      parts[kind] = { area: make("path", { class: "fl-area" }), line: make("path", { class: "fl-outline" }),
        mean: make("line", { class: "fl-mean", y1: base, y2: base + 9 }) };
      svg.append(make("g", { class: `fl-${kind}` }, ...Object.values(parts[kind])));
    }
    axis(svg, x, base, ticks(0, 2, 4), "");
    const n = film.epoch.length, ex = scaleOf(0, Math.max(1, n - 1), left, width - 14);
    const ay = scaleOf(0.5, 1, base + 40 + tail, base + 54);
    const d = Array.from(split.auc, (v, k) => `${k ? "L" : "M"}${ex(k)},${ay(Math.max(0.5, v))}`).join("");
    const dot = make("circle", { class: "fl-dot fl-run-0", r: 6 });
    svg.append(make("line", { class: "fl-grid", x1: left, x2: width - 14, y1: ay(0.5), y2: ay(0.5) }),
      make("line", { class: "fl-grid", x1: left, x2: width - 14, y1: ay(1), y2: ay(1) }),
      make("path", { class: "fl-line fl-run-0", d }), dot, aucText);
    for (const [value, text] of [[1, "AUC 1"], [0.5, "0.5"]]) {
      svg.append(make("text", { class: "fl-tick", x: left, y: ay(value) - 5, text }));
    }
    return (k) => {
      for (const kind of ["different", "same"]) {
        const row = Array.from(split[kind].counts[k], (c) => Math.min(c / per(kind), top));
        const path = steps(bins, row, x, y), mean = split[kind].mean[k];
        change(parts[kind].area, { d: path });
        change(parts[kind].line, { d: path });
        change(parts[kind].mean, { x1: x(mean), x2: x(mean) });
      }
      aucText.textContent = `AUC ${written(split.auc[k])}`;
      change(dot, { cx: ex(k), cy: ay(Math.max(0.5, split.auc[k])) });
      svg.setAttribute("aria-label", `${split.name} people, epoch ${film.epoch[k]}: mean distance ` +
        `${written(split.same.mean[k])} of same and ${written(split.different.mean[k])} of different pairs`);
    };
  }
  function frame(k) {
    range.value = k;
    epochs.textContent = `epoch ${film.epoch[k]} of ${film.epoch.at(-1)}`;
    node.dataset.epoch = film.epoch[k];
    draw.forEach((f) => f(k));
  }
  function layout() {
    const k = Number(range.value);
    panels.replaceChildren(...film.splits.map(() => make("div", { class: "fl-figure" })));
    draw = film.splits.map(panel);
    frame(Math.min(k, film.epoch.length - 1));
  }
  function choose(name) {
    const k = films.findIndex((f) => f.name === name);
    other.hidden = k >= 0;
    other.textContent = `No training was recorded for “${name}”. This is another one:`;
    if (k < 0 || (films[k] === film && draw.length)) return;
    stop();
    film = films[k];
    select.value = k;
    range.max = film.epoch.length - 1;
    range.value = range.max;
    caption.replaceChildren(origin(film), ". Distances of the same pairs after every epoch, each kind's histogram " +
      "with area 1; the short strokes below the axis are means.", film.splits.some((split) => split.name === "dev") ? "" :
      " No dev people were watched: what it does with people it was trained on says nothing about strangers.");
    if (panels.isConnected && panels.clientWidth) layout();
  }
  function start() {
    let k = Number(range.value);
    if (k >= film.epoch.length - 1) k = -1;
    play.textContent = "❚❚ Pause";
    timer = setInterval(() => {
      k += 1;
      if (k >= film.epoch.length || !node.isConnected) stop();
      else frame(k);
    }, Math.max(70, Math.min(400, 6000 / film.epoch.length)));
  }
  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ Play";
  }
  choose(films[0].name);
  return { node, layout, choose };
}
