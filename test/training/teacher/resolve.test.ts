/** Finding a teacher: folders, a hub that answers, and one that does not. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { resolveTeacher } from '../../../training/teacher/resolve.ts';
import { TINY } from '../golden.ts';
import { goldenOf, tinyShards, writeTiny } from '../tiny-checkpoint.ts';

let folder: string;
let server: Server | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-teacher-'));
});
afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true });
});

/** Serves a checkpoint folder, the golden one unless told otherwise, the way the hub serves a repository; without the named file. */
async function hub({ without, root = TINY }: { without?: string; root?: string } = {}): Promise<string> {
  server = createServer(async (request, response) => {
    const path = request.url!.replace('/owner/tiny/resolve/main/', '');
    const file = join(root, path);
    if (path === without || !existsSync(file)) {
      response.writeHead(404, { 'X-Error-Code': 'EntryNotFound' }).end();
      return;
    }
    const content = await readFile(file);
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const part = range ? content.subarray(Number(range[1]), Number(range[2]) + 1) : content;
    const headers = { etag: '"1"', 'content-range': `bytes 0-${part.length - 1}/${content.length}` };
    response.writeHead(range ? 206 : 200, headers).end(part);
  });
  await new Promise<void>((listening) => server!.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('resolveTeacher', () => {
  it('takes a folder as it is, and calls it by its name', async () => {
    const place = await resolveTeacher(TINY, { cache: folder });
    expect(place).toEqual({ folder: TINY, name: 'bert-tiny', source: 'checkpoint folder bert-tiny' });
  });

  it('fetches a repository once, and reads it like the folder it came from', async () => {
    const fetched: string[] = [];
    const options = { cache: folder, hub: await hub(), onFile: (path: string) => fetched.push(path) };
    const place = await resolveTeacher('owner/tiny', options);
    expect(fetched).toContain('model.safetensors');
    const [checkpoint, original] = [await readCheckpoint(place.folder, place.name), await readCheckpoint(TINY)];
    expect(checkpoint).toMatchObject({ name: 'tiny', sha256: original.sha256, pooling: original.pooling });
    fetched.length = 0;
    expect(await resolveTeacher('owner/tiny', options)).toEqual(place);
    expect(fetched).toEqual([]);
  });

  it('fetches the shards of a repository that has no single file of weights', async () => {
    const tiny = goldenOf('qwen3');
    const root = join(folder, 'origin');
    await writeTiny(root, tiny, { files: tinyShards(tiny) });
    const { folder: place } = await resolveTeacher('owner/tiny', { cache: folder, hub: await hub({ root }) });
    const [checkpoint, original] = [await readCheckpoint(place), await readCheckpoint(root)];
    expect(checkpoint).toMatchObject({ sha256: original.sha256, queryPrompt: tiny.prompt });
  });

  it.each([
    ['a hub that cannot be reached', async () => 'http://127.0.0.1:9', /could not fetch config\.json .*--teacher/],
    ['a repository without safetensors', () => hub({ without: 'model.safetensors' }), /has no model\.safetensors/],
  ])('says in one line what is wrong with %s, and leaves nothing half done', async (_, address, message) => {
    const failing = resolveTeacher('owner/tiny', { cache: folder, hub: await address() });
    await expect(failing).rejects.toThrow(message);
    expect(existsSync(join(folder, 'owner/tiny'))).toBe(false);
  });

  it('refuses what is neither a folder nor a repository', async () => {
    await expect(resolveTeacher('nothing here', { cache: folder })).rejects.toThrow(
      'expected a folder with config.json',
    );
  });
});
