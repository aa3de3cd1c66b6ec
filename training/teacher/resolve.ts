/** Where a teacher is: a checkpoint folder, or a Hugging Face repository fetched once into the cache. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { downloadFile } from '@huggingface/hub';
import { HarnessError } from '../../shared/problem.ts';
import { SHARD_INDEX, shardNames, WEIGHTS } from './shards.ts';

/** Files of a checkpoint beside its weights. */
const REQUIRED = ['config.json', 'tokenizer.json'];
const OPTIONAL = [
  'modules.json',
  '1_Pooling/config.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'README.md',
];
/** Where repositories come from unless told otherwise. */
const HUB = 'https://huggingface.co';
const REPOSITORY = /^[\w.-]+\/[\w.-]+$/;

/** A checkpoint that is on disk. */
export interface TeacherPlace {
  readonly folder: string;
  readonly name: string;
  /** Where it came from, for the manifest. */
  readonly source: string;
}

/**
 * Finds the teacher, fetching it where need be. `cache` holds fetched repositories, one folder each; `hub` is the address of a mirror.
 * @throws HarnessError in one line where it is neither a folder nor can be fetched.
 */
export async function resolveTeacher(
  teacher: string,
  { cache, hub = HUB, onFile = () => {} }: { cache: string; hub?: string; onFile?: (path: string) => void },
): Promise<TeacherPlace> {
  if (existsSync(join(teacher, 'config.json'))) {
    const name = basename(resolve(teacher));
    return { folder: teacher, name, source: `checkpoint folder ${name}` };
  }
  if (!REPOSITORY.test(teacher))
    throw new HarnessError(
      'not_found',
      `teacher ${teacher}: expected a folder with config.json, or a Hugging Face repository such as sentence-transformers/all-MiniLM-L6-v2.`,
    );
  const place = { folder: join(cache, teacher), name: basename(teacher), source: `https://huggingface.co/${teacher}` };
  if (!existsSync(join(place.folder, 'config.json')))
    await fetchRepository(teacher, { folder: place.folder, hub, onFile });
  return place;
}

/** Fetches into a folder that appears under its name only when complete. */
async function fetchRepository(
  repository: string,
  { folder, hub, onFile }: { folder: string; hub: string; onFile: (path: string) => void },
): Promise<void> {
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });

  /** Whether the repository has the file, which then lies in the folder. */
  const fetched = async (path: string): Promise<boolean> => {
    onFile(path);
    let blob: Blob | null;
    try {
      blob = await downloadFile({ repo: repository, path, hubUrl: hub });
    } catch (cause) {
      throw new HarnessError(
        'not_found',
        `teacher ${repository}: could not fetch ${path} from ${hub} (${(cause as Error).message}); with no network, pass a checkpoint folder with --teacher.`,
        { cause },
      );
    }
    if (!blob) return false;
    const target = join(partial, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, blob.stream());
    return true;
  };
  const required = async (path: string) => {
    if (await fetched(path)) return;
    throw new HarnessError(
      'not_found',
      `teacher ${repository}: the repository has no ${path}; a safetensors checkpoint is needed.`,
    );
  };

  for (const path of REQUIRED) await required(path);
  for (const path of OPTIONAL) await fetched(path);
  if (!(await fetched(WEIGHTS))) {
    if (!(await fetched(SHARD_INDEX))) await required(WEIGHTS);
    const index = join(partial, SHARD_INDEX);
    for (const shard of shardNames(await readFile(index, 'utf8'), index)) await required(shard);
  }
  await rename(partial, folder);
}
