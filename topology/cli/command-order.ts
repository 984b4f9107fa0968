/** `millrace order ID`: one order as the running instance knows it. */
import type { Command } from 'commander';
import { StreamsError } from '#streams';
import type { OrderSnapshot, TimelineEntry } from '../schema-types.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { httpUrl } from './parse-options.ts';

const answerMsMax = 5_000;

type OrderAnswer = OrderSnapshot & { readonly timeline?: readonly TimelineEntry[] };

export function addOrder(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('order')
    .description('show one order, asked of the running instance')
    .argument('<id>', 'order id')
    .option('--url <url>', 'of the instance', httpUrl, 'http://127.0.0.1:8080')
    .option('--json', 'print what the instance answered')
    .action(async (id: string, options: { url: string; json?: boolean }) =>
      onExit(await showOrder(id, options)),
    );
}

/** Errors: INSTANCE_UNREACHABLE. */
async function showOrder(id: string, { url, json }: { url: string; json?: boolean }): Promise<ExitCode> {
  const response = await ask(`${url}/api/orders/${encodeURIComponent(id)}`, url);
  const text = await response.text();
  if (response.status === 404) {
    process.stderr.write(`the instance knows no order ${id}\n`);
    return exitCodes.failed;
  }
  if (!response.ok) {
    throw new StreamsError(
      'INSTANCE_UNREACHABLE',
      `the instance answered ${response.status}: ${text.slice(0, 300)}`,
      {
        context: { url },
      },
    );
  }
  process.stdout.write(json === true ? `${text}\n` : describe(JSON.parse(text) as OrderAnswer));
  return exitCodes.ok;
}

async function ask(address: string, url: string): Promise<Response> {
  try {
    return await fetch(address, { signal: AbortSignal.timeout(answerMsMax) });
  } catch (error) {
    throw new StreamsError('INSTANCE_UNREACHABLE', 'no instance answers', {
      context: { url },
      hint: 'start one (npm start), or name its address with --url',
      cause: error,
    });
  }
}

function describe(order: OrderAnswer): string {
  const { orderId, phase, flags, reasonCode, lines, payments, shipments } = order;
  const currency = order.currencyCode ?? '';
  const money = (minor: number) => `${(minor / 100).toFixed(2)} ${currency}`.trim();
  const note = [...flags, ...(reasonCode === null ? [] : [reasonCode])].join(', ');
  const rows = [
    `${orderId}  ${phase}${note === '' ? '' : `  (${note})`}`,
    `  total ${money(order.totalMinor)}, authorised ${money(order.authorizedMinor)}, captured ${money(order.capturedMinor)}`,
    ...lines.map(
      (line) =>
        `  line ${line.lineId}: ${line.ordered} x ${line.sku}, shipped ${line.shipped}, delivered ${line.delivered}, cancelled ${line.cancelled}`,
    ),
    ...payments.map(
      (payment) =>
        `  payment ${payment.paymentId}: ${payment.status} ${money(payment.amountMinor)} ${payment.method}`,
    ),
    ...shipments.map((shipment) =>
      `  shipment ${shipment.shipmentId}: ${shipment.status} ${shipment.trackingNumber ?? ''}`.trimEnd(),
    ),
    ...(order.timeline ?? []).map(
      (entry) =>
        `  ${new Date(entry.at).toISOString()} ${entry.kind} ${entry.name} (row ${entry.row}) ${entry.phaseBefore} > ${entry.phaseAfter}${entry.detail === '' ? '' : `: ${entry.detail}`}`,
    ),
  ];
  return `${rows.join('\n')}\n`;
}
