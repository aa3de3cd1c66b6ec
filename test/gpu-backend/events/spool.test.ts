/** Events on disk: what is acknowledged is there, whatever the file is cut to; damage is found and kept; the room is bounded. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { openSpool, readFrames, type SpoolOptions } from '../../../gpu-backend/events/spool.ts';

let dir: string;
let damaged: string[];
let failures: unknown[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'harness-spool-'));
  damaged = [];
  failures = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (change: Partial<SpoolOptions> = {}) =>
  openSpool({
    ...{ dir, maxBytes: 1e6 },
    onDamage: (file) => damaged.push(file),
    onFailure: (error) => failures.push(error),
    ...change,
  });
const drained = async (spool: ReturnType<typeof open>) => {
  const requests: unknown[] = [];
  await spool.drain(async (events) => requests.push(events));
  return requests;
};
const framesOf = (file: Buffer) => {
  let damaged = false;
  const payloads = [
    ...readFrames(file, () => {
      damaged = true;
    }),
  ];
  return { payloads, damaged };
};
const byText = (list: unknown[]) => list.map((value) => JSON.stringify(value)).sort();

test('what is appended, at once or not, comes out once, also from another process, and then the folder is empty', async () => {
  const requests = Array.from({ length: 40 }, (_, i) => [{ id: `event-${i}`, text: 'ünï\n' }]);
  const first = open({ fileBytes: 300 });
  await Promise.all(requests.slice(0, 20).map((events) => first.append(events)));
  for (const events of requests.slice(20)) await first.append(events);
  expect(readdirSync(dir).length).toBeGreaterThan(2);
  const size = first.bytes();
  await first.close();
  const second = open();
  expect(second.bytes()).toBe(size);
  await second.append(['new']);
  expect(byText(await drained(second))).toEqual(byText([...requests, ['new']]));
  expect([second.bytes(), readdirSync(dir), await drained(second)]).toEqual([0, [], []]);
  await second.append(['later']);
  expect(await drained(second)).toEqual([['later']]);
});

test('what is appended while a drain or the end begins is on disk all the same', async () => {
  const spool = open();
  const stored: unknown[] = [];
  await spool.append(['before']);
  const drain = spool.drain(async (events) => stored.push(events));
  await spool.append(['during']);
  await drain;
  const closed = spool.close();
  await spool.append(['at the end']);
  await closed;
  expect(byText([...stored, ...(await drained(open()))])).toEqual(byText([['before'], ['during'], ['at the end']]));
});

test('a file is read beside everything else that the process does', async () => {
  const before = open();
  await before.append(['event']);
  await before.close();
  let others = false;
  setImmediate(() => {
    others = true;
  });
  await open().drain(async () => expect(others).toBe(true));
  expect.assertions(1);
});

test('a drain takes along what is appended before its end', async () => {
  const spool = open();
  await spool.append([1]);
  const stored: unknown[] = [];
  const drain = async ([i]: readonly unknown[]) => {
    stored.push(i);
    if (i === 1) await spool.append([2]);
  };
  expect([await spool.drain(drain), stored, spool.bytes()]).toEqual([2, [1, 2], 0]);
});

test('a file cut anywhere gives every whole frame before the cut', async () => {
  const spool = open();
  for (let i = 0; i < 5; i++) await spool.append([`event ${i}`]);
  await spool.close();
  const path = join(dir, readdirSync(dir)[0]!);
  const whole = readFileSync(path);
  const frame = whole.length / 5;
  for (let cut = 0; cut <= whole.length; cut++) {
    const { payloads, damaged } = framesOf(whole.subarray(0, cut));
    expect([payloads.length, damaged]).toEqual([Math.floor(cut / frame), false]);
  }
  writeFileSync(path, whole.subarray(0, whole.length - 1));
  expect((await drained(open())).length).toBe(4);
});

test('zeros behind the last whole frame, as a crash of the machine leaves them, are none; with anything behind them they are damage', async () => {
  const spool = open();
  await spool.append(['event']);
  await spool.close();
  const path = join(dir, readdirSync(dir)[0]!);
  const whole = readFileSync(path);
  expect(framesOf(Buffer.concat([whole, Buffer.alloc(100), whole]))).toMatchObject({ damaged: true });
  writeFileSync(path, Buffer.concat([whole, Buffer.alloc(100)]));
  expect([await drained(open()), damaged, readdirSync(dir)]).toEqual([[['event']], [], []]);
});

test('a flipped bit is never taken for an event, costs no whole frame before it, and is always told', async () => {
  const spool = open();
  for (let i = 0; i < 3; i++) await spool.append([`event ${i}`]);
  await spool.close();
  const name = readdirSync(dir)[0]!;
  const whole = readFileSync(join(dir, name));
  const truth = framesOf(whole).payloads;
  const frame = whole.length / 3;
  fc.assert(
    fc.property(fc.nat(8 * whole.length - 1), (bit) => {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const hit = Math.floor((bit >> 3) / frame);
      const found = framesOf(flipped);
      expect(found.damaged).toBe(true);
      expect(found.payloads.slice(0, hit)).toEqual(truth.slice(0, hit));
      const behind = found.payloads.slice(hit);
      expect([[], truth.slice(hit + 1)]).toContainEqual(behind);
    }),
    { seed: 1 },
  );
  whole[whole.length - frame - 1]! ^= 1; // in the second event: the third is whole
  writeFileSync(join(dir, name), whole);
  expect(await drained(open())).toEqual([['event 0'], ['event 2']]);
  expect(damaged).toEqual([join(dir, `${name}.damaged`)]);
  expect(readdirSync(dir)).toEqual([`${name}.damaged`]);
});

test('a length that says more than the file has is damage: what comes behind it is kept', async () => {
  const spool = open();
  for (let i = 0; i < 3; i++) await spool.append([`event ${i}`]);
  await spool.close();
  const name = readdirSync(dir)[0]!;
  const whole = readFileSync(join(dir, name));
  whole[whole.length / 3 + 3]! ^= 0x40; // a gigabyte more in the second frame
  writeFileSync(join(dir, name), whole);
  expect(await drained(open())).toEqual([['event 0']]);
  expect(readFileSync(damaged[0]!).equals(whole)).toBe(true);
});

test('a file that cannot be read is set aside, and its name is not given to another', async () => {
  mkdirSync(join(dir, '0000000001.spool'));
  const spool = open();
  await spool.append(['event']);
  expect(await drained(spool)).toEqual([['event']]);
  expect(damaged).toEqual([join(dir, '0000000001.spool.damaged')]);
  await spool.close();
  const next = open();
  await next.append(['later']);
  expect(readdirSync(dir)).toEqual(['0000000001.spool.damaged', '0000000002.spool']);
  await next.close();
});

test('while the disk takes nothing events are refused and nothing is left; then it goes on', async () => {
  const spool = open();
  await spool.append(['before']);
  const size = spool.bytes();
  const handle = await openFile(join(dir, 'any'), 'w');
  const sync = vi.spyOn(Object.getPrototypeOf(handle), 'datasync');
  onTestFinished(() => sync.mockRestore());
  await handle.close();
  rmSync(join(dir, 'any'));
  sync.mockRejectedValue(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
  for (let i = 1; i <= 5; i++) {
    await expect(spool.append([`event ${i}`])).rejects.toMatchObject({
      code: 'not_ready',
      message: expect.stringContaining('no space left on device'),
      retryAfterSeconds: 10,
    });
    expect([failures.length, spool.bytes(), readdirSync(dir).length]).toEqual([i, size, 1]);
  }
  sync.mockRestore();
  await spool.append(['after']);
  expect(await drained(spool)).toEqual([['before'], ['after']]);
  expect([spool.bytes(), readdirSync(dir), damaged]).toEqual([0, [], []]);
});

test('a folder that is none is told at the start', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');
  for (const none of [file, join(file, 'spool')])
    expect(() => open({ dir: none })).toThrow(
      expect.objectContaining({
        code: 'configuration',
        message: expect.stringMatching(/^.*file.*: expected a folder that can be written, .* got: E(EXIST|NOTDIR).*$/),
      }),
    );
});

test('in a folder that is gone events are refused', async () => {
  const spool = open();
  rmSync(dir, { recursive: true });
  await expect(spool.append(['event'])).rejects.toMatchObject({ code: 'not_ready' });
  expect([failures.length, spool.bytes()]).toEqual([1, 0]);
});

test('beyond its room it refuses, and takes again when there is room', async () => {
  const spool = open({ maxBytes: 100 });
  const big = ['x'.repeat(60)];
  const [first, second] = await Promise.allSettled([spool.append(big), spool.append(big)]);
  expect([first.status, second.status]).toEqual(['fulfilled', 'rejected']);
  await expect(spool.append(big)).rejects.toMatchObject({ code: 'not_ready', retryAfterSeconds: 10 });
  expect(await drained(spool)).toEqual([big]);
  await spool.append(big);
  await spool.close();
});

test('a drain that fails keeps what is not stored, and takes up again', async () => {
  const spool = open({ fileBytes: 1 }); // a file a request
  for (let i = 0; i < 4; i++) await spool.append([i]);
  const seen: unknown[] = [];
  const away = new Error('away again');
  await expect(
    spool.drain(async ([i]) => {
      if (i === 2) throw away;
      seen.push(i);
    }),
  ).rejects.toBe(away);
  await spool.append([4]);
  expect(seen).toEqual([0, 1]);
  expect(await drained(spool)).toEqual([[2], [3], [4]]);
});
