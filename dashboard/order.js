/**
 * One order as a sheet beside the page: `#/orders/ID` opens it, closing it goes back. It is read again
 * whenever a new overview says that something changed, as long as it is open.
 */
import { byId, h, pill } from './dom.js';
import { count, dateTime, gap, mainPhases, money, preciseTime, toneOf, words } from './format.js';

const sheet = () => byId('order');
let shownId;
let shownText;
let asking;
let cameFrom;

/** Follows the address: opens, changes or closes the sheet. */
export function startOrder() {
  window.addEventListener('hashchange', follow);
  sheet().addEventListener('close', () => {
    shownId = undefined;
    if (location.hash.startsWith('#/orders/')) history.replaceState(null, '', location.pathname);
    if (cameFrom?.isConnected) cameFrom.focus();
  });
  // A click beside the sheet closes it: the dialog itself is hit only outside of its content.
  sheet().addEventListener('click', (event) => event.target === sheet() && sheet().close());
  follow();
}

/** Reads the open order again. */
export function refreshOrder() {
  if (shownId !== undefined) void load(shownId);
}

function follow() {
  const match = /^#\/orders\/(.+)$/.exec(location.hash);
  if (match === null) return sheet().open ? sheet().close() : undefined;
  shownId = decodeId(match[1]);
  shownText = undefined;
  if (!sheet().open) {
    cameFrom = document.activeElement;
    render(head(shownId), h('p', { class: 'note' }, 'Reading …'));
    sheet().showModal();
  }
  void load(shownId);
}

function decodeId(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function load(id) {
  if (asking === id) return;
  asking = id;
  try {
    const response = await fetch(`/api/orders/${encodeURIComponent(id)}`);
    const text = await response.text();
    // The address may have moved on meanwhile, and an order that did not change is left as it is drawn.
    if (shownId !== id || text === shownText) return;
    shownText = text;
    if (response.ok) render(...orderParts(id, JSON.parse(text)));
    else render(head(id), problem(response.status, text));
  } catch {
    if (shownId === id && shownText === undefined) {
      render(
        head(id),
        problem(0, '{"message":"The instance did not answer","hint":"it is asked again by itself"}'),
      );
    }
  } finally {
    asking = undefined;
  }
}

function render(...parts) {
  const scroll = sheet().firstElementChild?.scrollTop ?? 0;
  const openRaw = sheet().querySelector('details')?.open ?? false;
  const hadFocus = sheet().contains(document.activeElement) && document.activeElement !== sheet();
  sheet().replaceChildren(h('div', { class: 'sheet-body' }, ...parts));
  sheet().firstElementChild.scrollTop = scroll;
  const raw = sheet().querySelector('details');
  if (raw !== null) raw.open = openRaw;
  if (hadFocus) sheet().querySelector('.close')?.focus();
}

function head(id, ...more) {
  return h(
    'header',
    {},
    h(
      'button',
      { type: 'button', class: 'close', 'aria-label': 'Close', onclick: () => sheet().close() },
      '×',
    ),
    h('p', { class: 'eyebrow' }, 'Order'),
    h('h2', { id: 'order-title' }, id),
    ...more,
  );
}

function problem(status, text) {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    body = { message: `The instance answered ${status}` };
  }
  const missing = status === 404;
  return h(
    'div',
    { class: 'problem', role: 'alert' },
    h('h3', {}, missing ? 'No order has this id' : (body.message ?? 'That did not work')),
    h(
      'p',
      {},
      missing
        ? 'It may be misspelt, or its purchase has not arrived yet: events that came first wait for it.'
        : (body.hint ?? ''),
    ),
  );
}

function orderParts(id, order) {
  const currency = order.currencyCode;
  const badges = [order.phase, ...(order.flags ?? [])].map((word) => pill(word, toneOf(word)));
  const when = order.updatedAt === undefined ? '' : `updated ${dateTime(order.updatedAt)}`;
  const version = order.stateVersion === undefined ? '' : ` · version ${order.stateVersion}`;
  return [
    head(
      id,
      h('p', { class: 'badges' }, ...badges),
      order.reasonCode ? h('p', { class: 'reason' }, `Reason: ${words(order.reasonCode)}`) : undefined,
      h('p', { class: 'note' }, `${when}${version}`),
    ),
    track(order.phase),
    facts(order),
    moneyPart(order, currency),
    list('Lines', order.lines, (line) => linePart(line, currency)),
    list('Payments', order.payments, (payment) => paymentPart(payment, currency)),
    list('Shipments', order.shipments, shipmentPart),
    timelinePart(order.timeline),
    h(
      'details',
      {},
      h('summary', {}, 'As JSON'),
      h('pre', { tabindex: '0' }, JSON.stringify(order, null, 2)),
    ),
  ];
}

/** The six stations with the one the order is at; of an order beside them none is marked. */
function track(phase) {
  const at = mainPhases.findIndex((entry) => entry.phase === (phase === 'CLOSED' ? 'DELIVERED' : phase));
  return h(
    'ol',
    { class: 'track', 'aria-label': `Phase ${phase}` },
    ...mainPhases.map((entry, i) =>
      h(
        'li',
        {
          'data-at': i === at ? 'here' : i < at ? 'past' : undefined,
          'aria-current': i === at ? 'step' : undefined,
        },
        h('span', {}, words(entry.phase)),
      ),
    ),
  );
}

function facts(order) {
  const rows = [
    ['Customer', order.customerId],
    ['Tenant', order.tenantId],
    ['Placed', order.placedAt && dateTime(order.placedAt)],
    ['Promised', order.promisedAt && dateTime(order.promisedAt)],
  ].filter(([, value]) => value);
  return definitions('facts-list', rows);
}

function moneyPart(order, currency) {
  const rows = [
    ['Total', order.totalMinor],
    ['Shipping', order.shippingMinor],
    ['Adjustment', order.adjustmentMinor],
    ['Authorized', order.authorizedMinor],
    ['Captured', order.capturedMinor],
    ['Voided', order.voidedMinor],
    ['Refunded', order.refundedMinor],
  ].filter(([name, value]) => typeof value === 'number' && (value !== 0 || name === 'Total'));
  return section(
    'Money',
    definitions(
      'sums',
      rows.map(([name, value]) => [name, money(value, currency)]),
    ),
  );
}

/** Where a line's units are. `shipped` stays after delivery, so what is on its way is the difference. */
function quantitiesOf(line) {
  const of = (name) => line[name] ?? 0;
  const quantities = [
    ['delivered', of('delivered') - of('returned')],
    ['on the way', of('shipped') - of('delivered') - of('lost')],
    ['reserved', of('reserved')],
    ['backordered', of('backordered')],
    ['returned', of('returned')],
    ['lost', of('lost')],
    ['cancelled', of('cancelled')],
  ];
  return quantities.filter(([, n]) => n > 0);
}

function linePart(line, currency) {
  const quantities = quantitiesOf(line);
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  for (const [name, n] of quantities) {
    const piece = h('i', { 'data-part': name });
    piece.style.setProperty('flex-grow', String(n));
    bar.append(piece);
  }
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'row' },
      h('b', {}, line.sku ?? line.lineId),
      h('span', {}, money(line.unitPriceMinor, currency)),
    ),
    bar,
    h(
      'p',
      { class: 'note' },
      [`${count(line.ordered ?? 0)} ordered`, ...quantities.map(([name, n]) => `${count(n)} ${name}`)].join(
        ' · ',
      ),
      line.sellerId ? ` · seller ${line.sellerId}` : '',
    ),
  );
}

function paymentPart(payment, currency) {
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'row' },
      h('b', {}, money(payment.amountMinor, currency)),
      pill(payment.status, toneOf(payment.status ?? '')),
    ),
    h(
      'p',
      { class: 'note' },
      [payment.method && words(payment.method), payment.paymentId, payment.pspReference]
        .filter(Boolean)
        .join(' · '),
    ),
  );
}

function shipmentPart(shipment) {
  const moments = [
    shipment.dispatchedAt &&
      `dispatched ${dateTime(shipment.dispatchedAt)}${shipment.inferred ? ' (inferred)' : ''}`,
    shipment.deliveredAt && `delivered ${dateTime(shipment.deliveredAt)}`,
  ];
  const who = [
    shipment.carrierCode,
    shipment.trackingNumber,
    shipment.sellerId && `seller ${shipment.sellerId}`,
  ];
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'row' },
      h('b', {}, shipment.shipmentId),
      pill(words(shipment.status ?? ''), toneOf(shipment.status ?? '')),
    ),
    h('p', { class: 'note' }, [...who, ...moments].filter(Boolean).join(' · ') || 'not with a carrier yet'),
  );
}

function timelinePart(timeline) {
  if (!Array.isArray(timeline) || timeline.length === 0) return undefined;
  return section(
    'Timeline',
    h(
      'ol',
      { class: 'timeline' },
      ...timeline.map((entry, i) =>
        h(
          'li',
          { 'data-kind': entry.kind, 'data-quiet': /^(dup|stale)/.test(entry.row ?? '') },
          h('time', { datetime: new Date(entry.at).toISOString() }, preciseTime(entry.at)),
          i > 0 && h('span', { class: 'gap' }, gap(entry.at - timeline[i - 1].at)),
          h(
            'div',
            { class: 'row' },
            h('b', {}, entry.name ?? entry.kind ?? ''),
            h('span', { class: 'kind' }, entry.kind ?? ''),
          ),
          h('p', { class: 'note' }, timelineNote(entry)),
        ),
      ),
    ),
  );
}

function timelineNote(entry) {
  const moved = entry.phaseBefore !== entry.phaseAfter && entry.phaseAfter ? `→ ${entry.phaseAfter}` : '';
  const source = entry.sourceTopic
    ? `${entry.sourceTopic}-${entry.sourcePartition}@${entry.sourceOffset}`
    : '';
  const rule = entry.row ? `row ${entry.row}` : '';
  return [moved, entry.detail, rule, source].filter(Boolean).join(' · ');
}

function list(title, items, part) {
  if (!Array.isArray(items) || items.length === 0) return undefined;
  return section(
    items.length === 1 ? title : `${title} (${items.length})`,
    h('ul', { class: 'items' }, ...items.map(part)),
  );
}

function section(title, content) {
  return h('section', {}, h('h3', {}, title), content);
}

function definitions(kind, rows) {
  return h(
    'dl',
    { class: kind },
    ...rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  );
}
