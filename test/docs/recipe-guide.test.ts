/** docs/recipe.md against the code: each configuration in it is accepted, what it names exists, its mapping reads files. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadConfig, RecipeConfig } from '../../training/config.ts';
import { openDataset } from '../../training/data/dataset.ts';
import type { FileName } from '../../training/data/records.ts';
import { createRecipeCommand } from '../../training/recipe.ts';
import { datasetSettings } from '../../training/settings/data.ts';

const GUIDE = 'docs/recipe.md';
const guide = readFileSync(GUIDE, 'utf8');
const fenced = (language: string): string[] =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block!);
const prose = guide.replaceAll(/^```.*?^```/gms, '');
const code = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-guide-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** An example as the file that it stands for: the whole of it, or settings that differ from the defaults. */
async function parsed(example: string, index: number | string): Promise<RecipeConfig> {
  const defaults = resolve('training/default.config.ts');
  const whole = example.includes('export default')
    ? example.replace('../training/default.config.ts', defaults)
    : `import defaults from '${defaults}';\nexport default { ...defaults,\n${example}};\n`;
  const file = join(folder, `example-${index}.ts`);
  await writeFile(file, whole);
  return loadConfig(file, {});
}

describe('configurations in the guide', () => {
  it('are there', () => expect(fenced('ts').length).toBeGreaterThan(8));

  it.each(fenced('ts').map((example, index) => ({ index, example })))('are accepted: $index', async (of) => {
    const config = await parsed(of.example, of.index);
    expect(config).not.toEqual(await parsed('', 'defaults'));
  });

  it('would be refused with a setting that does not exist', async () => {
    await expect(parsed('align: { ...defaults.align, stepps: 1 },\n', 'wrong')).rejects.toThrow(/align: .*stepps/);
  });
});

type Schema = z.core.JSONSchema._JSONSchema;

/** Whether a schema has a setting at a path, in any of its alternatives. */
function has(schema: Schema | undefined, [name, ...rest]: readonly string[]): boolean {
  if (typeof schema !== 'object') return false;
  if (name === undefined) return true;
  const alternatives = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  return has(schema.properties?.[name], rest) || alternatives.some((of) => has(of, [name, ...rest]));
}

describe('settings that the guide names', () => {
  const schema = z.toJSONSchema(RecipeConfig, { io: 'input', unrepresentable: 'any' });
  const sections = Object.keys(RecipeConfig.shape);
  const named = code
    .map((text) => /^(\w+(?:\.\w+)+)(?:: .*)?$/.exec(text)?.[1])
    .filter((path) => path !== undefined && sections.includes(path.split('.')[0]!))
    // A file is no setting.
    .filter((path) => !/\.(onnx|json)$/.test(path!)) as string[];

  it('are many', () => expect(new Set(named).size).toBeGreaterThan(25));
  it.each([...new Set(named)])('exist: %s', (path) => expect(has(schema, path.split('.')), path).toBe(true));
  it('would be found missing', () => expect(has(schema, ['align', 'stepps'])).toBe(false));
});

describe('commands in the guide', () => {
  const recipe = createRecipeCommand();
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const lines = [...guide.matchAll(/npm (?:run )?[^`#\n]*/g)].map(([line]) => line.trim());
  const options = (names: readonly string[], line: string) =>
    [...line.matchAll(/--[a-z]+/g)].filter(([option]) => !names.includes(option)).map(([option]) => option);

  it.each([...new Set(lines)].filter((line) => line !== 'npm.'))('exist: %s', (line) => {
    const [, script, rest = ''] = /^npm (?:run )?([\w:]+)(?: -- (.*))?/.exec(line) ?? [];
    if (script === undefined) return;
    expect(Object.keys(scripts)).toContain(script);
    if (script !== 'recipe') return;
    const word = /^(\w+)/.exec(rest)?.[1];
    const command = word === undefined ? recipe : recipe.commands.find((of) => of.name() === word);
    expect(command, line).toBeDefined();
    expect(
      options(
        command!.options.map(({ long }) => long!),
        rest,
      ),
      line,
    ).toEqual([]);
  });

  it('name every sub-command', () => {
    for (const command of recipe.commands) expect(guide).toContain(`npm run recipe -- ${command.name()}`);
  });

  it('have the options that all are said to have', () => {
    const common = /^All take (.*)$/m.exec(guide)![1]!;
    for (const command of [recipe, ...recipe.commands])
      expect(
        options(
          command.options.map(({ long }) => long!),
          common,
        ),
        command.name(),
      ).toEqual([]);
  });
});

describe('messages that the guide explains', () => {
  const sources = globSync('{training,shared}/**/*.ts').map((file) => readFileSync(file, 'utf8'));
  const table = guide.slice(guide.indexOf('## When something goes wrong'));
  const symptoms = [...table.matchAll(/^\| (.*?) +\|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`([^`]+)`/g)]);
  // What stands between the dots is said as it is.
  const said = symptoms.flatMap(([, text]) => text!.split('...').map((part) => part.trim()));

  it.each(said.filter((part) => part.length >= 10))('are said: %s', (part) => {
    expect(sources.some((source) => source.includes(part))).toBe(true);
  });
});

it('links to files that exist, but for what a run writes', () => {
  const targets = [...guide.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target!);
  const missing = targets.filter(
    (target) => !/models\/.*\.svg$/.test(target) && !existsSync(join(dirname(GUIDE), target)),
  );
  expect(missing).toEqual([]);
  const headings = [...guide.matchAll(/^#+ (.*)$/gm)].map(([, text]) =>
    text!
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  for (const [, anchor] of guide.matchAll(/\]\(#([^)]+)\)/g)) expect(headings).toContain(anchor);
});

describe("the guide's mapping of one's own files", () => {
  const QUERIES = Array.from({ length: 200 }, (_, i) => ({
    query_id: `q${i}`,
    query: `running shoe ${i}`,
    country: 'us',
  }));
  const csv = (cell: string) => (/[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  async function writeFiles(place: string): Promise<void> {
    await mkdir(place, { recursive: true });
    const ads = [
      ['a1', 'LIVE', '<b>Fast</b> shoes &amp; more'],
      ['a2', 'PAUSED', ''],
      ['a3', 'DELETED', 'Gone'],
    ].map(([id, state, text]) => ({
      ...{ ad_id: id, account: 'acc', campaign: 'cmp', headline: 'Shoes '.repeat(30), text, subtitle: 'Sub' },
      ...{ visible_url: 'shop.example', target_url: 'https://shop.example/', state },
      ...{ terms: '[{"text": "running shoes", "match": "broad"}]', countries: '["us", "gb"]' },
      ...{ max_cpc_micros: '500000', budget_micros: '9000000' },
    }));
    const table = [Object.keys(ads[0]!), ...ads.map((ad) => Object.values(ad))];
    await writeFile(
      join(place, 'ads-1.csv'),
      table.map((row) => `${row.map((cell) => csv(cell!)).join(',')}\n`).join(''),
    );
    const parquet = (rows: readonly Record<string, unknown>[]) =>
      Buffer.from(
        parquetWriteBuffer({
          columnData: Object.keys(rows[0]!).map((name) => ({ name, data: rows.map((row) => row[name]) })),
        }),
      );
    await writeFile(join(place, 'searches.parquet'), parquet(QUERIES.map((query) => ({ ...query, searches: 7 }))));
    const clicks = QUERIES.map(({ query_id }) => ({ query_id, ad_id: 'a1', shown: 10, clicked: 3 }));
    for (const part of [1, 2]) await writeFile(join(place, `clicks-${part}.parquet`), parquet(clicks));
    const hints = QUERIES.map(({ query_id, query }) => JSON.stringify({ query_id, query, titles: 'Shoes' }));
    await writeFile(join(place, 'hints.jsonl'), `${hints.join('\n')}\n`);
    const judged = QUERIES.flatMap((query) => [
      [...Object.values(query), 'a1', 'perfect'],
      [...Object.values(query), 'a2', 'fair'],
    ]);
    const head = ['query_id', 'query', 'country', 'ad_id', 'label'];
    await writeFile(join(place, 'judged.tsv'), [head, ...judged].map((row) => `${row.join('\t')}\n`).join(''));
  }

  it('reads them all without a bad row, and deals each query to one split', async () => {
    const place = join(folder, 'data');
    await writeFiles(place);
    const example = fenced('ts').find((block) => block.includes('sources:'))!;
    const { data } = await parsed(example.replaceAll("'my/data", `'${place}`), 'mapping');
    const dataset = openDataset(datasetSettings(data), { maxBadShare: 0, onBadRow: () => {} });
    const all = <F extends FileName>(file: F) => dataset.all(file);

    const ads = await all('catalogue.jsonl');
    expect(ads.map(({ id, status, description }) => [id, status, description])).toEqual([
      ['a1', 'active', 'Fast shoes & more'],
      ['a2', 'paused', 'Sub'],
    ]);
    expect(ads[0]).toMatchObject({ bidMicros: 500_000, markets: ['us', 'gb'] });
    const ids = async (split: 'train' | 'validation' | 'test') =>
      (await all(`queries.${split}.jsonl`)).map(({ id }) => id);
    const [train, validation, test] = [await ids('train'), await ids('validation'), await ids('test')];
    expect([...train, ...validation, ...test].toSorted()).toEqual(QUERIES.map(({ query_id }) => query_id).toSorted());
    expect(train.length).toBeGreaterThan(150);
    expect(Math.min(validation.length, test.length)).toBeGreaterThan(0);
    expect(await all('clicks.train.jsonl')).toHaveLength(2 * QUERIES.length);
    expect((await all('oracle.train.jsonl')).map(({ queryId }) => queryId)).toEqual(train);
    const grades = await all('qrels.test.jsonl');
    expect(grades.map(({ queryId }) => queryId)).toEqual(test.flatMap((id) => [id, id]));
    expect(grades.slice(0, 2).map(({ grade }) => grade)).toEqual([3, 1]);
    expect(dataset.badRows()).toEqual([]);
  });
});
