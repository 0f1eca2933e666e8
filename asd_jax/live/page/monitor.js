"use strict";
// All text that came from outside goes through textContent: a file's name is never markup.

const MELS = 64;
const SECONDS = 60; // of the spectrogram
const PATIENCE = 5000; // ms
const STOPS = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]];
const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const wanted = { drawn: 0, version: -1 };
let about = null;
let columns = []; // Uint8Array of MELS each, oldest first
let points = [];
let trend = []; // hours
let health = { paused: false, why: "", judged: null, age_s: null }; // no sound is coming, and why
let gone = null; // since when the monitor has not answered
let place = 0; // whose sound is shown
let picked = false; // by hand, else the worst
let briefs = []; // what /places says of each
const RANK = ["alarm", "gone", "paused", "unknown", "unusual", "waiting", "normal"]; // worst first
const pictures = []; // of recordings: functions that draw them again

function element(tag, text, css) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (css) made.className = css;
  return made;
}

function number(value) {
  return value === null || value === undefined ? "?" : String(Number(value.toPrecision(4)));
}

function machineName(row) {
  const known = about.groups.findIndex(([type, id]) => type === row.machine_type && id === row.machine_id);
  return known < 0 ? `${row.machine_type} ${row.machine_id}`.trim() : about.machines[known];
}

function figures(row) {
  const machine = machineName(row);
  const few = row.healthy_clips < 20 ? `, of which there are only ${row.healthy_clips}` : "";
  const share = row.percentile === null || row.percentile === undefined ? "" : `, more unusual than ${row.percentile.toFixed(0)} % of the healthy clips${few}`;
  const flags = row.quality ? ` The sound: ${row.quality.replace(/_/g, " ")}.` : "";
  if (row.score === null) return `${machine ? machine + ": " : ""}not scored.${flags}`;
  return `${machine ? machine + ": " : ""}score ${number(row.score)} (threshold ${number(row.threshold)})${share}.${flags}`;
}

// Canvases are drawn in CSS pixels, as sharp as the screen.
function prepare(canvas) {
  const box = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.font = "12px system-ui, sans-serif";
  return [context, box.width, box.height];
}

const PALETTE = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (STOPS.length - 1);
  const low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((v, c) => Math.round(v + (at - low) * (STOPS[low + 1][c] - v)));
});

function contrast(shown) {
  const counts = new Uint32Array(256);
  for (const column of shown) for (const value of column) counts[value] += 1;
  const total = shown.length * MELS;
  const reach = (share) => { let sum = 0; let i = 0; while (i < 255 && (sum += counts[i]) < share * total) i += 1; return i; };
  const low = reach(0.02);
  return [low, Math.max(reach(0.999), low + 12)];
}

// Draws columns at the right edge of a time axis of `slots` columns.
function drawSound(canvas, shown, slots, ticks) {
  const [context, width, height] = prepare(canvas);
  const left = 42, bottom = 20, across = width - left, up = height - bottom;
  context.fillStyle = colour("--ground");
  context.fillRect(left, 0, across, up);
  if (shown.length) {
    const [low, high] = contrast(shown);
    const image = new ImageData(shown.length, MELS);
    shown.forEach((column, x) => {
      for (let mel = 0; mel < MELS; mel += 1) {
        const level = Math.max(0, Math.min(255, Math.round(((column[mel] - low) / (high - low)) * 255)));
        const at = ((MELS - 1 - mel) * shown.length + x) * 4;
        image.data.set(PALETTE[level], at);
        image.data[at + 3] = 255;
      }
    });
    const small = document.createElement("canvas");
    small.width = shown.length;
    small.height = MELS;
    small.getContext("2d").putImageData(image, 0, 0);
    const wide = (across * shown.length) / slots;
    context.drawImage(small, left + across - wide, 0, wide, up);
  }
  context.fillStyle = colour("--soft");
  context.textAlign = "right";
  const rows = about.frequencies;
  let last = Infinity;
  for (const value of [125, 250, 500, 1000, 2000, 4000, 8000, 16000]) {
    const above = rows.findIndex((f) => f >= value);
    if (above <= 0) continue;
    const share = (above - 1 + (value - rows[above - 1]) / (rows[above] - rows[above - 1]) + 0.5) / MELS;
    const y = up * (1 - share);
    if (last - y < 18 || y < 20) continue;
    context.fillText(`${value / 1000}`, left - 5, y + 4);
    last = y;
  }
  context.fillText("kHz", left - 5, 11);
  ticks.forEach(([share, text], i) => {
    context.textAlign = i === ticks.length - 1 ? "right" : i ? "center" : "left";
    context.fillText(text, left + across * share, height - 5);
  });
}

function drawScores() {
  const [context, width, height] = prepare(byId("scores"));
  const left = 46, bottom = 20, top = 8, across = width - left - 6, up = height - bottom - top;
  context.fillStyle = colour("--ground");
  context.fillRect(left, top, width - left, up);
  if (!points.length) return;
  const shown = points.filter((p) => p.score !== null).slice(-Math.max(30, Math.floor(across / 7)));
  if (!shown.length) return;
  const known = shown.flatMap((p) => [p.score, p.threshold]).filter((v) => v !== null);
  let low = Math.min(...known), high = Math.max(...known);
  const room = (high - low || 1) * 0.08;
  low -= room; high += room;
  const x = (i) => left + 6 + ((across - 6) * (i + 0.5)) / Math.max(shown.length, 12);
  const y = (value) => top + up * (1 - (value - low) / (high - low));
  context.fillStyle = colour("--soft");
  context.textAlign = "right";
  const power = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => (high - low) / s <= 4.5);
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
    context.fillText(number(Math.abs(tick) < step / 1e6 ? 0 : tick), left - 6, y(tick) + 4);
  }
  context.strokeStyle = colour("--threshold");
  context.setLineDash([5, 4]);
  context.lineWidth = 1.5;
  context.beginPath();
  shown.forEach((p, i) => {
    if (p.threshold === null) return;
    context.moveTo(i ? x(i - 0.5) : left, y(p.threshold));
    context.lineTo(i === shown.length - 1 ? width : x(i + 0.5), y(p.threshold));
  });
  context.stroke();
  context.setLineDash([]);
  context.strokeStyle = colour("--soft");
  context.globalAlpha = 0.5;
  context.beginPath();
  shown.forEach((p, i) => (i ? context.lineTo(x(i), y(p.score)) : context.moveTo(x(i), y(p.score))));
  context.stroke();
  context.globalAlpha = 1;
  shown.forEach((p, i) => {
    const odd = p.decision === 1;
    context.fillStyle = colour(odd ? "--faulty" : "--healthy");
    context.beginPath();
    if (odd) {
      context.moveTo(x(i), y(p.score) - 6);
      context.lineTo(x(i) + 5.5, y(p.score) + 4.5);
      context.lineTo(x(i) - 5.5, y(p.score) + 4.5);
    } else context.arc(x(i), y(p.score), 3.5, 0, 7);
    context.fill();
  });
  context.fillStyle = colour("--soft");
  const clock = (p) => new Date(p.time).toLocaleTimeString();
  context.textAlign = "left";
  context.fillText(clock(shown[0]), left, height - 5);
  if (shown.length > 5) {
    context.textAlign = "center";
    context.fillText(clock(shown[shown.length - 1]), Math.min(x(shown.length - 1), width - 40), height - 5);
  }
  const over = shown.filter((p) => p.decision === 1).length;
  byId("scores").setAttribute("aria-label",
    `The last ${shown.length} scores, from ${number(Math.min(...shown.map((p) => p.score)))} to ${number(Math.max(...shown.map((p) => p.score)))}; ${over} above the threshold.`);
}

// A row a day, a square an hour; from the ground's colour (as healthy) to the alarm's.
function drawTrend() {
  byId("weeks").hidden = !trend.length;
  if (!trend.length) return;
  const first = Date.parse(trend[0].day), days = Math.round((Date.parse(trend[trend.length - 1].day) - first) / 864e5) + 1;
  const left = 58, bottom = 20, row = 18;
  byId("trend").style.height = `${days * row + bottom}px`;
  const [context, width] = prepare(byId("trend"));
  const cell = (width - left) / 24;
  context.textAlign = "right";
  for (let day = 0; day < days; day += 1) {
    context.fillStyle = colour("--ground");
    context.fillRect(left, day * row, 24 * cell - 1, row - 2);
    context.fillStyle = colour("--soft");
    const date = new Date(first + day * 864e5);
    context.fillText(date.toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" }), left - 6, day * row + 12);
  }
  for (const hour of trend) {
    const x = left + hour.hour * cell, y = Math.round((Date.parse(hour.day) - first) / 864e5) * row;
    context.globalAlpha = 0.15 + 0.85 * Math.max(0, (hour.percentile - 50) / 50);
    context.fillStyle = colour(hour.percentile > 50 ? "--faulty" : "--healthy");
    context.fillRect(x, y, cell - 1, row - 2);
    context.globalAlpha = 1;
    if (!hour.alarms) continue;
    context.fillStyle = colour("--ink");
    context.beginPath();
    context.arc(x + cell / 2, y + row / 2 - 1, 3, 0, 7);
    context.fill();
  }
  context.fillStyle = colour("--soft");
  context.textAlign = "left";
  for (const hour of [0, 6, 12, 18]) context.fillText(`${hour}:00`, left + hour * cell, days * row + 14);
  const worst = trend.reduce((a, b) => (b.percentile > a.percentile ? b : a));
  const alarms = trend.reduce((sum, hour) => sum + hour.alarms, 0);
  byId("trend").setAttribute("aria-label", `${days} ${days === 1 ? "day" : "days"}, ${alarms} ${alarms === 1 ? "alarm" : "alarms"}. ` +
    `The hour that departs most: ${worst.day}, ${worst.hour}:00, above ${worst.percentile.toFixed(0)} % of healthy recordings on average.`);
}

async function lookBack() {
  try {
    const of = place;
    const found = await ask(`trend?place=${of}`);
    if (of === place) { trend = found; drawTrend(); }
  } catch (error) { /* `look` says that the monitor does not answer */ }
  window.clearTimeout(lookBack.next);
  lookBack.next = window.setTimeout(lookBack, 60000);
}

function drawLive() {
  const slots = SECONDS * about.columns_a_second;
  drawSound(byId("spectrogram"), columns, slots, [[0, `${SECONDS} s ago`], [0.5, "30 s"], [1, "now"]]);
  drawScores();
}

function say(id, text) { // only what changed is read aloud
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

// The time of day, with the date where it is not today's; `short` without seconds.
function moment(time, short) {
  const date = new Date(time);
  const clock = date.toLocaleTimeString([], short ? { hour: "2-digit", minute: "2-digit" } : undefined);
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toLocaleDateString()} ${clock}`;
}

// An answer, or an error after so long: a monitor that hangs takes connections and never answers.
const ask = async (path) => (await fetch(path, { signal: AbortSignal.timeout(PATIENCE) })).json();

// How a place is, by its health and its last score: [state, headline, when the last sound was judged].
function judge(health, last) {
  const state = gone ? "gone" : health.paused ? "paused" : !last ? "waiting" : last.alarm ? "alarm" : last.decision !== 0 && last.decision !== 1 ? "unknown" : last.decision === 1 ? "unusual" : "normal";
  const unknown = last && last.score !== null ? "There is no threshold to judge it by" : "No sound to judge: is the microphone alive?";
  const said = { gone: "Not connected", paused: health.judged ? `No sound since ${moment(health.judged * 1000, true)}` : "No sound is coming", waiting: "Waiting for sound", unknown, alarm: "Alarm: this is not how it sounds when healthy", unusual: "Unusual, not yet an alarm", normal: "Sounds normal" }[state];
  const ago = health.age_s >= 60 && !gone ? `, ${Math.round(health.age_s / 60)} min ago` : "";
  return [state, said, health.judged ? `last sound judged ${moment(health.judged * 1000)}${ago}` : ""];
}

// One line a place, worst first. A line that stays is not made again: it may have the focus.
function showPlaces() {
  const list = byId("places").querySelector("ol");
  byId("places").hidden = !briefs.length;
  while (list.children.length < briefs.length) {
    const item = element("li"), button = element("button"), number = list.children.length;
    button.type = "button";
    button.append(element("strong", about.places[number].name, "name"), element("span", "", "said"), element("span", "", "when"));
    button.addEventListener("click", () => { picked = true; choose(number); });
    item.dataset.place = number;
    item.append(button);
    list.append(item);
  }
  const ranks = briefs.map((brief) => RANK.indexOf(judge(brief, brief.last)[0]));
  const order = ranks.map((rank, i) => i).sort((a, b) => ranks[a] - ranks[b] || a - b);
  const items = new Map([...list.children].map((item) => [Number(item.dataset.place), item]));
  for (const [i, item] of items) {
    const button = item.firstChild, texts = judge(briefs[i], briefs[i].last);
    button.className = texts[0];
    button.setAttribute("aria-current", i === place);
    for (const k of [1, 2]) if (button.children[k].textContent !== texts[k]) button.children[k].textContent = texts[k];
  }
  if ([...list.children].some((item, i) => Number(item.dataset.place) !== order[i])) {
    const focus = document.activeElement;
    list.append(...order.map((i) => items.get(i)));
    if (list.contains(focus)) focus.focus();
  }
  if (!picked && briefs.length) choose(order[0]);
  return briefs.length ? RANK[ranks[order[0]]] : "";
}

function choose(number) {
  if (number === place) return;
  place = number;
  columns = []; points = []; trend = [];
  health = briefs[number];
  byId("source").textContent = `Listening to ${about.places[number].source}`;
  wanted.drawn = 0; wanted.version = -1;
  byId("alarms").replaceChildren();
  showNotes([]);
  lookBack();
  showStatus();
}

async function lookAround() {
  try {
    briefs = await ask("places");
    showStatus();
  } catch (error) { /* `look` says that the monitor does not answer */ }
  window.setTimeout(lookAround, document.hidden ? 4000 : 1000);
}

function showStatus() {
  const worst = about && about.places.length ? showPlaces() : ""; // first: it may choose another
  const machines = new Map(); // the last score of each: one that is calm does not hide another
  for (const point of points) machines.set(`${point.machine_type}/${point.machine_id}`, point);
  const last = [...machines.values()].find((p) => p.alarm) || points[points.length - 1];
  const silent = health.paused || gone;
  const [state, said, judged] = judge(health, last);
  byId("status").className = `card ${state}`;
  byId("status").hidden = !gone && !(about && about.source);
  byId("which").hidden = !worst;
  say("which", worst ? about.places[place].name : "");
  say("verdict", said);
  say("judged", judged);
  const why = gone ? `The monitor has not answered since ${moment(gone)}. ` : health.paused ? `${health.why} ` : "";
  const before = silent && last ? `Before that${last.alarm ? ", the alarm was on" : ""}: ` : "";
  say("detail", why + before + (last ? `${figures(last)} ${last.decision === 1 ? last.why || "" : ""}` : about ? `A score comes after the first ${number(about.clip_s)} s of sound.` : ""));
  byId("drift").hidden = !(health.drift || []).length;
  say("drift", (health.drift || []).join(" "));
  document.title = { alarm: "ALARM – ", paused: "NO SOUND – ", gone: "NOT CONNECTED – " }[worst || state] || "";
  document.title += "Machine monitor";
}

function showAlarms(alarms) {
  const list = byId("alarms");
  byId("quiet").hidden = alarms.length > 0;
  const shown = new Map([...list.children].map((item) => [item.dataset.id, item]));
  // Items that stay are not made again: one of them may be playing.
  for (const [id, item] of shown) if (!alarms.some((a) => String(a.id) === id)) item.remove();
  for (const alarm of alarms.slice().reverse()) {
    if (shown.has(String(alarm.id))) { showAnswer(shown.get(String(alarm.id)), alarm); continue; }
    const item = element("li");
    item.dataset.id = alarm.id;
    const when = new Date(alarm.time).toLocaleString();
    const first = element("p");
    first.append(element("span", "Alarm", "tag bad"), element("span", when, "name"));
    const sound = element("audio");
    sound.controls = true;
    sound.preload = "none";
    sound.src = `alarms/${alarm.id}.wav`;
    sound.setAttribute("aria-label", `Sound of the alarm of ${when}`);
    item.append(first, element("p", figures(alarm)), element("p", alarm.why || ""), sound, answerTo(alarm));
    showAnswer(item, alarm);
    list.prepend(item);
  }
}

function answerTo(alarm) {
  const row = element("p", undefined, "answer"), button = element("button"), said = element("span");
  button.type = "button";
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    const fine = button.dataset.fine === "true";
    try {
      const answer = await (await fetch(`alarms/${alarm.id}/${fine ? "undo" : "fine"}`, { method: "POST" })).json();
      said.textContent = answer.said || answer.error;
    } catch (error) {
      said.textContent = "The monitor does not answer.";
    }
  });
  row.append(button, said);
  return row;
}

function showAnswer(item, alarm) {
  const button = item.querySelector("button");
  button.dataset.fine = alarm.fine;
  button.textContent = alarm.fine ? "Undo" : "This was fine";
  const tag = item.querySelector(".tag");
  tag.textContent = alarm.fine ? "It was fine" : "Alarm";
  tag.className = `tag ${alarm.fine ? "good" : "bad"}`;
}

async function look() {
  let wait = 500;
  try {
    const of = place;
    const state = await ask(`state?place=${of}&drawn=${wanted.drawn}&version=${wanted.version}`);
    if (of !== place) { look(); return; }
    const bytes = Uint8Array.from(atob(state.columns), (c) => c.charCodeAt(0));
    if (state.drawn < wanted.drawn) columns = []; // the monitor was started anew
    for (let i = 0; i < bytes.length; i += MELS) columns.push(bytes.subarray(i, i + MELS));
    columns = columns.slice(-SECONDS * about.columns_a_second);
    const changed = state.version !== wanted.version || bytes.length;
    wanted.drawn = state.drawn;
    wanted.version = state.version;
    if (state.points) {
      points = state.points;
      showAlarms(state.alarms);
      showNotes(state.notes);
    }
    gone = null;
    health = state;
    showStatus();
    if (changed && about.source) drawLive();
  } catch (error) {
    gone = gone || Date.now();
    showStatus();
    showNotes([{ time: Date.now(), text: "The monitor does not answer; what is shown may be old. Trying again." }]);
    wanted.version = -1;
    wait = 3000;
  }
  window.setTimeout(look, document.hidden ? 2000 : wait);
}

function showNotes(notes) {
  byId("notes").hidden = !notes.length;
  byId("notes").replaceChildren(...notes.map((note) => element("li", `${new Date(note.time).toLocaleTimeString()}  ${note.text}`)));
}

async function send(file) {
  say("upload", `Scoring ${file.name} …`);
  if (file.size > about.limit) {
    say("upload", `${file.name} is too large: ${number(about.limit / 2 ** 20)} MB is the most.`);
    return;
  }
  let answer;
  try {
    const response = await fetch(`score?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    answer = await response.json();
  } catch (error) {
    answer = { error: `${file.name} could not be sent: the monitor does not answer.` };
  }
  if (answer.error) {
    say("upload", answer.error);
    return;
  }
  const odd = answer.anomalous;
  const all = answer.judged;
  const more = answer.left_out ? ` Its ${answer.clips.length} most unusual clips are kept here.` : "";
  say("upload", `${file.name}: ${odd} of ${all} ${all === 1 ? "clip" : "clips"} anomalous.${more}`);
  const item = element("li");
  const first = element("p");
  const known = answer.clips.some((clip) => clip.decision !== -1);
  const worst = answer.clips.reduce((a, b) => (a.score === null || (b.score !== null && b.score > a.score) ? b : a));
  first.append(element("span", !known ? (worst.score === null ? "Not scored" : "No threshold") : odd ? "Anomalous" : "Normal", `tag ${!known ? "" : odd ? "bad" : "good"}`), element("span", file.name, "name"));
  item.append(first);
  item.append(element("p", figures(worst)), element("p", worst.why || ""));
  const canvas = element("canvas", undefined, "picture");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Spectrogram of ${file.name}`);
  const sound = element("audio");
  sound.controls = true;
  sound.src = URL.createObjectURL(file);
  sound.setAttribute("aria-label", `Sound of ${file.name}`);
  item.append(canvas, sound);
  byId("results").prepend(item);
  const end = worst.from_s + about.clip_s;
  pictures.push(() => drawSound(canvas, worst.columns, worst.columns.length, [[0, `${number(worst.from_s)} s`], [1, `${number(end)} s`]]));
  pictures[pictures.length - 1]();
}

async function sendAll(files) {
  for (const file of files) await send(file);
}

function acceptFiles() {
  const input = byId("file"), drop = byId("drop");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { sendAll([...input.files]); input.value = ""; });
  for (const kind of ["dragover", "dragenter"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would leave the page for the file
    drop.classList.remove("over");
    sendAll([...event.dataTransfer.files]);
  });
}

async function start() {
  try {
    about = await ask("about");
  } catch (error) {
    gone = gone || Date.now();
    showStatus();
    window.setTimeout(start, 3000);
    return;
  }
  byId("title").textContent = `Machine monitor: ${about.machine || about.machines.join(", ")}`;
  byId("source").textContent = about.source ? `Listening to ${about.places.length ? about.places[0].source : about.source}` : "Listening to nothing: drop recordings below";
  byId("live").hidden = !about.source;
  acceptFiles();
  const again = () => { if (about.source) { drawLive(); drawTrend(); } for (const draw of pictures) draw(); };
  window.addEventListener("resize", again);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  if (about.source) { drawLive(); lookBack(); }
  if (about.places.length) lookAround();
  look();
}

start();
