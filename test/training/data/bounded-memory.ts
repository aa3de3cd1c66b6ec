/**
 * Run by bounded-memory.test.ts in a process with a small heap: writes many rows, then reads or deals them, and prints how many came out.
 * `node bounded-memory.ts TASK ROWS FOLDER`; with HOLD set the rows are kept, to show that the heap could not hold them.
 */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileWriter, parquetWriteRows } from 'hyparquet-writer';
import { openDataset, type Sources } from '../../../training/data/dataset.ts';
import { dealPairs } from '../../../training/data/pairs.ts';
import { dealTexts, mixedTexts } from '../../../training/data/texts.ts';

const [task, count, folder] = [process.argv[2], Number(process.argv[3]), process.argv[4]!];
const PARTS = 16;
const FILLER = 'of the kind that people look for when the year gets colder';

const write = (file: string, rows: Iterable<string>) =>
  pipeline(Readable.from(rows), createWriteStream(join(folder, file)));
function* times(rows: number, row: (i: number) => string, header = ''): Generator<string> {
  yield header;
  // Some rows a write: a stream call a row would take most of the time.
  for (let i = 0; i < rows; i += 500) {
    let text = '';
    for (let j = i; j < Math.min(i + 500, rows); j++) text += `${row(j)}\n`;
    yield text;
  }
}
const query = (prefix: string) => (i: number) =>
  JSON.stringify({
    id: `${prefix}-${i}`,
    text: `${prefix} socks ${i} ${FILLER}`,
    market: 'us',
    frequency: 1,
    slice: 'interpolation',
    kind: 'name',
  });

/** A dataset of which one kind of record is large. */
async function dataset(large: Partial<Record<string, Iterable<string>>>, sources: Sources = {}) {
  await mkdir(folder, { recursive: true });
  const ad = {
    id: 'ad',
    advertiserId: 'a',
    campaignId: 'c',
    title: 'socks',
    description: '',
    displayUrl: 'shop.example',
    landingUrl: 'https://shop.example/',
    keywords: [],
    markets: ['us'],
    bidMicros: 1,
    dailyBudgetMicros: 1,
    status: 'active',
  };
  const small = {
    'catalogue.jsonl': [JSON.stringify(ad)],
    'queries.train.jsonl': times(10, query('train')),
    'queries.validation.jsonl': times(10, query('validation')),
    'queries.test.jsonl': times(10, query('test')),
    'clicks.train.jsonl': [],
    'qrels.validation.jsonl': [],
    'qrels.test.jsonl': [],
  };
  for (const [file, rows] of Object.entries({ ...small, ...large })) await write(file, rows!);
  return openDataset(
    { folder, sources },
    {
      maxBadShare: 0,
      onBadRow({ line, reason }) {
        throw new Error(`row ${line}: ${reason}`);
      },
    },
  );
}

const held: unknown[] = [];
async function counted(rows: AsyncIterable<unknown>): Promise<number> {
  let read = 0;
  for await (const row of rows) {
    read++;
    if (process.env.HOLD) held.push(row);
  }
  return read;
}

const columns = { text: 'text' };
const TASKS: Record<string, () => Promise<number>> = {
  async jsonl() {
    const data = await dataset({ 'queries.train.jsonl': times(count, query('train')) });
    return counted(data.read('queries.train.jsonl'));
  },
  async delimited() {
    const files = join(folder, 'texts.csv');
    await mkdir(folder, { recursive: true });
    await write(
      'texts.csv',
      times(count, (i) => `${i},"text ""${i}"" ${FILLER}"`, 'id,text\n'),
    );
    const data = await dataset({}, { 'text.general': { files, columns } });
    return counted(data.read('text.general.jsonl'));
  },
  async parquet() {
    const files = join(folder, 'texts.parquet');
    await mkdir(folder, { recursive: true });
    function* rows() {
      for (let i = 0; i < count; i++) yield { id: i, text: `text ${i} ${FILLER}` };
    }
    parquetWriteRows({
      writer: fileWriter(files),
      rows: rows(),
      columns: [
        { name: 'id', type: 'INT32' },
        { name: 'text', type: 'STRING' },
      ],
      rowGroupSize: 5_000,
    });
    const data = await dataset({}, { 'text.general': { files, columns } });
    return counted(data.read('text.general.jsonl'));
  },
  async texts() {
    const data = await dataset({ 'queries.train.jsonl': times(count, query('train')) });
    const mixed = mixedTexts(data, { seed: 1, generalShare: 0, context: false, maxUnmatched: 0 });
    const parts = await dealTexts(mixed, { folder: join(folder, 'texts'), parts: PARTS });
    return parts.reduce((sum, { rows }) => sum + rows, 0);
  },
  async pairs() {
    const click = (i: number) => JSON.stringify({ queryId: `train-${i}`, adId: 'ad', impressions: 9, clicks: 3 });
    const data = await dataset({
      'queries.train.jsonl': times(count, query('train')),
      'clicks.train.jsonl': times(count, click),
    });
    const { parts } = await dealPairs(data, { folder: join(folder, 'pairs'), parts: PARTS, adIds: ['ad'] });
    let read = 0;
    for (const part of parts) read += (await part.read()).length;
    return read;
  },
};

console.log(JSON.stringify({ rows: await TASKS[task!]!() }));
