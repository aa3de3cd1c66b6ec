/** The conformance suite over every way to bring a teacher. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dump } from 'npyjs';
import { afterAll, beforeAll, describe } from 'vitest';
import { writeTensors } from '../../../training/data/tensor-file.ts';
import { readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { checkpointTeacher } from '../../../training/teacher/checkpoint-teacher.ts';
import { ENDPOINT_DEFAULTS, type EndpointSettings, endpointTeacher } from '../../../training/teacher/endpoint.ts';
import { mapped } from '../../../training/teacher/linear-map.ts';
import { fitProjection } from '../../../training/teacher/projection.ts';
import { vectorFileTeacher } from '../../../training/teacher/vector-files.ts';
import { teacherConformance } from '../../conformance/teacher.ts';
import { type EmbeddingsServer, embeddingOf, startEmbeddingsServer } from '../../fixtures/embeddings-server.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { TINY } from '../golden.ts';

const folder = testFolder('teachers');
const TEXTS = ['red sock', 'blue wool', 'a cheap leather belt for men', 'shoe', 'running shoe'];

async function changed(file: string, edit: (text: string) => string): Promise<string> {
  const copy = folder(`changed-${file.replaceAll('/', '-')}`);
  await cp(TINY, copy, { recursive: true });
  await writeFile(`${copy}/${file}`, edit(await readFile(`${copy}/${file}`, 'utf8')));
  return copy;
}
const tiny = async (at = TINY) => checkpointTeacher(await readCheckpoint(at), { threads: 1 });
const tensorsChanged = async () => {
  const copy = folder('changed-weights');
  await cp(TINY, copy, { recursive: true });
  const bytes = await readFile(`${copy}/model.safetensors`);
  bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
  await writeFile(`${copy}/model.safetensors`, bytes);
  return tiny(copy);
};

teacherConformance({
  name: 'a checkpoint',
  open: () => tiny(),
  others: {
    weight: tensorsChanged,
    configuration: async () =>
      tiny(await changed('config.json', (text) => text.replace(/"layer_norm_eps": [^,]+/, '"layer_norm_eps": 0.1'))),
    tokenizer: async () => tiny(await changed('tokenizer.json', (text) => `${text} `)),
    pooling: async () =>
      tiny(
        await changed('1_Pooling/config.json', () =>
          JSON.stringify({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }),
        ),
      ),
  },
  texts: TEXTS,
});

describe('on a socket', () => {
  let server: EmbeddingsServer;
  beforeAll(async () => {
    server = await startEmbeddingsServer({ dimension: 16 });
  });
  afterAll(() => server.close());
  const open = async (change: Partial<EndpointSettings> = {}) =>
    endpointTeacher(
      { ...ENDPOINT_DEFAULTS, url: server.url, model: 'stand-in', textsPerRequest: 2, ...change },
      { cache: folder('endpoint') },
    );

  teacherConformance({
    name: 'an endpoint',
    open: () => open(),
    others: {
      model: () => open({ model: 'another' }),
      address: () => open({ url: server.url.replace('127.0.0.1', 'localhost') }),
      dimension: () => open({ dimensions: 8 }),
      'query prefix': () => open({ queryPrefix: 'query: ' }),
      'document prefix': () => open({ documentPrefix: 'passage: ' }),
    },
    texts: TEXTS,
  });

  teacherConformance({
    name: 'a projected endpoint',
    open: async () => mapped(await open(), await projection(TEXTS, 4), { threads: 1 }),
    others: {
      teacher: async () => mapped(await open({ queryPrefix: 'query: ' }), await projection(TEXTS, 4)),
      dimension: async () => mapped(await open(), await projection(TEXTS, 3)),
      sample: async () => mapped(await open(), await projection(TEXTS.slice(0, 4), 4)),
    },
    texts: TEXTS,
  });
  const projection = async (texts: readonly string[], to: number) => {
    const sample = Float32Array.from(texts.flatMap((text) => embeddingOf(text, 16)));
    return (await fitProjection(sample, { from: 16, to, threads: 1 })).map;
  };
});

describe('on disk', () => {
  const matrix = Float32Array.from(TEXTS.flatMap((text) => embeddingOf(text, 16)));
  const lines = TEXTS.map((text) => JSON.stringify({ text })).join('\n');
  let written = 0;
  const write = async (format: 'npy' | 'safetensors', { values = matrix, texts = lines, name = 'all' } = {}) => {
    const place = folder(`vectors-${written++}`);
    const file = `${place}/${name}.${format}`;
    await mkdir(place);
    if (format === 'npy') await writeFile(file, Buffer.from(dump(values, [TEXTS.length, 16])));
    else
      await writeTensors(file, {
        tensors: new Map([['vectors', { dtype: 'float32', shape: [TEXTS.length, 16], data: values }]]),
        metadata: {},
      });
    await writeFile(`${place}/${name}.jsonl`, texts);
    return vectorFileTeacher(place);
  };
  for (const format of ['npy', 'safetensors'] as const) {
    teacherConformance({
      name: format,
      open: () => write(format),
      others: {
        vector: () => write(format, { values: matrix.map((value, i) => (i === 5 ? value + 1 : value)) }),
        text: () => write(format, { texts: lines.replace('red sock', 'red socks') }),
        side: () => write(format, { name: 'queries' }),
      },
      texts: TEXTS,
    });
  }
});
