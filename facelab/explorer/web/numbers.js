// Arrays, counts and rates. A pair is accepted when its distance is below the threshold.

const METRICS = ["precision", "recall", "f1", "accuracy", "far", "frr"];
const WORDS = {
  precision: "Precision", recall: "Recall", f1: "F1", accuracy: "Accuracy", far: "FAR", frr: "FRR",
};
const MEANING = {
  precision: "of the accepted pairs, how many show one person",
  recall: "of the pairs that show one person, how many are accepted",
  f1: "harmonic mean of precision and recall",
  accuracy: "of all pairs, how many are decided rightly",
  far: "false accept rate: of the pairs of different people, how many are accepted",
  frr: "false reject rate: of the pairs of one person, how many are rejected",
};
const N_DRAWN = 1000; // resamples of people for the intervals of differences
const MOST_DRAWN = 50_000; // pairs that are resampled here
const ARRAYS = {
  float64: Float64Array, float32: Float32Array, int32: Int32Array, uint32: Uint32Array,
  uint16: Uint16Array, uint8: Uint8Array,
};

/** Put the arrays back into what `pack` of payload.py took apart. */
function decode(value, buffers) {
  if (Array.isArray(value)) return value.map((v) => decode(v, buffers));
  if (!value || typeof value !== "object") return value;
  if (!("$" in value)) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, decode(v, buffers)]));
  }
  const b = buffers[value.$];
  const bytes = b.buffer ? b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) : b;
  const flat = new ARRAYS[value.type](bytes);
  if (value.shape.length < 2) return flat;
  const [rows, columns] = value.shape;
  return Array.from({ length: rows }, (_, k) => flat.subarray(k * columns, (k + 1) * columns));
}

/** How many of the ascending `sorted` are less than `x`. */
function below(sorted, x) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Pairs of one kind by distance: a float64 holds a distance's bits and the pair's number. */
function sorted(distances, same, kind) {
  const n = same.reduce((sum, s) => sum + (s === kind), 0);
  const keys = new Float64Array(n), bits = new Uint32Array(distances.buffer);
  for (let i = 0, k = 0; i < same.length; i++) {
    if (same[i] === kind) keys[k++] = bits[i] * 4194304 + i;
  }
  keys.sort();
  const pairs = new Uint32Array(n), by = new Float32Array(n);
  for (let k = 0; k < n; k++) {
    pairs[k] = keys[k] - Math.floor(keys[k] / 4194304) * 4194304;
    by[k] = distances[pairs[k]];
  }
  return { pairs, distances: by };
}

/** A report in the browser: what Python sent, and its pairs of each kind by distance. */
function makeRun(meta, sets) {
  const set = sets[meta.set];
  const same = sorted(meta.distances, set.same, 1);
  const different = sorted(meta.distances, set.same, 0);
  const ends = [same, different].filter((kind) => kind.pairs.length);
  return {
    ...meta, pairSet: set, same, different, nSame: same.pairs.length,
    nDifferent: different.pairs.length, n: meta.distances.length,
    low: Math.min(...ends.map((kind) => kind.distances[0])),
    high: Math.max(...ends.map((kind) => kind.distances.at(-1))),
  };
}

function counts(run, threshold) {
  const tp = below(run.same.distances, threshold), fp = below(run.different.distances, threshold);
  return { tp, fp, fn: run.nSame - tp, tn: run.nDifferent - fp };
}

function rates({ tp, fp, fn, tn }) {
  return {
    precision: tp / (tp + fp), recall: tp / (tp + fn), f1: (2 * tp) / Math.max(2 * tp + fp + fn, 1),
    accuracy: (tp + tn) / (tp + fp + fn + tn), far: fp / (fp + tn), frr: fn / (tp + fn),
  };
}

/** The 95 % interval of a rate: exact where it was resampled, between two thresholds a line. */
function interval(run, metric, threshold) {
  const got = run.intervals;
  if (!got) return null;
  const row = METRICS.indexOf(metric), x = got.thresholds, k = below(x, threshold);
  const at = (ends, j) => ends[row][j];
  const ends = [got.low, got.high].map((values) => {
    if (k >= x.length) return at(values, x.length - 1);
    if (x[k] === threshold || k === 0) return at(values, k);
    const a = at(values, k - 1), b = at(values, k);
    return a + ((b - a) * (threshold - x[k - 1])) / (x[k] - x[k - 1]);
  });
  return ends.every(Number.isFinite) ? ends : null;
}

/** All pairs of a run by distance, and of each whether the next one is farther. */
function ascending({ same, different, n }) {
  const pairs = new Uint32Array(n), distances = new Float32Array(n), ends = new Uint8Array(n);
  for (let k = 0, i = 0, j = 0; k < n; k++) {
    const kind = !(same.distances[i] > different.distances[j]) && i < same.pairs.length ? same : different;
    const at = kind === same ? i++ : j++;
    [pairs[k], distances[k]] = [kind.pairs[at], kind.distances[at]];
    if (k) ends[k - 1] = distances[k] > distances[k - 1];
  }
  ends[n - 1] = 1;
  return { pairs, distances, ends };
}

/** Counts at a threshold, AUC and EER, each pair counting as often as `weights` say. */
function weighed(run, threshold, weights) {
  const { pairs, distances, ends } = (run.ascending ??= ascending(run)), { same } = run.pairSet;
  const accepted = below(distances, threshold), all = [0, 0], found = [0, 0];
  for (let i = 0; i < run.n; i++) all[same[i]] += weights[i];
  let tp = 0, fp = 0, tpBefore = 0, fpBefore = 0, area = 0, gapBefore = -1, eer = NaN;
  for (let k = 0; k < run.n; k++) {
    if (k === accepted) [found[0], found[1]] = [fp, tp];
    if (same[pairs[k]]) tp += weights[pairs[k]];
    else fp += weights[pairs[k]];
    if (!ends[k]) continue;
    area += ((fp - fpBefore) * (tp + tpBefore)) / 2;
    const gap = fp / all[0] + tp / all[1] - 1; // FAR − FRR, rises from -1 to 1
    if (gapBefore < 0 && gap >= 0) eer = (fpBefore + ((fp - fpBefore) * gapBefore) / (gapBefore - gap)) / all[0];
    [tpBefore, fpBefore, gapBefore] = [tp, fp, gap];
  }
  if (accepted === run.n) [found[0], found[1]] = [fp, tp];
  return { tp: found[1], fp: found[0], fn: all[1] - found[1], tn: all[0] - found[0], auc: area / all[0] / all[1], eer };
}

/** 1 for each pair that shares nobody with an earlier such pair of its kind, else 0. */
function independent({ left, right, same, person }) {
  const met = [new Set(), new Set()];
  return Uint8Array.from(left, (image, pair) => {
    const people = [person[image], person[right[pair]]], known = met[same[pair]];
    if (people.some((one) => known.has(one))) return 0;
    people.forEach((one) => known.add(one));
    return 1;
  });
}

/**
 * 95 % intervals of the differences b - a of two runs on the same pairs, [low, high] by metric.
 *
 * People are drawn with replacement, the same for both runs, as `compare` of comparison.py does it;
 * a metric of which fewer than ten pairs are independent has none.
 */
function differences(a, ta, b, tb) {
  const { left, right, same, person, people } = a.pairSet, ends = {}, drawn = {};
  const n = Math.min(N_DRAWN, a.n > MOST_DRAWN ? 0 : Math.floor(1e7 / a.n)); // a second at most
  const times = new Uint16Array(people.length), weights = new Float64Array(a.n), random = mulberry(1);
  const both = (of) => [weighed(a, ta, of), weighed(b, tb, of)];
  for (let k = 0; k < n; k++) {
    times.fill(0);
    for (let j = 0; j < people.length; j++) times[Math.floor(random() * people.length)] += 1;
    for (let i = 0; i < a.n; i++) weights[i] = times[person[left[i]]] * (same[i] ? 1 : times[person[right[i]]]);
    const [p, q] = both(weights).map((c) => ({ ...rates(c), auc: c.auc, eer: c.eer }));
    for (const metric of Object.keys(p)) (drawn[metric] ??= []).push(q[metric] - p[metric]);
  }
  const counted = both(independent(a.pairSet)).map(({ tp, fp, fn, tn }) => {
    const nSame = tp + fn, nDifferent = fp + tn, compared = Math.min(nSame, nDifferent);
    return { precision: tp + fp, recall: nSame, f1: nSame + fp, accuracy: nSame + nDifferent, far: nDifferent,
      frr: nSame, auc: compared, eer: compared };
  });
  for (const [metric, values] of Object.entries(drawn)) {
    const known = Float64Array.from(values.filter(Number.isFinite)).sort();
    if (known.length && counted.every((of) => of[metric] >= 10)) ends[metric] = [0.025, 0.975].map((q) => along(known, q));
  }
  return { n, ends };
}

/** The value at a share of the way through an array, a line between two of them: a quantile of ascending ones. */
function along(values, share) {
  const place = share * (values.length - 1), k = Math.floor(place), next = Math.min(k + 1, values.length - 1);
  return values[k] + (place - k) * (values[next] - values[k]);
}

/** Random numbers from 0 to 1 (mulberry32, by Tommy Ettinger): the same ones each time. */
function mulberry(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The points of the ROC that a figure can tell apart: [far, tar] at ascending thresholds. */
function rocPoints(run) {
  const s = run.same.distances, d = run.different.distances, points = [[0, 0]];
  let i = 0, j = 0, far = 0, tar = 0, held = null;
  const moved = (a, b) => Math.abs(a - b) > 1 / 500 || Math.abs(Math.log((a + 1e-6) / (b + 1e-6))) > 0.05;
  while (i < s.length || j < d.length) {
    const x = Math.min(i < s.length ? s[i] : Infinity, j < d.length ? d[j] : Infinity);
    while (i < s.length && s[i] === x) i++;
    while (j < d.length && d[j] === x) j++;
    const f = d.length ? j / d.length : 0, t = s.length ? i / s.length : 0;
    if (moved(f, far) || moved(1 - t, 1 - tar)) {
      if (held) points.push(held);
      points.push([f, t]);
      [far, tar, held] = [f, t, null];
    } else held = [f, t];
  }
  points.push([1, 1]);
  return points;
}

/** Counts of each kind between neighbouring edges. */
function histogram(run, edges) {
  const of = (values) => {
    const cut = edges.map((edge) => below(values, edge));
    return edges.slice(1).map((_, k) => cut[k + 1] - cut[k]);
  };
  return { same: of(run.same.distances), different: of(run.different.distances) };
}

/** Heights of the histograms of each kind, with area 1. */
function densities(run, edges) {
  const of = histogram(run, edges), width = edges[1] - edges[0];
  const scaled = (counted, n) => counted.map((c) => c / (n * width || 1));
  return { same: scaled(of.same, run.nSame), different: scaled(of.different, run.nDifferent) };
}

/** Round edges that cover the distances of all `runs`, about as many as fit their number. */
function binEdges(runs) {
  const low = Math.min(...runs.map((r) => Math.min(r.low, r.threshold, r.f1_threshold)));
  const high = Math.max(...runs.map((r) => Math.max(r.high, r.threshold, r.f1_threshold)));
  const wanted = Math.min(80, Math.max(12, Math.sqrt(Math.max(...runs.map((r) => r.n)))));
  const rough = Math.max((high - low) / wanted, 1e-9), power = 10 ** Math.floor(Math.log10(rough));
  const width = power * [1, 2, 2.5, 5, 10].find((f) => f * power * 1.3 >= rough);
  const first = Math.floor(low / width - 1e-9), last = Math.floor(high / width + 1e-9) + 1;
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * width);
}

/** Quantile of the normal distribution (Acklam 2003, relative error below 1.2e-9). */
function probit(p) {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269,
    -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
    -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734,
    4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const poly = (k, x) => k.reduce((sum, value) => sum * x + value, 0);
  p = Math.min(Math.max(p, 1e-7), 1 - 1e-7);
  if (p > 0.97575) return -probit(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return poly(c, q) / (poly(d, q) * q + 1);
  }
  const q = p - 0.5, r = q * q;
  return (poly(a, r) * q) / (poly(b, r) * r + 1);
}

/** How `x` is written, with a sign that is written well, and none where it is rounded to 0. */
const signed = (x, text) => ((x > 0 ? "+" : "") + text).replace(/^[-+](?=0\.0+( |$))/, "").replace("-", "−");
const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const percent = (x, digits = 1) => (Number.isFinite(x) ? `${(100 * x).toFixed(digits)} %` : "–");
const written = (x, digits = 3) => (Number.isFinite(x) ? x.toFixed(digits) : "–");
const shown = (distance) => (distance && Math.abs(distance) < 0.001 ? distance.toExponential(1) : written(distance));
/** The ends of a bin, in as many digits as tell them apart. */
const span = (low, high) => [low, high].map((edge) => (high - low < 1e-4 ? edge.toExponential(2) :
  `${+edge.toFixed(5)}`)).join(" to ");

/** The person whom an image shows, a position in `pairSet.images`, as one writes the name. */
const person = (pairSet, image) => pairSet.people[pairSet.person[image]].replaceAll("_", " ");
const initials = (name) => name.split(" ").map((word) => word[0]).join("").slice(0, 3);
