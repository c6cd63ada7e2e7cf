// SPDX-License-Identifier: MIT
// The live page. It asks /state twice a second, without the features; those are fetched when their
// version has changed, and every few seconds because an automatic camera moves its own values.
'use strict';

const POLL_MS = 500;
const FEATURES_MS = 4000;
const element = (id) => document.getElementById(id);

// A tab of its own name, by which the gateway says how this tab's stream is doing.
const streamKey = Array.from(crypto.getRandomValues(new Uint8Array(8)),
  (byte) => byte.toString(16).padStart(2, '0')).join('');

let streamRun = 0; // restarts so far; makes each stream's URL its own
let streamSince = 0; // when the last one was begun
let featuresVersion = -1;
let featuresAt = 0;
let features = new Map(); // name -> {spec, row, inputs...}
let pendingTrigger = null;
let readOnly = false;

// --- formatting ------------------------------------------------------------------------------

const number = (value, digits = 0) =>
  value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits})
    .replaceAll(',', '\u202f');

function bytesText(bytes) {
  return bytes < 1e6 ? `${number(bytes / 1000, bytes < 1e4 ? 1 : 0)} kB`
    : `${number(bytes / 1e6, 2)} MB`;
}

function timeText(us) {
  if (Math.abs(us) >= 1e6) {
    return `${number(us / 1e6, 2)} s`;
  }
  return Math.abs(us) >= 1000 ? `${number(us / 1000, 1)} ms` : `${number(us)} µs`;
}

function clockText(realtimeNs) {
  const date = new Date(realtimeNs / 1e6);
  const two = (value) => String(value).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.` +
    String(date.getMilliseconds()).padStart(3, '0');
}

function ageText(seconds) {
  return seconds < 90 ? `${number(seconds)} s` : `${number(seconds / 60)} min`;
}

// --- the picture -----------------------------------------------------------------------------

function startStream() {
  streamRun += 1;
  streamSince = performance.now();
  element('picture').src = `stream?key=${streamKey}${streamRun}`;
}

function watchStream(state) {
  // A picture that broke off does not always tell the page: the gateway knows.
  const alive = state.stream && state.stream.alive;
  if (!alive && performance.now() - streamSince > 1500 && (state.node.connected || state.frame)) {
    startStream();
  }
}

function showNotice(text) {
  element('notice').textContent = text;
  element('notice').hidden = text === '';
  element('stage').classList.toggle('stale', text !== '');
}

// --- the state -------------------------------------------------------------------------------

function showBadge(text, kind) {
  const badge = element('badge');
  if (badge.textContent !== text) {
    badge.textContent = text;
  }
  badge.className = `badge ${kind}`;
}

function showNode(state) {
  const node = state.node;
  element('name').textContent = node.name || 'Pinhole';
  element('model').textContent = node.model;
  document.title = node.name ? `${node.name} – Pinhole` : 'Pinhole';
  const cameraDown = node.camera === 'absent' || node.camera === 'stalled';
  if (!node.connected) {
    showBadge('node away', 'bad');
    showNotice(`The node is away: ${node.away}.`.replace(/\.\.$/, '.'));
  } else if (cameraDown) {
    showBadge(`camera ${node.camera}`, 'bad');
    showNotice(`The camera is ${node.camera}; the node is trying to get it back.`);
  } else if (!state.frame) {
    showBadge('no frame yet', '');
    showNotice('');
  } else if (isOn('TriggerMode')) {
    showBadge('waiting for triggers', 'good');
    showNotice('');
  } else if (state.frame.age_s > 3 && state.rate.frames_per_second === 0) {
    showBadge(`no frame for ${ageText(state.frame.age_s)}`, '');
    showNotice('');
  } else {
    showBadge('live', 'good');
    showNotice('');
  }
}

function showFigures(state) {
  const frame = state.frame;
  const put = (id, text) => { element(id).textContent = text; };
  put('fps', state.node.connected ? number(state.rate.frames_per_second, 1) : '–');
  if (!frame) {
    return;
  }
  put('frame-id', number(frame.frame_id));
  put('size', `${frame.width}×${frame.height}`);
  put('quality', frame.quality === 0 ? 'camera' : String(frame.quality));
  put('bytes', bytesText(frame.bytes));
  put('latency', timeText(frame.latency_us));
  const picture = element('picture');
  if (picture.width !== frame.width) { // its shape is known before the first byte of it
    picture.width = frame.width;
    picture.height = frame.height;
  }
}

function showMetadata(frame) {
  const rows = [];
  const add = (name, id, text) => rows.push([name, id, text]);
  if (frame) {
    add('Captured', 'captured', clockText(frame.realtime_ns));
    add('Exposure', 'exposure', frame.exposure_us ? timeText(frame.exposure_us) : 'not reported');
    add('Gain', 'gain', frame.gain ? `${number(frame.gain, 2)}×` : 'not reported');
    if (frame.colour_temperature_k) {
      add('Colour temperature', 'colour-temperature', `${number(frame.colour_temperature_k)} K`);
    }
    if (frame.lux) {
      add('Illuminance', 'lux', `${number(frame.lux, 0)} lx`);
    }
    add('Trigger', 'trigger-id', frame.trigger_id ? `${number(frame.trigger_id)} (${frame.trigger_source})` : 'none');
    if (frame.trigger_id) {
      add('Edge to exposure', 'trigger-delta', timeText(frame.trigger_delta_ns / 1000));
      add('Burst index', 'burst-index', String(frame.burst_index));
    }
    add('Sequence', 'sequence', number(frame.sequence));
    add('Sensor sequence', 'sensor-sequence', number(frame.sensor_sequence));
    add('Acquired after', 'acquired', timeText(frame.acquired_us));
    add('Encoding took', 'encoding', timeText(frame.encoded_us - frame.encode_start_us));
    add('Encoder passes', 'encodes', String(frame.encodes));
    add('Flags', 'flags', frame.flags || 'none');
  }
  const body = element('metadata').tBodies[0];
  while (body.rows.length > rows.length) {
    body.deleteRow(-1);
  }
  rows.forEach(([name, id, text], index) => {
    let row = body.rows[index];
    if (!row) {
      row = body.insertRow();
      const head = document.createElement('th');
      head.scope = 'row';
      row.append(head, document.createElement('td'));
    }
    row.cells[0].textContent = name;
    row.cells[1].textContent = text;
    row.cells[1].id = `meta-${id}`;
  });
}

function eventLine(event) {
  switch (event.kind) {
    case 'TRIGGER': {
      const run = event.first === event.last ? `Trigger ${number(event.first)}`
        : `Triggers ${number(event.first)}–${number(event.last)}`;
      return {head: `${run} ${event.outcome}`, text: event.text || `no image (${event.source})`, kind: 'bad'};
    }
    case 'GAP':
      return {head: 'Gap', text: `records ${number(event.first)}–${number(event.last)} are lost`, kind: 'bad'};
    case 'CAMERA':
      return {head: `Camera ${event.camera}`, text: event.text,
        kind: event.camera === 'absent' || event.camera === 'stalled' ? 'bad' : 'good'};
    case 'FEATURES':
      return {head: 'Features changed', text: event.text.trim().split('\n').join(', '), kind: ''};
    case 'FRAME_LOST':
      return {head: 'Frame lost', text: event.text, kind: 'bad'};
    case 'BOOT':
      return {head: 'Node restarted', text: event.text, kind: ''};
    case 'DISCONNECTED':
      return {head: 'Node away', text: event.text, kind: 'bad'};
    case 'RECONNECTED':
      return {head: 'Node back', text: event.text, kind: 'good'};
    default:
      return {head: event.kind, text: event.text, kind: ''};
  }
}

let shownEvents = '';
function showEvents(events) {
  const key = events.length ? `${events[0].n} ${events[events.length - 1].n}` : '';
  if (key === shownEvents) {
    return;
  }
  shownEvents = key;
  element('no-events').hidden = events.length > 0;
  element('events').replaceChildren(...events.slice().reverse().map((event) => {
    const line = eventLine(event);
    const item = document.createElement('li');
    const head = document.createElement('b');
    head.textContent = line.head;
    item.className = line.kind;
    if (event.realtime_ns > 0) {
      const time = document.createElement('time');
      time.textContent = clockText(event.realtime_ns);
      item.append(time);
    }
    item.append(head, line.text ? ` ${line.text}` : '');
    return item;
  }));
}

// --- trigger ---------------------------------------------------------------------------------

function isOn(name) {
  const feature = features.get(name);
  return feature !== undefined && feature.spec.value === 'On';
}

function showTrigger(state) {
  // Whatever the TriggerSource, a software trigger counts too; the node says so when it does not.
  const ready = state.node.connected && isOn('TriggerMode') && !readOnly;
  element('trigger').disabled = !ready || (pendingTrigger !== null && pendingTrigger.id === 0);
  if (pendingTrigger !== null) {
    followTrigger(state);
    return;
  }
  let hint = 'Press to take a picture.';
  if (readOnly) {
    hint = 'You may only view.';
  } else if (!isOn('TriggerMode')) {
    hint = 'Free running. Set TriggerMode to On to take pictures by trigger.';
  }
  sayTrigger(hint, 'muted');
}

function sayTrigger(text, kind) {
  const line = element('trigger-state');
  line.className = kind;
  if (line.textContent !== text) {
    line.textContent = text;
  }
}

function followTrigger(state) {
  const id = pendingTrigger.id;
  if (id === 0) {
    return;
  }
  const result = state.triggers.findLast((trigger) => trigger.first <= id && id <= trigger.last);
  if (!result) {
    sayTrigger(`Trigger ${number(id)}: waiting for its frame`, 'muted');
  } else if (result.outcome === 'MATCHED') {
    sayTrigger(`Trigger ${number(id)} MATCHED: frame ${number(result.frame_id)}, exposed ` +
      `${timeText(result.delta_ns / 1000)} after it`, 'good');
  } else {
    sayTrigger(`Trigger ${number(id)} ${result.outcome}: no image`, 'bad');
  }
  if (!isOn('TriggerMode')) {
    pendingTrigger = null;
  }
}

async function pressTrigger() {
  pendingTrigger = {id: 0};
  element('trigger').disabled = true;
  try {
    const answer = await post('trigger', '');
    pendingTrigger = {id: answer.trigger_id};
  } catch (error) {
    pendingTrigger = {id: 0};
    sayTrigger(error.message, 'bad');
    setTimeout(() => { pendingTrigger = null; }, 4000);
    return;
  }
  poll();
}

// --- talking to the gateway ------------------------------------------------------------------

async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: {'X-Pinhole': '1', 'Content-Type': 'application/json'},
      body,
    });
  } catch {
    throw new Error('the gateway does not answer');
  }
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.error);
  }
  return answer;
}

async function logOut(event) {
  event.preventDefault();
  await post('logout', '');
  location.assign('login');
}

let polling = false;
async function poll() {
  if (polling) {
    return;
  }
  polling = true;
  const full = performance.now() - featuresAt > FEATURES_MS;
  try {
    const response = await fetch(`state?${full ? '' : 'brief=1&'}key=${streamKey}${streamRun}`,
      {cache: 'no-store', signal: AbortSignal.timeout(8000)});
    if (response.status === 401) {
      location.assign('login');
    }
    if (!response.ok) {
      throw new Error((await response.json()).error);
    }
    show(await response.json());
  } catch (error) {
    showBadge('gateway away', 'bad');
    showNotice(`The gateway does not answer (${error.message}); trying again.`);
  }
  polling = false;
}

function show(state) {
  readOnly = state.gateway.read_only;
  element('link-login').hidden = !state.gateway.has_users || state.gateway.user !== undefined;
  element('link-logout').hidden = state.gateway.user === undefined;
  element('link-logout').title = `You are ${state.gateway.user}`;
  if (state.features) {
    featuresVersion = state.features_version;
    featuresAt = performance.now();
    showFeatures(state.features);
  } else if (state.features_version !== featuresVersion) {
    featuresAt = -Infinity; // the next poll fetches them
  }
  showNode(state);
  showFigures(state);
  showMetadata(state.frame);
  showEvents(state.events);
  showTrigger(state);
  pollTriggers(state);
  watchStream(state);
}

// --- features --------------------------------------------------------------------------------

const GROUPS = [
  ['Exposure', /^(Exposure|Gain|BlackLevel|AutoExposure|BalanceWhite|Balance|Gamma|Brightness|Contrast|Saturation|Sharpness|Focus|Lens)/],
  ['Trigger', /^(Trigger|AcquisitionBurst|Pretrigger|Strobe|Line)/],
  ['Picture', /^(Width|Height|Offset|Reverse|PixelFormat|AcquisitionFrameRate|ImageCompression|Payload|Chroma)/],
  ['Device', /^Device/],
  ['Other', /./],
];

function groupOf(name) {
  return GROUPS.find(([, pattern]) => pattern.test(name))[0];
}

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

// Ranges over more than two decades move by ratio, so that a slider reaches small values too.
const SLIDER_STEPS = 1000;
function sliderScale(spec) {
  const {min, max} = spec;
  const low = Math.max(min, spec.increment || (spec.type === 'Integer' ? 1 : max / 1e6));
  if (min >= 0 && max / low > 100) {
    return {
      to: (value) => (value <= low ? 0 : Math.log(value / low) / Math.log(max / low)) * SLIDER_STEPS,
      from: (step) => (step === 0 ? min : low * (max / low) ** (step / SLIDER_STEPS)),
    };
  }
  return {
    to: (value) => (value - min) / (max - min) * SLIDER_STEPS,
    from: (step) => min + (max - min) * step / SLIDER_STEPS,
  };
}

function rounded(spec, value) {
  if (spec.type === 'Integer') {
    const step = spec.increment || 1;
    const base = spec.min ?? 0;
    return Math.min(spec.max ?? Infinity, base + Math.round((value - base) / step) * step);
  }
  return Number(value.toPrecision(4));
}

function buildNumber(feature, id) {
  const {spec} = feature;
  const input = make('input', {type: 'number', id, name: spec.name, step: 'any'});
  if (spec.type === 'Integer') {
    input.step = spec.increment || 1;
  }
  for (const limit of ['min', 'max']) {
    if (spec[limit] !== null) {
      input[limit] = spec[limit];
    }
  }
  input.addEventListener('change', () => apply(feature, input.value));
  feature.input = input;
  const row = make('div', {className: 'row'});
  if (typeof spec.min === 'number' && typeof spec.max === 'number' && spec.max > spec.min) {
    const slider = make('input', {type: 'range', id: `${id}-slider`, min: 0, max: SLIDER_STEPS, step: 1});
    slider.setAttribute('aria-label', `${spec.name}, slider`);
    const scale = sliderScale(spec);
    const chosen = () => rounded(spec, scale.from(Number(slider.value)));
    slider.addEventListener('input', () => { input.value = chosen(); });
    slider.addEventListener('change', () => apply(feature, String(chosen())));
    feature.slider = slider;
    feature.scale = scale;
    row.append(slider);
  } else {
    input.className = 'alone';
  }
  row.append(input);
  return row;
}

function buildControl(feature, id) {
  const {spec} = feature;
  if (spec.type === 'Command') {
    feature.input = make('button', {type: 'button', id, textContent: 'Run'});
    feature.input.addEventListener('click', () => apply(feature, '1'));
  } else if (spec.type === 'Boolean') {
    feature.input = make('input', {type: 'checkbox', id, name: spec.name});
    feature.input.addEventListener('change', () => apply(feature, feature.input.checked ? '1' : '0'));
  } else if (spec.type === 'Enum') {
    feature.input = make('select', {id, name: spec.name},
      ...spec.choices.map((choice) => make('option', {value: choice, textContent: choice})));
    feature.input.addEventListener('change', () => apply(feature, feature.input.value));
  } else if (spec.type === 'Integer' || spec.type === 'Float') {
    return buildNumber(feature, id);
  } else {
    feature.input = make('input', {type: 'text', id, name: spec.name, maxLength: 127});
    feature.input.addEventListener('change', () => apply(feature, feature.input.value));
    return make('div', {className: 'row'}, feature.input);
  }
  return feature.input;
}

function buildFeature(spec) {
  const id = `feature-${spec.name}`;
  const feature = {spec, error: make('p', {className: 'error', id: `${id}-error`, hidden: true})};
  feature.error.setAttribute('role', 'alert');
  const label = make('label', {htmlFor: id, textContent: spec.name});
  if (spec.unit) {
    label.append(' ', make('span', {className: 'unit', textContent: spec.unit === 'us' ? 'µs' : spec.unit}));
  }
  let control;
  if (spec.writable) {
    control = buildControl(feature, id);
    feature.input.setAttribute('aria-describedby', feature.error.id);
  } else {
    feature.output = make('output', {id});
    control = feature.output;
  }
  const isInline = !spec.writable || ['Boolean', 'Command', 'Enum'].includes(spec.type);
  feature.row = make('div', {className: isInline ? 'feature inline' : 'feature', title: spec.help},
    label, control, feature.error);
  return feature;
}

function valueText(spec) {
  return spec.type === 'Boolean' ? (spec.value ? 'yes' : 'no') : String(spec.value);
}

// A control that is in use is left alone: its user's value counts.
function updateFeature(feature, spec) {
  feature.spec = spec;
  if (feature.output) {
    feature.output.textContent = valueText(spec);
    return;
  }
  feature.input.disabled = readOnly;
  if (feature.slider) {
    feature.slider.disabled = readOnly;
  }
  const used = document.activeElement;
  const isUsed = feature.busy || (used === feature.input && feature.input.value !== String(spec.value) &&
    spec.type !== 'Enum' && spec.type !== 'Boolean') || (used === feature.slider && used.matches(':active'));
  if (isUsed || spec.type === 'Command' || feature.refused) {
    return;
  }
  if (spec.type === 'Boolean') {
    feature.input.checked = spec.value;
  } else {
    feature.input.value = String(spec.value);
  }
  if (feature.slider) {
    feature.slider.value = feature.scale.to(Number(spec.value));
    feature.slider.setAttribute('aria-valuetext', `${spec.value} ${spec.unit}`.trim());
  }
}

// What a control is made from; when that changes, the form is made anew.
const shapeOf = (spec) => JSON.stringify([spec.name, spec.type, spec.unit, spec.min, spec.max,
  spec.increment, spec.choices, spec.writable]);

function rebuildFeatures(specs) {
  features = new Map();
  const groups = new Map(GROUPS.map(([name]) => [name, make('fieldset', {}, make('legend', {textContent: name}))]));
  for (const spec of specs) {
    const feature = buildFeature(spec);
    features.set(spec.name, feature);
    groups.get(groupOf(spec.name)).append(feature.row);
  }
  element('features').replaceChildren(...[...groups.values()].filter((group) => group.children.length > 1));
}

let shownShape = '';
function showFeatures(all) {
  const specs = all.filter((spec) => spec.name !== 'TriggerSoftware'); // the big button does it
  const shape = specs.map(shapeOf).join('\n');
  if (shape !== shownShape) {
    rebuildFeatures(specs);
    shownShape = shape;
  }
  element('read-only').hidden = !readOnly;
  element('no-features').hidden = specs.length > 0;
  for (const spec of specs) {
    updateFeature(features.get(spec.name), spec);
  }
}

function sayRefused(feature, text) {
  feature.refused = text !== '';
  feature.error.textContent = text;
  feature.error.hidden = text === '';
  feature.input.setAttribute('aria-invalid', String(feature.refused));
}

// Who moves a value by hand wants it to stay: its automatic is switched off with it.
const AUTOMATICS = {ExposureTime: 'ExposureAuto', Gain: 'GainAuto'};
function withManual(name, value) {
  const automatic = features.get(AUTOMATICS[name]);
  const manual = automatic && automatic.spec.value !== 'Off' ? {[automatic.spec.name]: 'Off'} : {};
  return {...manual, [name]: value};
}

async function apply(feature, value) {
  feature.busy = true;
  feature.row.classList.add('busy');
  feature.row.classList.remove('done');
  sayRefused(feature, '');
  try {
    const answer = await post('features', JSON.stringify(withManual(feature.spec.name, value)));
    const applied = answer.features[feature.spec.name];
    if (applied !== undefined && feature.spec.type !== 'Boolean' && feature.spec.type !== 'Command') {
      feature.input.value = applied;
    }
    feature.row.classList.add('done');
  } catch (error) {
    sayRefused(feature, error.message);
  }
  feature.busy = false;
  feature.row.classList.remove('busy');
  featuresAt = -Infinity; // one feature may have moved others
  poll();
}

// --- start -----------------------------------------------------------------------------------

element('features').addEventListener('submit', (event) => event.preventDefault());
element('link-logout').addEventListener('click', logOut);
element('trigger').addEventListener('click', pressTrigger);
element('picture').addEventListener('error', () => { streamSince = Math.min(streamSince, performance.now() - 1000); });
startStream();
featuresAt = -Infinity;
poll();
setInterval(poll, POLL_MS);
