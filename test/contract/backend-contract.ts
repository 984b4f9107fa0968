/**
 * What every KeyValueBackend promises, as one suite. Run by backends.test.ts on each adapter; a new adapter
 * adds a line there.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Entry, KeyValueBackend, OpenBackend, Write } from '../../src/base/backend-port.ts';
import { StreamsError } from '../../src/base/errors.ts';

/** Shape: `open` opens the folder of a path that is fresh in each test. `durable`: it outlives its backend. */
export interface BackendAdapter {
  readonly name: string;
  readonly open: OpenBackend;
  readonly freshPath: () => string;
  readonly durable: boolean;
}

const bytes = (text: string): Buffer => Buffer.from(text);
const put = (key: string, value: string): Write => ({ key: bytes(key), value: bytes(value) });
const del = (key: string): Write => ({ key: bytes(key), value: null });
const shown = (entries: readonly Entry[]): string[] =>
  entries.map(({ key, value }) => `${key.toString()}=${value.toString()}`);

export function backendContract(adapter: BackendAdapter): void {
  describe(`key-value backend contract: ${adapter.name}`, () => {
    let path: string;
    let backend: KeyValueBackend;

    beforeEach(async () => {
      path = adapter.freshPath();
      backend = await adapter.open(path);
    });
    afterEach(() => backend.close());

    const texts = async (...keys: string[]): Promise<(string | undefined)[]> =>
      (await backend.getMany(keys.map(bytes))).map((value) => value?.toString());

    const pages = async (pageSize: number, range = {}): Promise<string[][]> => {
      const found: string[][] = [];
      for await (const page of backend.scan(range, pageSize)) found.push(shown(page));
      return found;
    };

    describe('reading keys', () => {
      it('answers in the order of the keys, with undefined where there is none', async () => {
        await backend.write([put('a', '1'), put('c', '3')]);
        assert.deepEqual(await texts('c', 'b', 'a', 'c'), ['3', undefined, '1', '3']);
      });

      it('answers an empty list with an empty list', async () => {
        assert.deepEqual(await backend.getMany([]), []);
      });

      it('keeps an empty value apart from no value', async () => {
        await backend.write([put('a', '')]);
        assert.deepEqual(await texts('a', 'b'), ['', undefined]);
        assert.deepEqual(shown(await backend.range({})), ['a=']);
      });

      it('reads all keys of a call from one snapshot, whatever is written meanwhile', async () => {
        const keys = Array.from({ length: 500 }, (_, i) => bytes(`key-${i}`));
        await backend.write(keys.map((key) => ({ key, value: bytes('0') })));
        for (let round = 1; round <= 20; round++) {
          const write = backend.write(keys.map((key) => ({ key, value: bytes(`${round}`) })));
          const values = await backend.getMany(keys);
          assert.equal(new Set(values.map((value) => value?.toString())).size, 1);
          await write;
        }
      });

      it('takes keys and values of any bytes', async () => {
        const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        await backend.write([{ key: all, value: all }]);
        assert.deepEqual(await backend.getMany([all]), [all]);
        assert.deepEqual(await backend.range({}), [{ key: all, value: all }]);
      });

      it('refuses a key without bytes instead of shifting the answers', async () => {
        await assert.rejects(backend.getMany([bytes('a'), Buffer.alloc(0)]), StreamsError);
      });
    });

    describe('ranges', () => {
      beforeEach(() => backend.write(['d', 'b', 'a', 'e', 'c'].map((key) => put(key, key))));

      it('come in byte order, not in the order of writing', async () => {
        assert.deepEqual(shown(await backend.range({})), ['a=a', 'b=b', 'c=c', 'd=d', 'e=e']);
      });

      it('compare bytes without sign and put a prefix before what it starts', async () => {
        const keys = [[0x80], [0x7f], [0xff], [0x00], [0x7f, 0x00], [0xff, 0xff]].map((key) =>
          Buffer.from(key),
        );
        await backend.write(keys.map((key) => ({ key, value: key })));
        const found = (await backend.range({})).map(({ key }) => key.toString('hex'));
        assert.deepEqual(found, ['00', '61', '62', '63', '64', '65', '7f', '7f00', '80', 'ff', 'ffff']);
      });

      it('include `from` and exclude `to`', async () => {
        assert.deepEqual(shown(await backend.range({ from: bytes('b'), to: bytes('d') })), ['b=b', 'c=c']);
      });

      it('take bounds that are no keys', async () => {
        assert.deepEqual(shown(await backend.range({ from: bytes('bb'), to: bytes('dd') })), ['c=c', 'd=d']);
      });

      it('are open where a bound is absent', async () => {
        assert.deepEqual(shown(await backend.range({ from: bytes('d') })), ['d=d', 'e=e']);
        assert.deepEqual(shown(await backend.range({ to: bytes('b') })), ['a=a']);
      });

      it('are empty when `to` is not above `from`', async () => {
        assert.deepEqual(await backend.range({ from: bytes('c'), to: bytes('c') }), []);
        assert.deepEqual(await backend.range({ from: bytes('d'), to: bytes('b') }), []);
        assert.deepEqual(await backend.range({ to: Buffer.alloc(0) }), []);
        assert.deepEqual(await backend.range({ from: bytes('d'), to: bytes('b'), reverse: true }), []);
      });

      it('run backwards with the same bounds', async () => {
        const range = { from: bytes('b'), to: bytes('e'), reverse: true };
        assert.deepEqual(shown(await backend.range(range)), ['d=d', 'c=c', 'b=b']);
        assert.deepEqual(shown(await backend.range({ reverse: true, to: bytes('zz') })).at(0), 'e=e');
      });

      it('stop at the limit, forwards and backwards', async () => {
        assert.deepEqual(shown(await backend.range({ limit: 2 })), ['a=a', 'b=b']);
        assert.deepEqual(shown(await backend.range({ limit: 2, reverse: true })), ['e=e', 'd=d']);
        assert.deepEqual(await backend.range({ limit: 0 }), []);
      });
    });

    describe('scans', () => {
      beforeEach(() => backend.write(['a', 'b', 'c', 'd', 'e'].map((key) => put(key, key))));

      it('give full pages and then the rest', async () => {
        assert.deepEqual(await pages(2), [['a=a', 'b=b'], ['c=c', 'd=d'], ['e=e']]);
      });

      it('give no empty page at the end', async () => {
        assert.deepEqual((await pages(5)).length, 1);
        assert.deepEqual(await pages(3, { from: bytes('x') }), []);
      });

      it('keep bounds, direction and limit', async () => {
        const range = { from: bytes('b'), reverse: true, limit: 3 };
        assert.deepEqual(await pages(2, range), [['e=e', 'd=d'], ['c=c']]);
      });

      it('show one snapshot: what is written after the first page does not appear', async () => {
        const seen: string[] = [];
        for await (const page of backend.scan({}, 2)) {
          seen.push(...shown(page));
          await backend.write([put('bb', 'new'), put('d', 'new'), del('e')]);
        }
        assert.deepEqual(seen, ['a=a', 'b=b', 'c=c', 'd=d', 'e=e']);
      });

      it('may be left half-way', async () => {
        for await (const page of backend.scan({}, 1)) {
          assert.deepEqual(shown(page), ['a=a']);
          break;
        }
        assert.deepEqual((await pages(10)).flat().length, 5);
      });

      it('read a large range whole and in order', async () => {
        const keys = Array.from(
          { length: 25_000 },
          (_, i) => `n${String((i * 7919) % 25_000).padStart(6, '0')}`,
        );
        await backend.write(keys.map((key) => put(key, 'x'.repeat(50))));
        const found = await pages(1000, { from: bytes('n') });
        assert.deepEqual(new Set(found.map((page) => page.length)), new Set([1000]));
        assert.deepEqual(
          found.flat(),
          keys.sort().map((key) => `${key}=${'x'.repeat(50)}`),
        );
        assert.equal((await backend.range({ from: bytes('n') })).length, 25_000);
      });
    });

    describe('writing', () => {
      it('lets the later write of a key in a batch win', async () => {
        await backend.write([put('a', '1'), put('a', '2'), put('b', '1'), del('b'), del('c'), put('c', '3')]);
        assert.deepEqual(shown(await backend.range({})), ['a=2', 'c=3']);
      });

      it('deletes with null, also what is not there', async () => {
        await backend.write([put('a', '1'), put('b', '2')]);
        await backend.write([del('a'), del('never')]);
        assert.deepEqual(shown(await backend.range({})), ['b=2']);
      });

      it('shows a batch whole or not at all', async () => {
        const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
        for (let round = 0; round < 20; round++) {
          const write = backend.write(keys.map((key) => put(key, `${round}`)));
          const seen = await backend.range({});
          assert.ok(seen.length === 0 || seen.length === keys.length);
          assert.ok(new Set(seen.map(({ value }) => value.toString())).size <= 1);
          await write;
        }
      });

      it('keeps the order of calls that are not awaited', async () => {
        const writes: Promise<void>[] = [];
        for (let i = 0; i < 300; i++) writes.push(backend.write([put('a', `${i}`)]));
        await Promise.all(writes);
        assert.deepEqual(await texts('a'), ['299']);
      });

      it('does not keep the caller’s buffers', async () => {
        const key = bytes('a');
        const value = bytes('1');
        await backend.write([{ key, value }]);
        key.fill('z');
        value.fill('z');
        assert.deepEqual(await texts('a', 'z'), ['1', undefined]);
      });

      it('takes an empty batch', async () => {
        await backend.write([]);
        await backend.write([], { sync: true });
        assert.deepEqual(await backend.range({}), []);
      });

      it('finds each of many keys written and deleted in random order', async () => {
        const expected = new Map<string, string>();
        let seed = 1;
        for (let round = 0; round < 60; round++) {
          const batch: Write[] = [];
          for (let i = 0; i < 200; i++) {
            seed = (seed * 48271) % 2147483647;
            const key = `k${seed % 4000}`;
            if (seed % 3 === 0) {
              expected.delete(key);
              batch.push(del(key));
            } else {
              expected.set(key, `${seed}`);
              batch.push(put(key, `${seed}`));
            }
          }
          await backend.write(batch);
        }
        const sorted = [...expected]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, value]) => `${key}=${value}`);
        assert.deepEqual(shown(await backend.range({})), sorted);
        assert.deepEqual(shown(await backend.range({ reverse: true })), sorted.reverse());
      });

      it('tells a size that grows with what is written', async () => {
        const before = await backend.sizeBytes();
        await backend.write(Array.from({ length: 100 }, (_, i) => put(`k${i}`, 'x'.repeat(1000))));
        assert.ok((await backend.sizeBytes()) >= before + 90_000);
      });
    });

    describe('closing', () => {
      it('may be called twice, at once and again', async () => {
        await Promise.all([backend.close(), backend.close()]);
        await backend.close();
      });

      it('waits for a write in flight', async () => {
        let written = false;
        const write = backend.write([put('a', '1')], { sync: true }).then(() => {
          written = true;
        });
        await backend.close();
        await write;
        assert.ok(written);
      });

      it('refuses every later call', async () => {
        const scan = backend.scan({}, 1)[Symbol.asyncIterator]();
        await backend.close();
        await assert.rejects(backend.getMany([bytes('a')]), StreamsError);
        await assert.rejects(backend.range({}), StreamsError);
        await assert.rejects(backend.write([put('a', '1')]), StreamsError);
        await assert.rejects(backend.sizeBytes(), StreamsError);
        await assert.rejects(Promise.resolve(scan.next()), StreamsError);
      });

      it('does not wait for a scan that its reader left open', async () => {
        await backend.write([put('a', '1'), put('b', '2'), put('c', '3')]);
        const scan = backend.scan({}, 1)[Symbol.asyncIterator]();
        await scan.next();
        await backend.close();
        await assert.rejects(Promise.resolve(scan.next()), StreamsError);
      });
    });

    if (adapter.durable) {
      describe('folders', () => {
        it('keep what was written when they are opened again', async () => {
          await backend.write([put('a', '1'), put('b', '2')]);
          await backend.write([put('c', '3'), del('b')], { sync: true });
          await backend.close();
          backend = await adapter.open(path);
          assert.deepEqual(shown(await backend.range({})), ['a=1', 'c=3']);
        });

        it('are open once at a time: the second is refused by name', async () => {
          await assert.rejects(
            adapter.open(path),
            (error: StreamsError) => error.code === 'STORE_LOCKED' && error.message.includes(path),
          );
          await backend.write([put('a', '1')]);
          assert.deepEqual(await texts('a'), ['1']);
        });

        it('are apart from each other', async () => {
          const other = await adapter.open(adapter.freshPath());
          await other.write([put('a', 'other')]);
          assert.deepEqual(await texts('a'), [undefined]);
          await other.close();
        });
      });
    }
  });
}
