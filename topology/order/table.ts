/**
 * The order machine: every phase with every input. Total by its type: a phase or an input without a cell does not
 * compile. decide.ts looks cells up; the diagram and the tests read them. A row that comes later takes the place of
 * an `idle` or `alarm` cell.
 */
import type { Table } from './rows.ts';
import { cancelled, cancelling, rejected } from './table-ending.ts';
import { closed, delivered, fulfilling, shipped } from './table-moving.ts';
import { authorizing, backordered, confirmed, pending, reserving } from './table-open.ts';

export const table: Table = {
  PENDING: pending,
  RESERVING: reserving,
  BACKORDERED: backordered,
  AUTHORIZING: authorizing,
  CONFIRMED: confirmed,
  FULFILLING: fulfilling,
  SHIPPED: shipped,
  DELIVERED: delivered,
  CLOSED: closed,
  CANCELLING: cancelling,
  CANCELLED: cancelled,
  REJECTED: rejected,
};
