import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { createPinoLogger, type LogLevel } from '../../../src/observe/pino-logger.ts';

function logged(level: LogLevel = 'debug') {
  const written: string[] = [];
  const log = createPinoLogger({
    level,
    destination: { write: (line: string) => void written.push(line) },
    fields: { applicationId: 'shop' },
  });
  const rows = () => written.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, rows };
}

describe('createPinoLogger', () => {
  it('writes one JSON object a line with level word, ISO time, fields and message', () => {
    const { log, rows } = logged();
    log.info('task restored', { taskId: '0_3', records: 12 });
    const { time, ...row } = rows()[0]!;
    assert.deepEqual(row, {
      level: 'info',
      applicationId: 'shop',
      taskId: '0_3',
      records: 12,
      msg: 'task restored',
    });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('says code, kind, context, hint and cause of an error', () => {
    const { log, rows } = logged();
    const error = new StreamsError('STORE_LOCKED', 'The store is open elsewhere', {
      context: { file: 'data/0_1' },
      hint: 'end the other process',
      cause: Object.assign(new Error('IO error'), { code: 'LEVEL_LOCKED' }),
    });
    log.error('cannot open', { taskId: '0_1' }, error);
    const err = rows()[0]?.err as Record<string, unknown>;
    assert.equal(err.code, 'STORE_LOCKED');
    assert.equal(err.kind, 'user');
    assert.deepEqual(err.context, { file: 'data/0_1' });
    assert.equal(err.hint, 'end the other process');
    assert.match(String(err.stack), /pino-logger\.test/);
    assert.equal((err.cause as { code?: string }).code, 'LEVEL_LOCKED');
  });

  it('takes anything as an error, also one whose causes run in a circle', () => {
    const { log, rows } = logged();
    log.warn('odd', {}, 'just a string');
    const circle = new Error('a');
    circle.cause = circle;
    log.error('round', {}, circle);
    assert.deepEqual(rows()[0]?.err, { message: 'just a string' });
    assert.equal(rows().length, 2);
  });

  it('adds the fields of a child to each of its lines', () => {
    const { log, rows } = logged();
    log.child({ taskId: '1_0' }).child({ store: 'orders' }).debug('flushed');
    assert.equal(rows()[0]?.taskId, '1_0');
    assert.equal(rows()[0]?.store, 'orders');
  });

  it('leaves out what is below its level', () => {
    const { log, rows } = logged('warn');
    log.info('no');
    log.debug('no');
    log.warn('yes');
    assert.deepEqual(
      rows().map((row) => row.msg),
      ['yes'],
    );
  });

  it('refuses a log file in a folder that is not there', () => {
    assert.throws(() => createPinoLogger({ level: 'info', destination: '/no-such-folder/x.log' }), {
      code: 'SETTING_INVALID',
    });
  });
});
