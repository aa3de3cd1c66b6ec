/**
 * Small records beside a generation: that it was published, or why it failed. Written by rename, so that a crash leaves
 * the old one or the new one, and durable before anything relies on them.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { syncFolder } from '../sync-folder.ts';

/** `published.json` */
export const Published = z.object({ publishedAt: z.string(), recall: z.number().nullable() });
/** `failed.json` */
export const Failed = z.object({
  reason: z.string(),
  createdAt: z.string(),
  spaceId: z.string(),
  model: z.string(),
  ads: z.int(),
});

/** A record; `undefined` where there is none. */
export async function readRecord<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S> | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    // A record that is missing or cut short by a crash says nothing; the digests say whether the generation is whole.
    return undefined;
  }
}

/** Replaces the content of the file `name` in folder `dir`. */
export async function replaceFile(dir: string, name: string, text: string): Promise<void> {
  const next = join(dir, `${name}.next`);
  await writeFile(next, text, { flush: true });
  await rename(next, join(dir, name));
  await syncFolder(dir);
}
