/** A payment provider: what it answers to a command, planned. Pure; the same command gets the same answer again. */
import { stableId } from '../order/command-id.ts';
import type { PaymentCommand, PaymentEvent } from '../schema-types.ts';
import { dice } from './faults.ts';
import {
  type ParticipantOptions,
  type ParticipantState,
  type Planned,
  plan,
  type Reaction,
  waitMs,
} from './plan.ts';

const day = 24 * 3600 * 1000;
/** Methods whose customer pays later, somewhere else. */
const slowMethods: readonly string[] = ['boleto', 'transfer'];
/** Share of card payments that ask the customer to confirm. */
const confirmShare = 0.1;

/** `atMs`: event time of the command. */
export function reactToPayment(
  command: PaymentCommand,
  state: ParticipantState,
  options: ParticipantOptions,
  atMs: number,
): Reaction {
  const later = (step: string) => waitMs(options, `${command.commandId}/${step}`, options.delays.answerMs);
  const answers = (event: PaymentEvent, afterMs: number) => plan(options, command.paymentId, event, afterMs);
  switch (command.type) {
    case 'VoidAuthorization': {
      const afterMs = later('voided');
      const event = { type: 'PaymentVoided', ...head(command, 'voided', atMs + afterMs) } as const;
      return { planned: answers(event, afterMs), calledOff: command.paymentId, undone: command.paymentId };
    }
    case 'RefundPayment': {
      const afterMs = later('refunded');
      const event = { type: 'RefundSettled', ...head(command, 'refunded', atMs + afterMs) } as const;
      return { planned: answers(event, afterMs) };
    }
    case 'CapturePayment': {
      if (options.mode === 'replay') return { planned: [] };
      const afterMs = later('captured');
      const event = { type: 'PaymentCaptured', ...head(command, 'captured', atMs + afterMs) } as const;
      return { planned: answers(event, afterMs) };
    }
    case 'QueryPayment': {
      const said = state.said[command.paymentId];
      if (options.mode === 'replay' || said === undefined) return { planned: [] };
      return {
        planned: [
          { id: `${said.eventId}#${command.commandId}`, afterMs: 0, subject: command.paymentId, event: said },
        ],
      };
    }
    case 'AuthorizePayment':
      if (options.mode === 'replay') return { planned: [] };
      return {
        planned: authorization(command, state, options, atMs).flatMap((each) =>
          answers(each.event as PaymentEvent, each.afterMs),
        ),
      };
  }
}

type Authorize = Extract<PaymentCommand, { type: 'AuthorizePayment' }>;

function authorization(
  command: Authorize,
  state: ParticipantState,
  options: ParticipantOptions,
  atMs: number,
): Pick<Planned, 'event' | 'afterMs'>[] {
  const { commandId, paymentId, method } = command;
  const { seed, faults, delays } = options;
  const afterMs = waitMs(options, `${commandId}/authorized`, delays.answerMs);
  const isVoided = state.undone.includes(paymentId);
  if (isVoided || dice(seed, commandId, 'decline') < faults.decline) {
    const declined = head(command, 'declined', atMs + afterMs);
    const reasonCode = isVoided ? 'voided' : 'insufficient_funds';
    return [{ event: { type: 'PaymentDeclined', ...declined, reasonCode }, afterMs }];
  }
  const slow = slowMethods.includes(method);
  if (!slow && dice(seed, commandId, 'confirm') >= confirmShare) return [authorized(command, atMs, afterMs)];
  const paidMs = afterMs + waitMs(options, `${commandId}/customer`, delays.customerMs);
  const action = head(command, 'action', atMs + afterMs);
  const kind = slow ? method : '3d_secure';
  return [
    { event: { type: 'PaymentActionRequired', ...action, kind, dueAt: null }, afterMs },
    authorized(command, atMs, paidMs),
  ];
}

function authorized(command: Authorize, atMs: number, afterMs: number): Pick<Planned, 'event' | 'afterMs'> {
  const occurredAt = atMs + afterMs;
  const common = head(command, 'authorized', occurredAt);
  return { event: { type: 'PaymentAuthorized', ...common, expiresAt: occurredAt + 7 * day }, afterMs };
}

/** What every payment event carries. */
function head(command: PaymentCommand, step: string, occurredAt: number) {
  return {
    eventId: stableId([command.commandId, step]),
    occurredAt,
    sourceSeq: null,
    orderId: command.orderId,
    commandId: command.commandId,
    paymentId: command.paymentId,
    pspReference: `psp-${stableId([command.orderId, command.paymentId]).slice(0, 12)}`,
    amountMinor: command.amountMinor,
    currencyCode: command.currencyCode,
  };
}
