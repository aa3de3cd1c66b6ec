/** Reading a request's body: bounded, UTF-8, JSON. */
import { HarnessError } from '../../shared/problem.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The body as text, the empty string when there is none. Throws `payload_too_large`, or `bad_request` for bytes that are not UTF-8. */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = (got: string) =>
    new HarnessError(
      'payload_too_large',
      `body: expected at most ${maxBytes} bytes, got ${got}; send several smaller ones.`,
    );
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw tooLarge(String(announced));
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge('more');
    chunks.push(chunk);
  }
  try {
    return decoder.decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new HarnessError('bad_request', 'body: expected UTF-8, got other bytes.', { cause });
  }
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
