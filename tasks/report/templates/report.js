"use strict";
// Theme: what the system says, unless the reader chose.
const root = document.documentElement;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
function paint() { root.dataset.theme = chosen ?? (dark.matches ? "dark" : "light"); }
dark.addEventListener("change", paint);
paint();
document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => { chosen = root.dataset.theme === "dark" ? "light" : "dark"; paint(); });
  document.querySelectorAll(".clip").forEach(player);
  showTimings();
});

const PLAY = '<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M1 0l9 5-9 5z"/></svg>';
const PAUSE = '<svg viewBox="0 0 10 10" aria-hidden="true"><path d="M1 0h3v10H1zM6 0h3v10H6z"/></svg>';
let current = null;

// A clip's own controls: a button, a slider, and the cursor that moves over the picture.
function player(clip) {
  const audio = clip.querySelector("audio");
  if (!audio) return;
  const seconds = Number(clip.dataset.seconds), name = clip.dataset.name;
  const [picture, cursor] = [clip.querySelector(".picture"), clip.querySelector(".cursor")];
  const button = document.createElement("button"), slider = document.createElement("input");
  const output = document.createElement("output");
  button.type = "button";
  Object.assign(slider, { type: "range", min: 0, max: seconds, step: 0.05, value: 0 });
  slider.setAttribute("aria-label", "Position in " + name);
  audio.controls = false;
  audio.after(button, slider, output);

  const show = () => {
    const at = Math.min(audio.currentTime, seconds);
    cursor.style.left = `calc(${100 * at / seconds}% - 1px)`;
    slider.value = at;
    slider.setAttribute("aria-valuetext", at.toFixed(1) + " of " + seconds.toFixed(1) + " seconds");
    output.textContent = at.toFixed(1) + " s";
  };
  const label = () => {
    button.innerHTML = audio.paused ? PLAY : PAUSE;
    button.setAttribute("aria-label", (audio.paused ? "Play " : "Pause ") + name);
    clip.classList.toggle("playing", !audio.paused);
  };
  const follow = () => { show(); if (!audio.paused) requestAnimationFrame(follow); };
  const seek = (value) => { audio.currentTime = value; clip.classList.add("moved"); show(); };

  button.addEventListener("click", () => { if (audio.paused) audio.play(); else audio.pause(); });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    seek(seconds * (event.clientX - box.left) / box.width);
    audio.play();
  });
  audio.addEventListener("play", () => {
    if (current && current !== audio) current.pause();
    current = audio;
    clip.classList.add("moved");
    label();
    follow();
  });
  for (const event of ["pause", "ended"]) audio.addEventListener(event, () => { label(); show(); });
  label();
  show();
}

// Seconds, machine and versions differ from run to run, so they are no part of the page: timings.js brings them.
function showTimings() {
  const place = document.getElementById("timings");
  if (!window.timings) return;
  const cells = (values) => values.map((value, index) => {
    const cell = document.createElement(index ? "td" : "th");
    if (!index) cell.scope = "row";
    cell.textContent = value;
    return cell;
  });
  const table = (title, rows) => {
    const [part, heading, box, body] = ["div", "h3", "div", "table"].map((name) => document.createElement(name));
    heading.textContent = title;
    [box.className, body.className] = ["scroll", "narrow"];
    rows.forEach((values) => body.insertRow().append(...cells(values)));
    box.append(body);
    part.append(heading, box);
    place.append(part);
  };
  const pairs = (values) => Object.entries(values ?? {}).map(([name, value]) => [name, String(value)]);
  place.replaceChildren();
  const apiece = (seconds, counts) =>  // clips from the cache cost nothing, so the mean would mislead
    counts.clips && !counts["from cache"] ? [(seconds / counts.clips).toFixed(2) + "\u00a0s a clip"] : [];
  const rest = ({ seconds, ...counts }) => [
    ...Object.entries(counts).filter(([name, n]) => n && !(name === "done" && n === 1)).map(([name, n]) => n + " " + name),
    ...apiece(seconds, counts),
  ].join(", ");
  const time = (value) => value < 90 ? value.toFixed(1) + "\u00a0s" : (value / 60).toFixed(1) + "\u00a0min";
  const order = place.dataset.stages.split(" ");
  const stages = Object.entries(window.timings.stages ?? {});
  const rank = ([name]) => order.indexOf(name.split("@")[0].split("_")[0]);
  stages.sort((a, b) => rank(a) - rank(b) || (a[0] < b[0] ? -1 : 1));
  const all = stages.reduce((sum, [name, row]) => sum + row.seconds, 0);
  const rows = stages.map(([name, row]) => [name, time(row.seconds), rest(row)]);
  table("Time per stage (last run of each)", [...rows, ["all", time(all), ""]]);
  table("Machine", pairs(window.timings.machine));
  table("Versions", pairs(window.timings.versions));
  const trained = stages.filter(([name]) => name.startsWith("train@"));
  const spent = trained.map(([name, row]) => name.slice(6) + " " + time(row.seconds)).join(", ");
  const processors = window.timings.machine?.processors ?? "?";
  if (spent) document.getElementById("hours").textContent = `Time on ${processors} processors: ${spent}; all stages ${time(all)}.`;
}
