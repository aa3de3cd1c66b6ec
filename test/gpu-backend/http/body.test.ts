/** Bodies as they come from a socket: of announced length and not, too large, broken off, and no text. */
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readText } from '../../../gpu-backend/http/body.ts';
import { type HttpServer, listen } from '../../../gpu-backend/http/server.ts';

const MAX_BYTES = 40;
let server: HttpServer;
/** What was read of each request, or what it was refused with. */
let read: unknown[];
beforeAll(async () => {
  server = await listen({ host: '127.0.0.1', port: 0 });
  server.serve({
    async fetch(request) {
      read.push(await readText(request, MAX_BYTES).catch((error: unknown) => error));
      return new Response('read');
    },
  });
});
beforeEach(() => {
  read = [];
});
afterAll(() => server.close(0));

const ANNOUNCED = (body: Buffer) => Buffer.concat([Buffer.from(`content-length: ${body.length}\r\n\r\n`), body]);
const CHUNKED = (body: Buffer) =>
  Buffer.concat([
    Buffer.from('transfer-encoding: chunked\r\n\r\n'),
    ...[...body].flatMap((byte) => [Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]),
    Buffer.from('0\r\n\r\n'),
  ]);

/** Sends what follows the first headers, as far as it goes, and ends; resolves when the server has read it. */
async function send(rest: Buffer): Promise<unknown> {
  const head = Buffer.from('POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n');
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => socket.end(Buffer.concat([head, rest])));
  await new Promise((resolve) => socket.on('error', resolve).on('close', resolve).resume());
  while (read.length === 0) await new Promise((resolve) => setImmediate(resolve));
  return read.pop();
}

test.each([
  ['of announced length', ANNOUNCED],
  ['in chunks', CHUNKED],
])('a body %s is read whole, as UTF-8 and within the bound', async (_how, form) => {
  for (const text of ['', '{"query":"sofá 🛋"}', '\ufeff[]', 'x'.repeat(MAX_BYTES)])
    expect(await send(form(Buffer.from(text)))).toBe(text);
  expect(await send(form(Buffer.from('x'.repeat(MAX_BYTES + 1))))).toMatchObject({
    code: 'payload_too_large',
    message: expect.stringMatching(/^body: expected at most 40 bytes, got (41|more); send several smaller ones\.$/),
  });
  expect(await send(form(Buffer.of(0x22, 0xff, 0x22)))).toMatchObject({
    code: 'bad_request',
    message: 'body: expected UTF-8, got other bytes.',
  });
  const whole = form(Buffer.from('{"query":"sofa"}'));
  expect(await send(whole.subarray(0, whole.length - 8))).toMatchObject({
    code: 'bad_request',
    message: 'body: expected all of it, but the connection ended before that.',
  });
});

test('a length that is announced is not trusted', async () => {
  const long = new Request('http://x', { method: 'POST', body: 'x'.repeat(99), headers: { 'content-length': '3' } });
  await expect(readText(long, MAX_BYTES)).rejects.toMatchObject({ code: 'payload_too_large' });
});
