"use strict";
const plan = JSON.parse(document.getElementById("plan").textContent);
const COLUMNS = ["test", "listener", "order", "kind", "emotion", "clip", "other", "scale", "answer", "seconds"];
const SCALES = ["valence", "arousal", "quality"];
const KEY = "emoriff-listening-" + plan.test;
const at = (id) => document.getElementById(id);
const keep = () => { try { localStorage.setItem(KEY, JSON.stringify(state)); } catch { at("storage").hidden = false; } };
const kept = () => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } };
let state = null, heard = new Set(), since = 0, sound = null;

// Every listener has an order and sides of their own, drawn from a number that is kept, so a reload goes on.
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}
function shuffled(items, draw) {
  const list = items.slice();
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(draw() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
  return list;
}
function trials(seed) {
  const draw = random(seed), flip = draw() < 0.5;
  const pairs = shuffled(plan.pairs, draw).map(({ emotion, left, right }) =>
    flip ? { kind: "pair", emotion, left: right, right: left } : { kind: "pair", emotion, left, right });
  const ratings = shuffled(plan.ratings, draw).map(({ clip }) => ({ kind: "rating", clip }));
  return [...pairs, ...ratings];
}

function begin(listener) {
  state = { listener, seed: crypto.getRandomValues(new Uint32Array(1))[0], next: 0, rows: [] };
  keep();
  ask();
}
function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  at(id).querySelector("h1")?.focus();
}
function ask() {
  stop();
  const list = trials(state.seed), trial = list[state.next];
  at("done").max = list.length;
  at("done").value = state.next;
  at("bar").hidden = false;
  at("count").textContent = `${Math.min(state.next + 1, list.length)} of ${list.length}`;
  if (!trial) { show("end"); return; }
  heard = new Set();
  since = performance.now();
  if (trial.kind === "pair") {
    at("emotion").textContent = trial.emotion;
    show("pair");
  } else {
    for (const input of document.querySelectorAll("#rating input")) input.checked = false;
    show("rating");
  }
  ready();
}
function current() { return trials(state.seed)[state.next]; }
function ready() {
  const trial = current();
  const all = trial.kind === "pair" ? heard.has(trial.left) && heard.has(trial.right) : heard.has(trial.clip);
  for (const button of document.querySelectorAll("[data-choose]")) button.disabled = !all;
  const rated = SCALES.every((scale) => document.querySelector(`#rating input[name=${scale}]:checked`));
  at("next").disabled = !(all && rated);
}
function stop() {
  sound?.pause();
  sound = null;
  for (const button of document.querySelectorAll("[data-play]")) button.classList.remove("playing");
}
// A clip counts as heard after two seconds of it, or at its end.
function play(side) {
  const clip = current()[side], button = document.querySelector(`section:not([hidden]) [data-play=${side}]`);
  const again = sound && button.classList.contains("playing");
  stop();
  if (again) return;
  const own = new Audio("media/" + clip + plan.suffix);
  sound = own;
  button.classList.add("playing");
  const listened = () => { heard.add(clip); if (sound === own) ready(); };
  own.addEventListener("timeupdate", () => { if (own.currentTime >= 2) listened(); });
  own.addEventListener("ended", () => { listened(); if (sound === own) stop(); });
  own.addEventListener("error", () => { at("broken").hidden = false; });
  own.play();
}
function record(kind, emotion, clip, other, scale, answer) {
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  state.rows.push([plan.test, state.listener, state.next, kind, emotion, clip, other, scale, answer, seconds]);
}
function choose(side) {
  const { emotion, left, right } = current();
  record("pair", emotion, left, right, "", side === "left" ? left : right);
  state.next += 1;
  keep();
  ask();
}
function rate() {
  const { clip } = current();
  for (const scale of SCALES) {
    record("rating", "", clip, "", scale, document.querySelector(`#rating input[name=${scale}]:checked`).value);
  }
  state.next += 1;
  keep();
  ask();
}
function csv() {
  // A spreadsheet runs a cell that begins like a formula; a quote in front makes it text.
  const safe = (value) => (/^[=+\-@\t\r]/.test(String(value)) ? "'" : "") + String(value);
  const cell = (value) => /[",\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value;
  return [COLUMNS, ...state.rows].map((row) => row.map(safe).map(cell).join(",")).join("\r\n") + "\r\n";
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `answers-${state.listener.replace(/[^A-Za-z0-9_-]+/g, "-")}-${plan.test}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

at("start").addEventListener("submit", (event) => { event.preventDefault(); begin(at("listener").value.trim()); });
for (const button of document.querySelectorAll("[data-play]")) button.addEventListener("click", () => play(button.dataset.play));
for (const button of document.querySelectorAll("[data-choose]")) button.addEventListener("click", () => choose(button.dataset.choose));
at("rating").addEventListener("change", ready);
at("next").addEventListener("click", rate);
for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", save);

// Keys: 1 and 2 play, arrows choose; while rating, space plays, digits set the scale in turn, Enter goes on.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input[type=text]")) return;
  if (!at("pair").hidden) {
    if (event.key === "1" || event.key === "2") play(event.key === "1" ? "left" : "right");
    const side = { ArrowLeft: "left", ArrowRight: "right" }[event.key];
    if (side && !document.querySelector(`[data-choose=${side}]`).disabled) { event.preventDefault(); choose(side); }
  } else if (!at("rating").hidden) {
    if (event.key === " " && !event.target.matches("button, input")) { event.preventDefault(); play("clip"); }
    if (event.key === "Enter" && !event.target.matches("button") && !at("next").disabled) rate();
    if (/^[1-9]$/.test(event.key)) digit(event.key);
  }
});
function digit(value) {
  const inside = document.activeElement?.name;
  const open = SCALES.find((scale) => !document.querySelector(`#rating input[name=${scale}]:checked`));
  const scale = SCALES.includes(inside) ? inside : open ?? SCALES[SCALES.length - 1];
  const input = document.querySelector(`#rating input[name=${scale}][value="${value}"]`);
  input.checked = true;
  ready();
}

state = kept();
if (state) ask(); else show("welcome");
