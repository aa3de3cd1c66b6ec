/** A checkpoint folder as a teacher: its encoder in fp32, run here. */
import { TextEncoderSession } from '../runner/encoder.ts';
import type { Checkpoint } from './checkpoint.ts';
import { normalizeRows, type Teacher } from './teacher.ts';

export interface CheckpointTeacherOptions {
  /** 0 takes one thread a core. */
  readonly threads?: number;
  /** Where the checkpoint came from, for the manifest. */
  readonly source?: string;
}

/** The session is opened with the first text, and again after `close`. */
export function checkpointTeacher(
  checkpoint: Checkpoint,
  { threads = 0, source = `checkpoint folder ${checkpoint.name}` }: CheckpointTeacherOptions = {},
): Teacher {
  const { name, sha256, license, tokenizer, queryPrompt, documentPrompt } = checkpoint;
  const dimension = checkpoint.config.hidden_size;
  let session: Promise<TextEncoderSession> | undefined;
  return {
    name,
    sha256,
    dimension,
    license,
    source,
    async encode(texts, { role, onProgress }) {
      if (texts.length === 0) return new Float32Array();
      session ??= TextEncoderSession.open(checkpoint, { tokenizer, dimension, threads });
      const prompt = role === 'query' ? queryPrompt : documentPrompt;
      const prompted = prompt === '' ? texts : texts.map((text) => prompt + text);
      const vectors = await (await session).encode(prompted, onProgress ? { onProgress } : {});
      return checkpoint.pooling.normalize ? vectors : normalizeRows(vectors, dimension);
    },
    async close() {
      const open = session;
      session = undefined;
      await (await open)?.close();
    },
  };
}
