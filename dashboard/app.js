/**
 * The page's start and its line to the instance. Each event of /api/events is a whole overview, so a lost
 * one costs nothing; when the line breaks the page says so, keeps what it has and connects again by itself.
 */
import { byId, setText } from './dom.js';
import { clockTime } from './format.js';
import { refreshOrder, startOrder } from './order.js';
import { showOverview, startOverview } from './overview.js';

/** The instance sends an overview a second; this long without one is worth saying. */
const SILENCE_MS = 5000;
const RECONNECT_MS = [1000, 2000, 5000, 10_000];

let lastEventAt;
let lastAsOf;
let attempts = 0;
let connected = false;

function connect() {
  const source = new EventSource('/api/events');
  source.addEventListener('open', () => {
    connected = true;
    attempts = 0;
    lastEventAt = performance.now();
    showBanner();
  });
  source.addEventListener('overview', (event) => {
    const overview = JSON.parse(event.data);
    lastEventAt = performance.now();
    lastAsOf = overview.asOf;
    showOverview(overview);
    refreshOrder();
    showBanner();
  });
  source.addEventListener('error', () => {
    connected = false;
    showBanner();
    // A dropped line is opened again by the browser; a refusal (503 while stopping) is final for it.
    if (source.readyState !== EventSource.CLOSED) return;
    const waitMs = RECONNECT_MS[Math.min(attempts, RECONNECT_MS.length - 1)];
    attempts += 1;
    setTimeout(connect, waitMs);
  });
}

function showBanner() {
  const banner = byId('banner');
  const silent = lastEventAt !== undefined && performance.now() - lastEventAt > SILENCE_MS;
  banner.hidden = connected && !silent;
  document.body.classList.toggle('stale', !banner.hidden);
  if (banner.hidden) return;
  setText(banner, bannerText(lastAsOf === undefined ? '' : ` What you see is as of ${clockTime(lastAsOf)}.`));
}

function bannerText(shown) {
  if (!connected) return `No connection to the instance.${shown} Connecting again …`;
  return lastAsOf === undefined ? 'The instance is starting.' : `The instance is silent.${shown}`;
}

function startSearch() {
  const input = byId('search-id');
  byId('search').addEventListener('submit', (event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (id !== '') location.hash = `#/orders/${encodeURIComponent(id)}`;
  });
  document.addEventListener('keydown', (event) => {
    const typing = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== '/' || typing || byId('order').open) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}

startOverview();
startOrder();
startSearch();
connect();
setInterval(showBanner, 1000);
