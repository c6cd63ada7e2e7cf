// SPDX-License-Identifier: MIT
// The triggers since the node started: how many ended how, by source, and how long after its edge
// each picture was exposed and published. The node counts, /metrics has its figures. Loaded before
// app.js, whose helpers it uses once both are there.
'use strict';

const TRIGGERS_MS = 1000; // at most so often while triggers are seen to come, ...
const TRIGGERS_IDLE_MS = 5000; // ... and so often without
const OUTCOMES = ['matched', 'missed', 'overrun', 'failed'];
const DELAYS = [
  ['pinhole_trigger_exposure_delay_seconds', 'Edge to start of exposure'],
  ['pinhole_trigger_publish_delay_seconds', 'Edge to frame published'],
];

// Samples of the Prometheus text format, of which the node uses no more than this.
function parseSamples(lines) {
  return lines.map((line) => {
    const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    const pairs = [...(labels || '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]);
    return {name, value: Number(value), ...Object.fromEntries(pairs)};
  });
}

// Buckets [{low, high, count}] in seconds: what is counted up to a bound there is counted once here.
function readBuckets(samples, name) {
  let low = 0;
  let below = 0;
  return samples.filter((sample) => sample.name === `${name}_bucket`).map((sample) => {
    const high = sample.le === '+Inf' ? Infinity : Number(sample.le);
    const bucket = {low, high, count: sample.value - below};
    low = high;
    below = sample.value;
    return bucket;
  });
}

function rangeText({low, high}) {
  const units = [[1, 's'], [1e-3, 'ms'], [1e-6, 'µs']];
  const split = (s) => {
    const [size, unit] = units.find(([least]) => s > least * 0.999) || units[2];
    return [String(Number((s / size).toPrecision(3))), unit];
  };
  const [text, unit] = split(high === Infinity ? low : high);
  if (high === Infinity || low === 0) {
    return `${low === 0 ? '≤' : '>'} ${text} ${unit}`;
  }
  const [lowText, lowUnit] = split(low);
  return lowUnit === unit ? `${lowText}–${text} ${unit}` : `${lowText} ${lowUnit}–${text} ${unit}`;
}

// The bucket in which the value lies that `share` of all do not exceed.
function bucketOf(buckets, count, share) {
  let below = 0;
  return buckets.find((bucket) => (below += bucket.count) >= share * count);
}

function cell(tag, text, className = '') {
  return make(tag, {textContent: text, className});
}

function showCounts(samples) {
  const counts = samples.filter((sample) => sample.name === 'pinhole_triggers_total');
  const sources = [...new Set(counts.map((sample) => sample.source))];
  const rows = sources.map((source) => {
    const of = (outcome) => counts.find((sample) =>
      sample.source === source && sample.outcome === outcome)?.value ?? 0;
    return {source, values: OUTCOMES.map(of)};
  }).filter(({values}) => values.some((value) => value > 0));
  const head = make('tr', {}, cell('th', 'Source'), ...OUTCOMES.map((outcome) =>
    cell('td', outcome.toUpperCase())));
  element('trigger-counts').replaceChildren(head, ...rows.map(({source, values}) => {
    const name = cell('th', source[0].toUpperCase() + source.slice(1));
    name.scope = 'row';
    return make('tr', {}, name, ...values.map((value, index) =>
      cell('td', number(value), index > 0 && value > 0 ? 'bad' : '')));
  }));
  return rows.length > 0;
}

// From the first bucket to the last that has something: few rows, which a phone has room for.
function buildChart(samples, [name, title]) {
  const all = readBuckets(samples, name);
  const count = all.reduce((sum, bucket) => sum + bucket.count, 0);
  const isUsed = (bucket) => bucket.count > 0;
  const used = all.slice(all.findIndex(isUsed), all.findLastIndex(isUsed) + 1);
  const most = Math.max(...used.map((bucket) => bucket.count));
  const rows = used.map((bucket) => {
    const bar = make('i');
    bar.style.width = `${100 * bucket.count / most}%`;
    bar.hidden = bucket.count === 0;
    const range = cell('th', rangeText(bucket));
    range.scope = 'row';
    return make('tr', {}, range, make('td', {className: 'bars'}, bar), cell('td', number(bucket.count)));
  });
  const share = (part) => rangeText(bucketOf(all, count, part));
  const summary = count ? `p50 ${share(0.5)}, p99 ${share(0.99)}` : '';
  return make('table', {className: 'chart', id: name.replaceAll('_', '-'), hidden: count === 0},
    make('caption', {}, make('b', {textContent: title}), make('span', {textContent: summary, className: 'muted'})),
    ...rows);
}

let shownTriggers = '';
function showTriggers(text) {
  const lines = text.split('\n').filter((line) => line.startsWith('pinhole_trigger'));
  const key = lines.join('\n');
  if (lines.length === 0 || key === shownTriggers) { // a node that is away leaves what is known
    return;
  }
  shownTriggers = key;
  const samples = parseSamples(lines);
  element('triggers').hidden = !showCounts(samples);
  element('trigger-delays').replaceChildren(...DELAYS.map((delay) => buildChart(samples, delay)));
}

let triggersAsked = false;
let triggersAt = -Infinity;
let triggersSign = '';
async function pollTriggers(state) {
  const newest = state.triggers.at(-1);
  const sign = `${state.node.boot_id} ${newest ? newest.last : 0}`;
  const patience = sign === triggersSign ? TRIGGERS_IDLE_MS : TRIGGERS_MS;
  if (triggersAsked || performance.now() - triggersAt < patience) {
    return;
  }
  triggersAsked = true;
  triggersAt = performance.now();
  try {
    const response = await fetch('metrics', {cache: 'no-store', signal: AbortSignal.timeout(8000)});
    if (response.ok) {
      showTriggers(await response.text());
      triggersSign = sign;
    }
  } catch {
    // What is wrong with the gateway is said where the state is asked for.
  }
  triggersAsked = false;
}
