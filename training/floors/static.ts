/**
 * The static floor: no layers, one look-up per token, as model2vec's users have it (Tulkens and van Dongen, 2024), and
 * then trained like a student.
 *
 * Each token's vector is what the teacher makes of that token alone, reduced by PCA and weighted by smooth inverse frequency (Arora et
 * al., 2017); the components make the linear map back to the teacher's dimension, so that it searches the same ads. Then phases 2 and 3.
 *
 * Its states are kept in its folder: with the same options a finished run is read back, and a killed one continues.
 */
import { join } from 'node:path';
import { HarnessError } from '../../shared/problem.ts';
import { embeddingWidth, PROJECTION } from '../nn/encoder.ts';
import { TOKEN_TABLE } from '../nn/static.ts';
import type { TensorData } from '../onnx/model.ts';
import { type AlignmentPart, type AlignOptions, align } from '../phases/align.ts';
import { type RefineOptions, refine } from '../phases/refine.ts';
import { type EncoderModel, TextEncoderSession } from '../runner/encoder.ts';
import type { RunnerOptions } from '../runner/runner.ts';
import type { Report } from '../runner/step.ts';
import { applyMap } from '../teacher/linear-map.ts';
import { fitProjection } from '../teacher/projection.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { encoderOf, type Floor } from './floor.ts';

export interface StaticSettings {
  /** Width of the token vectors after PCA, at most the teacher's dimension. */
  readonly dimension: number;
  /** Smoothing `a` of the weight a / (a + p) of a token that is a share p of all tokens: smaller weighs frequent tokens less. */
  readonly sif: number;
  readonly align: AlignOptions['settings'];
  readonly refine: RefineOptions['settings'];
}

export interface StaticOptions extends Pick<RunnerOptions, 'device' | 'threads' | 'say'> {
  /** The teacher's model, or any encoder of its space that reads the same vocabulary. */
  readonly teacher: EncoderModel;
  readonly tokenizer: TextTokenizer;
  /** Training texts with the teacher's query vectors. */
  readonly parts: readonly AlignmentPart[];
  /** Clicked queries, the teacher's ad vectors and where they are booked, as of phase 3. */
  readonly clicked: RefineOptions['parts'];
  readonly ads: RefineOptions['ads'];
  readonly booked: RefineOptions['booked'];
  readonly settings: StaticSettings;
  readonly seed: number;
  readonly folder: string;
  readonly onStep?: (phase: 'align' | 'refine', step: number, report: Report) => void;
}

/** Tokens a batch when each is encoded alone. */
const BATCH = 512;

/** What the teacher makes of each token alone between the special tokens that enclose every text; float32 [vocabulary, dimension]. */
async function tokenVectors(
  { teacher, tokenizer, threads = 0 }: Pick<StaticOptions, 'teacher' | 'tokenizer' | 'threads'>,
  [before, after]: readonly [readonly number[], readonly number[]],
): Promise<Float32Array> {
  const count = teacher.config.vocab_size;
  const dimension = embeddingWidth(teacher);
  const vectors = new Float32Array(count * dimension);
  const session = await TextEncoderSession.open(teacher, { tokenizer, dimension, threads });
  for (let start = 0; start < count; start += BATCH) {
    const ids = Array.from({ length: Math.min(BATCH, count - start) }, (_, i) => start + i);
    vectors.set(await session.run(tokenizer.pad(ids.map((id) => [...before, id, ...after]))), start * dimension);
  }
  await session.close();
  return vectors;
}

/** The special tokens that a tokenizer puts before and after every text: what an empty text and a long one have in common. */
export function enclosing(tokenizer: TextTokenizer): [before: number[], after: number[]] {
  const special = tokenizer.encode('');
  const some = tokenizer.encode('a');
  const first = special.findIndex((id, i) => id !== some[i]);
  const cut = first === -1 ? special.length : first;
  return [special.slice(0, cut), special.slice(cut)];
}

/** a / (a + p) of each token, p its share of the tokens of some training texts; 0 for the tokens that every text has. */
export function frequencyWeights(
  rows: Iterable<readonly number[]>,
  { vocabulary, sif, special }: { vocabulary: number; sif: number; special: readonly number[] },
): Float32Array {
  const everywhere = new Set(special);
  const counts = new Float64Array(vocabulary);
  let total = 0;
  for (const row of rows) {
    for (const id of row) {
      if (everywhere.has(id)) continue;
      counts[id]! += 1;
      total++;
    }
  }
  return Float32Array.from(counts, (count, id) =>
    everywhere.has(id) ? 0 : sif / (sif + (total === 0 ? 0 : count / total)),
  );
}

/** The static student before training. @throws HarnessError where the settings ask for more components than there are. */
export async function staticStudent(options: StaticOptions): Promise<EncoderModel> {
  const { teacher, tokenizer, parts, settings, threads = 0 } = options;
  const [from, to] = [embeddingWidth(teacher), settings.dimension];
  if (to > from)
    throw new HarnessError('configuration', `static floor: expected at most ${from} dimensions, received ${to}.`);
  const special = enclosing(tokenizer);
  const vectors = await tokenVectors(options, special);
  const { map } = await fitProjection(vectors, { from, to, threads });
  const table = await applyMap(map, vectors, { role: 'query', threads });
  // Texts are dealt into parts by hash: one part is a sample of all.
  const texts = parts.length === 0 ? [] : (await parts[0]!.read()).texts;
  const vocabulary = teacher.config.vocab_size;
  const weights = frequencyWeights(
    texts.map((text) => tokenizer.encode(text)),
    { vocabulary, sif: settings.sif, special: special.flat() },
  );
  for (let i = 0; i < table.length; i++) table[i]! *= weights[Math.floor(i / to)]!;
  const back = new Float32Array(to * from);
  for (let i = 0; i < from; i++) for (let j = 0; j < to; j++) back[j * from + i] = map.query[i * to + j]!;
  return {
    config: {
      model_type: 'static',
      vocab_size: vocabulary,
      hidden_size: to,
      num_hidden_layers: 0,
      intermediate_size: 0,
      max_position_embeddings: tokenizer.maxTokens,
      pad_token_id: teacher.config.pad_token_id,
    },
    pooling: { mode: 'mean', normalize: true },
    projection: from,
    weights: new Map<string, TensorData>([
      [TOKEN_TABLE, { dtype: 'float32', shape: [vocabulary, to], data: table }],
      [`${PROJECTION}.weight`, { dtype: 'float32', shape: [to, from], data: back }],
    ]),
  };
}

/** Makes the static student and trains it: alignment with the teacher's query vectors, then refinement against its frozen ads. */
export async function trainStaticStudent(options: StaticOptions): Promise<Floor> {
  const { tokenizer, parts, clicked, ads, booked, settings, seed, folder, onStep = () => {} } = options;
  const { device = 'cpu', threads = 0, say } = options;
  const shared = { tokenizer, seed, device, threads, ...(say ? { say } : {}) };
  const aligned = await align({
    ...shared,
    student: await staticStudent(options),
    parts,
    settings: settings.align,
    folder: join(folder, 'align'),
    onStep: (step, report) => onStep('align', step, report),
  });
  const refined = await refine({
    ...shared,
    student: aligned.student,
    parts: clicked,
    ads,
    booked,
    settings: settings.refine,
    folder: join(folder, 'refine'),
    onStep: (step, report) => onStep('refine', step, report),
  });
  return {
    model: refined.student,
    losses: { align: aligned.losses, refine: refined.losses },
    encode: encoderOf(refined.student, { tokenizer, threads }),
  };
}
