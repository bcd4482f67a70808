/** The welcome page: the printer as it is now. What comes from the printer is only ever shown as text. */

import { Link } from "./link.js";
import { Plot } from "./plot.js";

const LINES = 300; // kept in the console
const COLORS = 8;
const NOT_READY = [2000, 30000]; // ms after which Klipper is looked at again; not every way it goes is told
const MOODS = { ready: "good", printing: "good", complete: "good", standby: "good", startup: "wait", paused: "wait", cancelled: "wait" };
const WORDS = {
  ready: "Ready", standby: "Ready", printing: "Printing", paused: "Paused", complete: "Print complete",
  cancelled: "Print cancelled", error: "Error", startup: "Klipper is starting", shutdown: "Klipper is shut down",
  disconnected: "Klipper is not connected",
};

const view = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const plot = new Plot(view.plot);
const typed = { entries: [], at: 0 };

let tokens = null; // of a login; in memory only
let load = 0; // counts what was begun, so that what comes too late is left
let klippy = null;
let status = {};
let sensors = []; // {name, color, temperatures, targets, row}
let seconds = 1200;
let ticking, looking, isDrawing;
let patience = NOT_READY[0];

const link = new Link(new URL("websocket", location.href.replace(/^http/, "ws").replace(/[?#].*/, "")), {
  opened: () => identify().catch(complain),
  lost: showLost,
  told: hear,
});

// --- who we are

async function identify() {
  try {
    await introduce();
  } catch (failure) {
    if (failure.code === 0) return;
    if (!(await refresh())) return askForLogin(failure);
  }
  view.login.hidden = true;
  view.main.hidden = false;
  link.isGood();
  await begin();
}

function introduce() {
  const us = { client_name: "txraker welcome page", version: "1", type: "web", url: location.origin };
  return link.call("server.connection.identify", tokens ? { ...us, access_token: tokens.token } : us);
}

/** Try to go on with a login whose token has run out, or else without. */
async function refresh() {
  if (!tokens) return false;
  try {
    tokens = { ...tokens, ...(await link.call("access.refresh_jwt", { refresh_token: tokens.refresh_token })) };
  } catch (failure) {
    if (failure.code === 0) throw failure;
    tokens = null;
  }
  return introduce().then(() => true, () => false);
}

async function askForLogin(failure) {
  const { login_required: isRequired, trusted } = await link.call("access.info");
  if (trusted && !isRequired) return say(failure.message, "bad");
  link.letGo();
  stop();
  view.main.hidden = true;
  view.notices.hidden = true;
  view["login-reason"].textContent = isRequired
    ? "This printer is only for users who have logged in."
    : "This printer doesn't trust your address: log in, or add it to trusted_clients in its configuration.";
  say("Log in, please", "wait");
  view.login.hidden = false;
  view.username.focus();
}

view["login-form"].addEventListener("submit", async (event) => {
  event.preventDefault();
  view["login-problem"].textContent = "";
  const { username, password } = view;
  try {
    const shown = JSON.stringify({ username: username.value, password: password.value });
    const headers = { "Content-Type": "application/json" };
    const answer = await (await fetch("access/login", { method: "POST", headers, body: shown })).json();
    if (answer.error) throw new Error(answer.error.message);
    tokens = answer.result;
    password.value = "";
    const isThere = link.isOpen;
    link.open();
    if (isThere) await identify();
  } catch (failure) {
    view["login-problem"].textContent = failure.message;
  }
});

// --- what is there

/** Learn everything anew, and follow what changes. */
async function begin() {
  const turn = ++load;
  clearTimeout(looking);
  const info = await link.call("server.info");
  if (turn !== load) return;
  klippy = info.klippy_connected ? info.klippy_state : "disconnected";
  status = {};
  showNotices(info);
  const wanted = [showConsole(turn), klippy === "disconnected" ? showPrinter({}) : follow(turn)];
  for (const { reason } of await Promise.allSettled(wanted)) if (reason) complain(reason);
  if (turn !== load) return;
  const isTold = klippy === "ready" || klippy === "shutdown";
  patience = isTold ? NOT_READY[0] : Math.min(patience * 2, NOT_READY[1]);
  if (!isTold && !document.hidden) looking = setTimeout(() => begin().catch(complain), patience);
  render();
}

async function showConsole(turn) {
  const { gcode_store: entries } = await link.call("server.gcode_store", { count: LINES });
  if (turn !== load) return;
  view.lines.replaceChildren();
  for (const { type, message } of entries) write(message, type === "command" && "sent");
}

async function follow(turn) {
  const info = await link.call("printer.info");
  showPrinter(info);
  if (klippy === "startup" || klippy === "error") return;
  const { heaters = {} } = (await link.call("printer.objects.query", { objects: { heaters: null } })).status;
  const names = [...new Set([...(heaters.available_sensors ?? []), ...(heaters.available_monitors ?? [])])];
  const histories = await link.call("server.temperature_store", { include_monitors: true });
  if (turn !== load) return;
  showSensors(names, histories);
  if (document.hidden) return;
  const objects = { webhooks: null, print_stats: null, virtual_sdcard: ["progress"], display_status: ["message"] };
  for (const name of names) objects[name] = ["temperature", "target"];
  const { status: first } = await link.call("printer.objects.subscribe", { objects });
  if (turn !== load) return;
  merge(first);
  clearInterval(ticking);
  ticking = setInterval(sample, 1000);
}

/** Follow nothing any more. */
function stop() {
  load++;
  clearInterval(ticking);
  clearTimeout(looking);
}

function hear(method, params) {
  if (method === "notify_status_update") merge(params[0]);
  else if (method === "notify_gcode_response") write(params[0]);
  else if (method.startsWith("notify_klippy_")) {
    patience = NOT_READY[0] / 2;
    begin().catch(complain);
  }
}

function merge(changed) {
  for (const [name, fields] of Object.entries(changed)) status[name] = { ...status[name], ...fields };
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(render);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    if (link.isOpen) begin().catch(complain);
    else if (link.isWanted) link.open();
    return;
  }
  stop();
  if (link.isOpen && view.login.hidden) link.call("printer.objects.subscribe", { objects: {} }).catch(() => {});
});
addEventListener("online", () => link.isWanted && link.open());

// --- how it is shown

function say(text, mood) {
  if (view.state.textContent !== text) view.state.textContent = text;
  view.state.dataset.mood = mood;
}

function showLost(wait) {
  stop();
  for (const button of [view.stop, view.send, view.command]) button.disabled = true;
  view.recovery.hidden = true;
  if (wait !== null) say(`No connection; trying again in ${Math.ceil(wait / 1000)} s`, "bad");
}

function complain(failure) {
  if (failure.code !== 0) write(`!! ${failure.message}`);
}

function showNotices({ warnings, failed_components: failed, server_version: version }) {
  const texts = [...warnings, ...failed.map((name) => `The component ${name} doesn't work; the log says why.`)];
  view["notice-list"].replaceChildren(...texts.map((text) => element("li", text)));
  view.notices.hidden = texts.length === 0;
  view.version.textContent = `txraker ${version}`;
}

function showPrinter({ hostname, state_message: message }) {
  if (hostname) view.host.textContent = hostname;
  view.message.textContent = klippy === "ready" ? "" : (message ?? "");
}

function showSensors(names, histories) {
  seconds = Math.max(600, ...Object.values(histories).map(({ temperatures }) => temperatures?.length ?? 0));
  sensors = names.map((name, index) => {
    const { temperatures = [], targets } = histories[name] ?? {};
    const title = element("th", "");
    title.scope = "row";
    const swatch = element("span", "");
    swatch.className = `swatch c${index % COLORS}`;
    title.append(swatch, readable(name));
    const row = element("tr", "");
    row.append(title, element("td", ""), element("td", ""));
    return { name, color: `--c${index % COLORS}`, temperatures, targets, row };
  });
  view.sensors.replaceChildren(...sensors.map(({ row }) => row));
  plot.show(sensors, seconds);
}

/** Remember the temperatures of now, and draw. */
function sample() {
  for (const { name, temperatures, targets } of sensors) {
    push(temperatures, status[name]?.temperature ?? null);
    if (targets) push(targets, status[name]?.target ?? 0);
  }
  plot.show(sensors, seconds);
}

function push(values, value) {
  values.push(value);
  if (values.length > seconds) values.shift();
}

function render() {
  isDrawing = false;
  if (!link.isOpen || !view.login.hidden) return;
  const { webhooks, print_stats: job = {} } = status;
  const state = webhooks?.state ?? klippy;
  const shown = state === "ready" ? (job.state ?? state) : state;
  say(WORDS[shown] ?? shown, MOODS[shown] ?? "bad");
  if (webhooks) view.message.textContent = state === "ready" ? (status.display_status?.message ?? "") : webhooks.state_message;
  view.stop.disabled = klippy === "disconnected" || state === "shutdown";
  view.send.disabled = view.command.disabled = klippy === "disconnected";
  view.recovery.hidden = !["shutdown", "error"].includes(state);
  showJob(job, status.virtual_sdcard?.progress ?? 0);
  for (const { name, row } of sensors) {
    const { temperature, target } = status[name] ?? {};
    row.cells[1].textContent = degrees(temperature, 1);
    row.cells[2].textContent = target > 0 ? degrees(target, 0) : target === 0 ? "off" : "";
  }
}

function showJob({ filename, state, print_duration: elapsed = 0 }, progress) {
  view.job.hidden = !filename || state === "standby";
  const percent = Math.round((state === "complete" ? 1 : progress) * 100);
  document.title = state === "printing" ? `${percent}% ${view.host.textContent}` : view.host.textContent;
  if (view.job.hidden) {
    if (!view.message.textContent) view.message.textContent = "Nothing is being printed.";
    return;
  }
  view.file.textContent = filename;
  view.progress.value = percent;
  view.percent.textContent = `${percent} %`;
  view.elapsed.textContent = duration(elapsed);
  const isUnderWay = state === "printing" || state === "paused";
  view.left.textContent = isUnderWay && progress > 0.01 ? duration(elapsed / progress - elapsed) : "–";
}

function element(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}

function readable(name) {
  return name.replace(/^(heater_generic|temperature_sensor|temperature_fan|heater_fan) /, "").replaceAll("_", " ");
}

function degrees(value, digits) {
  return typeof value === "number" ? `${value.toFixed(digits)} °C` : "–";
}

function duration(length) {
  if (length < 60) return `${Math.round(length)} s`;
  const minutes = Math.floor(length / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// --- the console and the buttons

function write(text, kind) {
  const { lines } = view;
  const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  const line = element("div", text);
  line.className = kind || (text.startsWith("!!") ? "bad" : text.startsWith("//") ? "aside" : "");
  lines.append(line);
  while (lines.childElementCount > LINES) lines.firstChild.remove();
  if (isAtEnd) lines.scrollTop = lines.scrollHeight;
}

/** Show why a command failed, unless Klipper has said so itself on the console. */
function explain({ message }) {
  const said = [...view.lines.children].slice(-5).some(({ textContent }) => textContent.includes(message.split("\n")[0]));
  if (!said) write(`!! ${message}`);
}

view["command-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  const script = view.command.value.trim();
  if (!script) return;
  write(script, "sent");
  typed.entries = [...typed.entries.filter((entry) => entry !== script), script].slice(-50);
  typed.at = typed.entries.length;
  view.command.value = "";
  view.lines.scrollTop = view.lines.scrollHeight;
  link.call("printer.gcode.script", { script }).catch(explain);
});

view.command.addEventListener("keydown", (event) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  typed.at = Math.min(Math.max(typed.at + step, 0), typed.entries.length);
  view.command.value = typed.entries[typed.at] ?? "";
});

view.stop.addEventListener("click", () => view.confirm.showModal());
view["confirm-no"].addEventListener("click", () => view.confirm.close());
view["confirm-yes"].addEventListener("click", () => {
  view.confirm.close();
  link.call("printer.emergency_stop").catch(explain);
});
view["firmware-restart"].addEventListener("click", () => link.call("printer.firmware_restart").catch(explain));
view["klipper-restart"].addEventListener("click", () => link.call("printer.restart").catch(explain));

link.open();
