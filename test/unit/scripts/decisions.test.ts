/** What the scripts decide from what they are told: no process is started here. */
import assert from 'node:assert/strict';
import { loadScript } from './load-script.ts';

describe('scripts: decisions', () => {
  it('start asks for the Kafka client only where Kafka is named', async () => {
    const { needsKafka } = await loadScript<{ needsKafka(args: string[]): boolean }>('start.mjs');
    const yes = [
      ['run'],
      ['participants'],
      ['--verbose', 'run'],
      ['replay', '--kafka', 'x:1'],
      ['replay', '--kafka=x:1'],
    ];
    const no = [[], ['demo'], ['replay', '--olist', 'run'], ['order', '7'], ['topology', '--format', 'dot']];
    for (const args of yes) assert.equal(needsKafka(args), true, args.join(' '));
    for (const args of no) assert.equal(needsKafka(args), false, args.join(' '));
  });

  it('check finds every dependency that is a range', async () => {
    const { inexactDependencies } = await loadScript<{ inexactDependencies(manifest: unknown): string[] }>(
      'check.mjs',
    );
    const manifest = {
      dependencies: { exact: '1.2.3', caret: '^1.2.3', tag: 'latest', pre: '2.0.0-rc.1' },
      devDependencies: { star: '*', short: '1.2', url: 'file:../x' },
    };
    assert.deepEqual(
      inexactDependencies(manifest).map((text) => text.split(' ')[1]),
      ['caret', 'tag', 'star', 'short', 'url'],
    );
    assert.deepEqual(inexactDependencies({}), []);
  });

  it('a Node that is too old is refused with the line to type', async () => {
    const { requireNode } = await loadScript<{ requireNode(version: string): void }>('setup/packages.mjs');
    for (const version of ['20.19.0', '20.20.2', '22.0.0', '24.1.0']) requireNode(version);
    for (const version of ['18.20.0', '20.18.9']) {
      assert.throws(() => requireNode(version), { name: 'SetupError', type: 'nvm install 24' });
    }
  });

  it('packages are installed again only where the lock file says something else', async () => {
    const { installedAsLocked } = await loadScript<{
      installedAsLocked(lock: unknown, installed: unknown): boolean;
    }>('setup/packages.mjs');
    const lock = {
      packages: {
        '': { name: 'millrace' },
        'node_modules/a': { version: '1.0.0', integrity: 'x' },
        'node_modules/other-platform': { version: '1.0.0', integrity: 'y', optional: true },
      },
    };
    const present = { 'node_modules/a': { version: '1.0.0', integrity: 'x' } };
    assert.equal(installedAsLocked(lock, { packages: present }), true);
    assert.equal(installedAsLocked(lock, { packages: {} }), false);
    assert.equal(
      installedAsLocked(lock, { packages: { 'node_modules/a': { version: '1.0.1', integrity: 'x' } } }),
      false,
    );
    assert.equal(
      installedAsLocked(lock, { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'z' } } }),
      false,
    );
  });

  it('reads the version that a java prints', async () => {
    const { majorOf } = await loadScript<{ majorOf(text: string): number | undefined }>('setup/java.mjs');
    assert.equal(majorOf('openjdk version "17.0.15" 2025-04-15'), 17);
    assert.equal(majorOf('openjdk version "25" 2025-09-16'), 25);
    assert.equal(majorOf('java version "1.8.0_292"'), 8);
    assert.equal(majorOf('No Java runtime present'), undefined);
  });

  it('every test file belongs to a group, and names the parts it stands on', async () => {
    const { groups, partsNeededBy, needsCompiler, needsOracle } = await loadScript<{
      groups: { name: string; takes(path: string): boolean }[];
      partsNeededBy(path: string): { servers: boolean; browser: boolean };
      needsCompiler(path: string): boolean;
      needsOracle(path: string): boolean;
    }>('test.mjs');
    const groupOf = (path: string): string | undefined => groups.find((group) => group.takes(path))?.name;
    assert.equal(groupOf('unit/base/a.test.ts'), 'unit and contract');
    assert.equal(groupOf('architecture.test.ts'), 'unit and contract');
    assert.equal(groupOf('architecture/rules.test.ts'), 'unit and contract');
    assert.equal(groupOf('rules/a.test.ts'), 'unit and contract');
    assert.equal(groupOf('contract/a.int.test.ts'), 'unit and contract');
    assert.equal(groupOf('topology/a.test.ts'), 'topology');
    assert.equal(groupOf('oracle/a.test.ts'), 'topology');
    assert.equal(groupOf('browser/a.int.test.ts'), 'real parts');
    assert.equal(groupOf('faults/f01-a.int.test.ts'), 'faults');
    assert.equal(groupOf('a-new-folder/a.test.ts'), 'real parts');
    assert.deepEqual(partsNeededBy('unit/base/a.test.ts'), { servers: false, browser: false });
    assert.deepEqual(partsNeededBy('contract/a.int.test.ts'), { servers: true, browser: false });
    assert.equal(needsCompiler('faults/f12-disk.test.ts'), true);
    assert.equal(needsCompiler('faults/f13-damage.test.ts'), false);
    assert.equal(needsOracle('oracle/a.test.ts'), true);
    assert.equal(needsOracle('unit/vectors.test.ts'), false);
    assert.deepEqual(partsNeededBy('browser/a.int.test.ts'), { servers: true, browser: true });
  });

  it('a broker keeps old events, makes no topic by itself and copies what a cluster must not lose', async () => {
    const { serverProperties } = await loadScript<{
      serverProperties(state: unknown, broker: unknown, folder: string): Record<string, unknown>;
    }>('kafka.mjs');
    const brokers = [1, 2, 3].map((id) => ({ id, port: 100 + id, controllerPort: 200 + id }));
    const one = serverProperties({ brokers: brokers.slice(0, 1), settings: {} }, brokers[0], '/data');
    assert.equal(one['log.retention.ms'], -1);
    assert.equal(one['auto.create.topics.enable'], false);
    assert.equal(one['transaction.state.log.replication.factor'], 1);
    assert.equal(one['transaction.state.log.min.isr'], 1);
    assert.equal(one.listeners, 'CLIENT://127.0.0.1:101,CONTROLLER://127.0.0.1:201');
    const three = serverProperties({ brokers, settings: { 'message.max.bytes': 7 } }, brokers[1], '/data');
    assert.equal(three['node.id'], 2);
    assert.equal(three['transaction.state.log.replication.factor'], 3);
    assert.equal(three['transaction.state.log.min.isr'], 2);
    assert.equal(three['controller.quorum.voters'], '1@127.0.0.1:201,2@127.0.0.1:202,3@127.0.0.1:203');
    assert.equal(three['message.max.bytes'], 7);
  });

  it('an option that is not known, lacks its value or is no number is refused', async () => {
    const { parseOptions } = await loadScript<{
      parseOptions(args: string[], known: Record<string, string>, usage: string): unknown;
    }>('support/servers.mjs');
    const known = { port: 'number', 'data-dir': 'text' };
    assert.deepEqual(parseOptions(['start', '--port', '7', '--data-dir=a=b'], known, 'u'), {
      words: ['start'],
      options: { port: 7, 'data-dir': 'a=b' },
    });
    for (const args of [['--prot', '7'], ['--port'], ['--port', 'x']]) {
      assert.throws(() => parseOptions(args, known, 'u'), { name: 'SetupError', type: 'u' });
    }
  });

  it('a failure ends with the line to type', async () => {
    const { SetupError } = await loadScript<{
      SetupError: new (message: string, more: object) => Error & { toText(): string };
    }>('support/say.mjs');
    const text = new SetupError('it broke', { type: 'mend it', details: 'line 1\nline 2\n' }).toText();
    assert.equal(text.split('\n')[0], 'line 1');
    assert.equal(text.split('\n').at(-1), '    mend it');
  });
});
