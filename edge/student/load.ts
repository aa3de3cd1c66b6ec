/** A student from the files of its bundle, each checked against the manifest before it is used, as the backend does. */
import type { Tokenizer } from '@huggingface/tokenizers';
import { type BundleFile, type Manifest, parseManifest } from '../../shared/bundle.ts';
import { sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { openSpelling } from '../../shared/spelling.ts';
import { paddingId, tokenIds } from '../../shared/token-ids.ts';
import { Model } from './model.ts';
import { readInto } from './read-into.ts';

/** A binding that serves the files of a bundle's folder by name: static assets on Cloudflare, a folder under workerd. */
export interface BundleFiles {
  fetch(url: string): Promise<Pick<Response, 'ok' | 'status' | 'body' | 'text'>>;
}

export interface LoadedStudent {
  manifest: Manifest;
  /** [dimension] float32 of length one. */
  encode(normalizedQuery: string): Float32Array;
}

async function open(files: BundleFiles, file: string) {
  const response = await files.fetch(`https://student/${file}`);
  if (response.ok) return response;
  throw new HarnessError(
    'configuration',
    `STUDENT: expected ${file}, got status ${response.status}; bind a bundle's folder.`,
  );
}

async function check({ file, sha256 }: BundleFile, bytes: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const digest = await sha256Hex(bytes);
  if (digest !== sha256)
    throw new HarnessError(
      'bundle_damaged',
      `${file}: expected SHA-256 ${sha256}, got ${digest}; deploy the bundle again.`,
    );
}

/** @param kernel linear.wasm, compiled. Throws `configuration` or `bundle_damaged`, naming the file. */
export async function loadStudent(files: BundleFiles, kernel: object): Promise<LoadedStudent> {
  const manifest = parseManifest(await (await open(files, 'manifest.json')).text(), 'STUDENT manifest.json');
  const { student, maxTokens } = manifest;
  const json = async (file: BundleFile) => {
    const text = await (await open(files, file.file)).text();
    await check(file, text);
    return JSON.parse(text);
  };
  const parsed = await json(manifest.tokenizer);
  const spelling = manifest.spelling && openSpelling(await json(manifest.spelling));
  // Its tables take a twentieth of what the Worker takes to start, where most have no student.
  const tokenizers = await import('@huggingface/tokenizers');
  const library = new tokenizers.Tokenizer(parsed as ConstructorParameters<typeof Tokenizer>[0], {});
  const ids = tokenIds(library, { maxTokens, padding: paddingId(parsed), ...(spelling && { spelling }) });
  const model = await Model.open({
    bytes: student.bytes,
    maxTokens,
    kernel,
    async fill(memory) {
      await readInto(memory, (await open(files, student.file)).body, student.file);
      await check(student, memory);
    },
  });
  return { manifest, encode: (query) => model.run(ids(query)) };
}
