/** Phase 1 as a stage: whatever the teacher is, what comes out is a `Teacher` that has learnt the market. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, type RecipeContext } from '../context.ts';
import { vectorFolder } from '../phases/prepare.ts';
import type { LossPoint } from '../phases/train.ts';
import { type Checkpoint, readCheckpoint } from '../teacher/checkpoint.ts';
import { endpointTeacher } from '../teacher/endpoint.ts';
import { resolveTeacher } from '../teacher/resolve.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { vectorFileTeacher } from '../teacher/vector-files.ts';
import { adapted } from './adapted.ts';
import { fineTuned, isFineTuned } from './fine-tune.ts';

export interface Taught {
  readonly teacher: Teacher;
  /** The teacher's own model, where it runs here: a student may start from it, and its speed can be measured. */
  readonly checkpoint?: Checkpoint;
  /** Names the map between what the teacher gives and the space; 'none' where vectors are taken as they are. */
  readonly projection: string;
  readonly losses: readonly LossPoint[];
}

/** A checkpoint and where it came from, for the manifest. */
export interface SourceCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly source: string;
}

const CHECKPOINTS = join(CACHE, 'checkpoints');

/** Reads a checkpoint folder, or fetches a Hugging Face repository first. */
export async function openCheckpoint(from: string, say: (line: string) => void): Promise<SourceCheckpoint> {
  const place = await resolveTeacher(from, {
    cache: CHECKPOINTS,
    // The variable that Hugging Face's own tools read.
    ...(process.env.HF_ENDPOINT ? { hub: process.env.HF_ENDPOINT } : {}),
    onFile: (path) => say(`fetching ${path} of ${from}`),
  });
  return { checkpoint: await readCheckpoint(place.folder, place.name), source: place.source };
}

/** Goes on where an earlier run with the same data, teacher and settings stopped. */
export async function teach(context: RecipeContext): Promise<Taught> {
  const { from } = context.config.teacher;
  if (typeof from === 'string') return fineTuned(context, await openCheckpoint(from, context.say));
  const teacher =
    'endpoint' in from
      ? await endpointTeacher(from.endpoint, { cache: join(CACHE, 'endpoints') })
      : await vectorFileTeacher(from.vectors);
  return adapted(context, teacher);
}

/** Whether `teach` has nothing to fetch and nothing to train. @param sha256 Of the teacher that a bundle was made from. */
export async function isTaught(context: RecipeContext, sha256: string): Promise<boolean> {
  const { from } = context.config.teacher;
  // What is not run here is asked for vectors, and those are kept.
  if (typeof from !== 'string') return existsSync(vectorFolder(sha256));
  const there = [from, join(CHECKPOINTS, from)].some((folder) => existsSync(join(folder, 'config.json')));
  return there && isFineTuned(context, await openCheckpoint(from, context.say));
}
