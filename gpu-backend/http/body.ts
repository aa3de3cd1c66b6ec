/** Reading a request's body: bounded, UTF-8, JSON. */
import { HarnessError } from '../../shared/problem.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The body as text, the empty string when there is none. Throws `payload_too_large`, or `bad_request` for bytes that are not
 * UTF-8 and for a body that breaks off.
 */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = (got: string) =>
    new HarnessError(
      'payload_too_large',
      `body: expected at most ${maxBytes} bytes, got ${got}; send several smaller ones.`,
    );
  const announced = request.headers.get('content-length');
  if (Number(announced) > maxBytes) throw tooLarge(announced!);
  let bytes: Uint8Array;
  try {
    // Of an announced length it is read in one piece: a stream costs more than the rest of what is done for a small body.
    bytes = announced === null ? await readStream(request, maxBytes) : new Uint8Array(await request.arrayBuffer());
  } catch (cause) {
    throw new HarnessError('bad_request', 'body: expected all of it, but the connection ended before that.', { cause });
  }
  if (bytes.byteLength > maxBytes) throw tooLarge('more');
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new HarnessError('bad_request', 'body: expected UTF-8, got other bytes.', { cause });
  }
}

/** A body of any length, as far as the first chunk behind `maxBytes`. */
async function readStream(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > maxBytes) break;
  }
  return Buffer.concat(chunks);
}

/** The text as JSON. Throws `unsupported_media_type` unless it was sent as such, `bad_request` for anything else. */
export function readJson(text: string, contentType: string | null | undefined): unknown {
  const mediaType = (contentType ?? '').split(';')[0]!.trim().toLowerCase();
  if (mediaType !== 'application/json') {
    throw new HarnessError(
      'unsupported_media_type',
      `content-type: expected application/json, got ${mediaType === '' ? 'none' : JSON.stringify(mediaType.slice(0, 80))}.`,
    );
  }
  if (text === '') throw new HarnessError('bad_request', 'body: expected JSON, got nothing.');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HarnessError(
      'bad_request',
      `body: expected JSON, got text that is not (${(cause as Error).message.slice(0, 120)}).`,
      {
        cause,
      },
    );
  }
}
