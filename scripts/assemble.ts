/**
 * WebAssembly text to its binary form, as far as the project's two kernels need it: one imported memory, one exported
 * function, folded instructions. `node scripts/assemble.ts` writes the .wasm beside each, which is committed, because a
 * Worker may not compile at run time and `wrangler deploy` takes only binaries. Source: the WebAssembly specification,
 * chapter 5.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A token, or a list in parentheses. */
type Expression = string | Expression[];

const TYPES: Record<string, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
const FUNCTION = 0x60;
const EMPTY = 0x40;
const END = 0x0b;
const LOOP = 0x03;

/** An instruction's code, and what follows it: nothing, a local, a label, a number, an access to memory of that alignment, lanes. */
const INSTRUCTIONS: Record<
  string,
  { code: number[]; takes?: 'local' | 'label' | 'number' | 'lanes' | { align: number } }
> = {
  br_if: { code: [0x0d], takes: 'label' },
  'local.get': { code: [0x20], takes: 'local' },
  'local.set': { code: [0x21], takes: 'local' },
  'i32.load': { code: [0x28], takes: { align: 2 } },
  'i32.store': { code: [0x36], takes: { align: 2 } },
  'i32.const': { code: [0x41], takes: 'number' },
  'i32.lt_u': { code: [0x49] },
  'i32.add': { code: [0x6a] },
  'i32.mul': { code: [0x6c] },
  'i32.shl': { code: [0x74] },
  'v128.load': { code: [0xfd, 0x00], takes: { align: 4 } },
  'v128.load8x8_s': { code: [0xfd, 0x01], takes: { align: 3 } },
  'v128.load32_splat': { code: [0xfd, 0x09], takes: { align: 2 } },
  'v128.store': { code: [0xfd, 0x0b], takes: { align: 4 } },
  'i8x16.shuffle': { code: [0xfd, 0x0d], takes: 'lanes' },
  'i32x4.splat': { code: [0xfd, 0x11] },
  'f32x4.splat': { code: [0xfd, 0x13] },
  'i32x4.extract_lane': { code: [0xfd, 0x1b], takes: 'lanes' },
  'i32x4.add': { code: [0xfd, 0xae, 0x01] },
  'i32x4.dot_i16x8_s': { code: [0xfd, 0xba, 0x01] },
  'f32x4.add': { code: [0xfd, 0xe4, 0x01] },
  'f32x4.mul': { code: [0xfd, 0xe6, 0x01] },
  'f32x4.convert_i32x4_s': { code: [0xfd, 0xfa, 0x01] },
};

function parse(source: string): Expression[] {
  const tokens = source.replace(/;;.*$/gm, '').match(/[()]|"[^"]*"|[^\s()]+/g) ?? [];
  const stack: Expression[][] = [[]];
  for (const token of tokens) {
    if (token === '(') stack.push([]);
    else if (token === ')') {
      const list = stack.pop()!;
      stack.at(-1)!.push(list);
    } else stack.at(-1)!.push(token);
  }
  return stack[0]!;
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value >= -64 && value < 64 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

const vector = (items: readonly number[][]) => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: readonly number[][]) => {
  const body = vector(items);
  return [id, ...unsigned(body.length), ...body];
};
const name = (quoted: Expression) => vector([...(quoted as string).slice(1, -1)].map((char) => [char.charCodeAt(0)]));

function instruction(expression: Expression, locals: readonly string[], labels: readonly string[]): number[] {
  const [op, ...rest] = expression as [string, ...Expression[]];
  const inner = (parts: readonly Expression[], within = labels) =>
    parts.flatMap((part) => instruction(part, locals, within));
  if (op === 'loop') return [LOOP, EMPTY, ...inner(rest.slice(1), [rest[0] as string, ...labels]), END];
  const known = INSTRUCTIONS[op];
  if (known === undefined) throw new SyntaxError(`expected one of ${Object.keys(INSTRUCTIONS).join(', ')}, got ${op}`);
  const { code, takes } = known;
  const words = rest.filter((part): part is string => typeof part === 'string');
  const immediates = (): number[] => {
    const index = (names: readonly string[]) => {
      const found = names.indexOf(words[0]!);
      if (found === -1) throw new SyntaxError(`${op}: expected one of ${names.join(', ')}, got ${words[0]}`);
      return unsigned(found);
    };
    if (takes === 'local') return index(locals);
    if (takes === 'label') return index(labels);
    if (takes === 'number') return signed(Number(words[0]));
    if (takes === 'lanes') return words.map(Number);
    if (takes === undefined) return [];
    return [takes.align, ...unsigned(Number(words[0]?.replace('offset=', '') ?? 0))];
  };
  const operands = inner(rest.filter((part) => typeof part !== 'string'));
  return [...operands, ...code, ...immediates()];
}

/** Sizes in pages: the least, and the most, which memory that threads share must name. */
const limits = ([, least, most, shared]: readonly string[]) => [
  (most === undefined ? 0 : 1) | (shared === undefined ? 0 : 2),
  ...[least, most].flatMap((pages) => (pages === undefined ? [] : unsigned(Number(pages)))),
];

/** The binary module; throws SyntaxError for what is outside the subset. */
export function assemble(source: string): Uint8Array<ArrayBuffer> {
  const [[, [, from, field, memory], func]] = parse(source) as [[string, Expression[], Expression[]]];
  const parts = func as Expression[][];
  const named = (kind: string) => parts.filter(([op]) => op === kind) as [string, string, string][];
  const [params, locals] = [named('param'), named('local')];
  const body = parts.filter((part) => Array.isArray(part) && !['export', 'param', 'local'].includes(part[0] as string));
  const names = [...params, ...locals].map(([, each]) => each);
  const runs: [count: number, type: number][] = [];
  for (const [, , type] of locals) {
    if (runs.at(-1)?.[1] === TYPES[type]) runs.at(-1)![0]++;
    else runs.push([1, TYPES[type]!]);
  }
  const code = [
    ...vector(runs.map(([count, type]) => [...unsigned(count), type])),
    ...body.flatMap((part) => instruction(part, names, [])),
    END,
  ];
  const [, exported] = parts.find(([op]) => op === 'export')!;
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[FUNCTION, ...vector(params.map(([, , type]) => [TYPES[type]!])), 0]]),
    ...section(2, [[...name(from!), ...name(field!), 2, ...limits(memory as string[])]]),
    ...section(3, [[0]]),
    ...section(7, [[...name(exported!), 0, 0]]),
    ...section(10, [[...unsigned(code.length), ...code]]),
  ]);
}

if (import.meta.main) {
  for (const source of ['edge/student/linear.wat', 'gpu-backend/index/dots.wat']) {
    const path = fileURLToPath(new URL(`../${source}`, import.meta.url));
    writeFileSync(path.replace(/wat$/, 'wasm'), assemble(readFileSync(path, 'utf8')));
  }
}
