/**
 * The first page: key figures, the flow of phases, the last orders, the tasks. `showOverview` is called
 * with each overview that arrives; nothing here talks to the network.
 */
import { byId, h, keyed, pill, setAttribute, setText } from './dom.js';
import {
  ago,
  clockTime,
  count,
  dateTime,
  isEnded,
  mainPhases,
  money,
  rate,
  sidePhases,
  span,
  toneOf,
  words,
} from './format.js';

/** Samples kept for the two curves: at one a second, two minutes. */
const SAMPLES_MAX = 120;
const history = { orders: [], events: [] };

let chosenPhase;
let latest;
/** While somebody points at the list or moves in it, rows must not jump away. */
let heldList;

export function showOverview(overview) {
  latest = overview;
  showHeader(overview);
  showFigures(overview);
  showFlow(overview);
  showRecent();
  showTasks(overview.tasks ?? []);
}

function showHeader(overview) {
  const state = byId('state');
  setText(
    state,
    words(overview.state) + (overview.state === 'RUNNING' && !overview.ready ? ', not ready' : ''),
  );
  setAttribute(
    state,
    'data-tone',
    overview.state === 'RUNNING' && !overview.ready ? 'warn' : toneOf(overview.state),
  );
  setText(byId('broker'), overview.broker);
  setText(byId('uptime'), span((overview.asOf - overview.startedAt) / 1000));
  const asOf = byId('as-of');
  setText(asOf, clockTime(overview.asOf));
  setAttribute(asOf, 'datetime', new Date(overview.asOf).toISOString());
  setAttribute(asOf, 'title', dateTime(overview.asOf));
}

function showFigures({ orders, rates }) {
  const phases = Object.entries(orders.byPhase);
  const sum = (test) => phases.filter(([phase]) => test(phase)).reduce((total, [, n]) => total + n, 0);
  const open = sum((phase) => !isEnded(phase));
  const arrived = sum((phase) => phase === 'DELIVERED' || phase === 'CLOSED');
  setText(byId('orders-total'), count(orders.total));
  setText(
    byId('orders-note'),
    orders.total === 0 ? 'none yet' : `${percent(arrived, orders.total)} delivered`,
  );
  setText(byId('orders-open'), count(open));
  setText(byId('open-note'), orders.total === 0 ? 'none yet' : `${percent(open, orders.total)} of all`);
  setText(byId('orders-rate'), rate(rates.ordersPerMinute));
  setText(byId('events-rate'), rate(rates.eventsPerSecond));
  drawSpark(byId('orders-spark'), history.orders, rates.ordersPerMinute);
  drawSpark(byId('events-spark'), history.events, rates.eventsPerSecond);
  byId('flow').dataset.moving = String(rates.eventsPerSecond > 0);
}

function percent(part, total) {
  if (total === 0) return '0 %';
  const share = (100 * part) / total;
  return `${share > 0 && share < 1 ? '<1' : Math.round(share)} %`;
}

function drawSpark(svg, samples, value) {
  samples.push(value);
  if (samples.length > SAMPLES_MAX) samples.shift();
  const top = Math.max(...samples, 1e-9);
  const left = SAMPLES_MAX - samples.length;
  const points = samples.map((sample, i) => `${left + i} ${(26 - (24 * sample) / top).toFixed(1)}`);
  if (points.length === 1) points.push(points[0]);
  const line = `M${points.join('L')}`;
  if (svg.childElementCount === 0) {
    for (const name of ['area', 'line']) {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      path.setAttribute('class', name);
      svg.append(path);
    }
  }
  svg.firstChild.setAttribute('d', `${line}V28H${left}Z`);
  svg.lastChild.setAttribute('d', line);
}

function showFlow({ orders }) {
  const known = new Set([...mainPhases, ...sidePhases].map((entry) => entry.phase));
  const others = Object.keys(orders.byPhase)
    .filter((phase) => !known.has(phase))
    .sort()
    .map((phase) => ({ phase, says: 'another phase', tone: toneOf(phase) }));
  // Delivered orders pile up; measured against them the phases in between would all look empty.
  const fullest = Math.max(1, ...mainPhases.slice(0, -1).map(({ phase }) => orders.byPhase[phase] ?? 0));
  const levelOf = (phase, n) => (phase === 'DELIVERED' ? n / Math.max(1, orders.total) : n / fullest);
  keyed(
    byId('flow'),
    mainPhases,
    (entry) => entry.phase,
    (entry) => h('li', {}, phaseButton('station', entry)),
    (item, entry) => {
      const n = orders.byPhase[entry.phase] ?? 0;
      const button = item.firstElementChild;
      updatePhaseButton(button, entry, n);
      button.style.setProperty(
        '--level',
        n === 0 ? '0' : Math.max(0.04, Math.sqrt(levelOf(entry.phase, n))).toFixed(3),
      );
    },
  );
  keyed(
    byId('exits'),
    [...sidePhases, ...others],
    (entry) => entry.phase,
    (entry) => h('li', {}, phaseButton('exit', entry)),
    (item, entry) => {
      const button = item.firstElementChild;
      setAttribute(button, 'data-tone', entry.tone);
      updatePhaseButton(button, entry, orders.byPhase[entry.phase] ?? 0);
    },
  );
}

function phaseButton(kind, entry) {
  return h(
    'button',
    { type: 'button', class: kind, 'data-phase': entry.phase, onclick: () => choosePhase(entry.phase) },
    h('span', { class: 'name' }, entry.phase),
    h('span', { class: 'n' }, '0'),
    h('span', { class: 'says' }, entry.says),
  );
}

function updatePhaseButton(button, entry, n) {
  setText(button.querySelector('.n'), count(n));
  setAttribute(button, 'data-empty', n === 0 ? '' : undefined);
  setAttribute(button, 'aria-pressed', String(chosenPhase === entry.phase));
}

function choosePhase(phase) {
  chosenPhase = chosenPhase === phase ? undefined : phase;
  if (latest === undefined) return;
  heldList = undefined;
  showFlow(latest);
  showRecent();
}

function showRecent() {
  if (latest === undefined) return;
  const list = heldList ?? latest.recent;
  const rows = chosenPhase === undefined ? list : list.filter((order) => order.phase === chosenPhase);
  keyed(byId('recent'), rows, (order) => order.orderId, makeRow, updateRow);
  keyed(
    byId('known-orders'),
    list,
    (order) => order.orderId,
    (order) => h('option', { value: order.orderId }),
    () => {},
  );
  byId('show-all').hidden = chosenPhase === undefined;
  setText(byId('orders-hint'), listHint(rows.length));
  const empty = byId('recent-empty');
  empty.hidden = rows.length > 0;
  setText(empty, emptyText());
}

function listHint(shown) {
  if (chosenPhase !== undefined) return `${count(shown)} of the last orders are ${chosenPhase}.`;
  if (heldList !== undefined) return 'Held still while you are in the list.';
  return shown === 0 ? '' : `The ${count(shown)} updated last.`;
}

function emptyText() {
  if (chosenPhase !== undefined)
    return `None of the last orders is ${chosenPhase}. Any order is found by its id.`;
  return 'No order yet. The first one appears here as soon as it is committed.';
}

function makeRow(order) {
  const open = () => {
    location.hash = `#/orders/${encodeURIComponent(order.orderId)}`;
  };
  return h(
    'tr',
    { onclick: (event) => event.target.closest('a') === null && open() },
    h(
      'th',
      { scope: 'row' },
      h('a', { href: `#/orders/${encodeURIComponent(order.orderId)}` }, order.orderId),
    ),
    h('td', { class: 'phase' }, pill('', 'flow')),
    h('td', { class: 'number', 'data-label': 'lines' }),
    h('td', { class: 'number', 'data-label': 'total' }),
    h('td', { class: 'number when', 'data-label': 'updated' }, h('time')),
  );
}

function updateRow(row, order) {
  const [, phase, lines, total, updated] = row.children;
  const changed = row.dataset.updatedAt !== undefined && row.dataset.updatedAt !== String(order.updatedAt);
  row.dataset.updatedAt = String(order.updatedAt);
  const badge = phase.firstElementChild;
  setText(badge, order.phase);
  setAttribute(badge, 'data-tone', toneOf(order.phase));
  setText(lines, count(order.lines));
  setText(total, money(order.totalMinor, order.currencyCode));
  const time = updated.firstElementChild;
  setText(time, ago(order.updatedAt, latest.asOf));
  setAttribute(time, 'datetime', new Date(order.updatedAt).toISOString());
  setAttribute(time, 'title', dateTime(order.updatedAt));
  if (changed) restartFlash(row);
}

function restartFlash(row) {
  row.classList.remove('flash');
  // Reading a size makes the browser notice that the class was away.
  void row.offsetWidth;
  row.classList.add('flash');
}

function showTasks(tasks) {
  byId('tasks-card').hidden = tasks.length === 0;
  const own = tasks.filter((task) => task.state !== 'STANDBY');
  const running = own.filter((task) => task.state === 'RUNNING').length;
  setText(byId('tasks-note'), `${count(running)} of ${count(own.length)} running`);
  keyed(
    byId('tasks'),
    tasks,
    (task) => task.taskId,
    () => h('li', { class: 'task' }, h('b'), h('span', { class: 'pill' }), h('small')),
    (item, task) => {
      const [id, state, lag] = item.children;
      setText(id, task.taskId);
      setText(state, words(task.state));
      setAttribute(state, 'data-tone', toneOf(task.state));
      setText(lag, taskNote(task));
    },
  );
}

/** How far a restore is, or else what waits in the inputs. */
function taskNote({ lag, restore }) {
  if (restore === undefined) return lag === undefined ? '' : `${count(lag)} waiting`;
  const left = `${count(restore.remaining)} left`;
  return restore.etaMs === undefined ? left : `${left}, ${count(Math.ceil(restore.etaMs / 1000))} s`;
}

/** Makes the list hold still while it is used, and wires the way back from a chosen phase. */
export function startOverview() {
  const body = byId('recent');
  const hold = () => {
    heldList ??= latest?.recent;
    setText(byId('orders-hint'), listHint(body.childElementCount));
  };
  const release = () => {
    if (body.matches(':hover') || body.contains(document.activeElement)) return;
    heldList = undefined;
    showRecent();
  };
  body.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && hold());
  body.addEventListener('pointerleave', release);
  body.addEventListener('focusin', hold);
  // The focus has not moved yet when this event comes.
  body.addEventListener('focusout', () => queueMicrotask(release));
  byId('show-all').addEventListener('click', () => choosePhase(chosenPhase));
}
