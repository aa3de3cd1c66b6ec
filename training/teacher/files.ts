/** Files of a checkpoint folder: those that must be there, those that may be, and JSON checked by its schema. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';

/** A file's bytes, or undefined where there is none. */
export async function optionalFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file's text, or undefined where there is none. */
export async function optionalText(path: string): Promise<string | undefined> {
  const bytes = await optionalFile(path);
  return bytes && new TextDecoder().decode(bytes);
}

/** The error for a folder that lacks a file. */
export const missing = (folder: string, file: string): HarnessError =>
  new HarnessError(
    'not_found',
    `${folder}: expected a checkpoint folder with config.json, model.safetensors and tokenizer.json, found no ${file}.`,
  );

/** @throws HarnessError `not_found` where there is none. */
export async function requiredFile(folder: string, file: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await optionalFile(join(folder, file));
  if (!bytes) throw missing(folder, file);
  return bytes;
}

/** JSON that a schema accepts. @throws HarnessError `configuration` naming the field that is not as expected. */
export function parsed<S extends z.ZodType>(schema: S, json: string, where: string): z.infer<S> {
  try {
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const why = issue ? `${issue.path.join('.')}: ${issue.message}` : 'not JSON';
    throw new HarnessError('configuration', `${where}: ${why}.`, { cause });
  }
}
