/** Glosses for the out-of-domain score: which words of a small dictionary qualify. */
import { describe, expect, it } from 'vitest';
import type { Concept } from '../../marketplace/concepts.ts';
import { glosses } from '../../marketplace/glosses.ts';
import { createRandom } from '../../marketplace/random.ts';
import type { Synset } from '../../marketplace/wordnet.ts';

const noun = (lemma: string, definition: string, more: Partial<Synset> = {}): Synset => ({
  id: `n-${lemma}-${definition.length}`,
  pos: 'n',
  lexFile: 3,
  lemmas: lemma.split(',').map((text) => ({ text, sense: 1, tagCount: 0 })),
  definition,
  examples: [],
  hypernyms: [],
  hyponyms: [],
  similar: [],
  instance: false,
  ...more,
});

function wordsOf(synsets: readonly Synset[], trainingTexts: readonly string[] = [], sold: readonly Synset[] = []) {
  const wordNet = { synsets: new Map([...synsets, ...sold].map((synset) => [synset.id, synset])) };
  const concepts = new Map(
    sold.map(({ id, lemmas }) => [
      id,
      { id, names: lemmas.map(({ text }) => ({ text, weight: 1 })) } as unknown as Concept,
    ]),
  );
  const found = glosses({ wordNet: wordNet as never, concepts, trainingTexts }, createRandom(1, 'glosses'));
  return found.map(({ lemma }) => lemma).sort();
}

describe('glosses', () => {
  it('takes nouns that are no proper names, each with its definition', () => {
    const synsets = [
      noun('tree frog', 'an arboreal amphibian'),
      noun('Paris', 'the capital of France', { instance: true }),
      noun('Felis', 'a genus of small cats'),
      noun('ponder', 'to think about something', { pos: 'v' }),
    ];
    expect(wordsOf(synsets)).toEqual(['tree frog']);
  });

  it('leaves out what the market sells, under any of its meanings', () => {
    const sold = noun('sofa,couch', 'a long upholstered seat');
    expect(wordsOf([noun('couch', 'a flat coat of paint'), noun('newt', 'a small amphibian')], [], [sold])).toEqual([
      'newt',
    ]);
  });

  it('leaves out what a training text says, in singular or plural, and definitions that are one', () => {
    const synsets = [
      noun('tree frog', 'an arboreal amphibian'),
      noun('newt', 'a small amphibian'),
      noun('eft', 'a newt before it returns to water'),
      noun('toad', 'a tailless amphibian'),
    ];
    expect(wordsOf(synsets, ['all about Tree  Frogs', 'tree of frogs', 'a tailless amphibian'])).toEqual([
      'eft',
      'newt',
    ]);
    expect(wordsOf(synsets, ['a tree, a frog'])).toContain('tree frog');
  });

  it('leaves out definitions that name the word or a synonym of it', () => {
    const synsets = [noun('newt,triton', 'any of several tritons of Europe'), noun('eft', 'a newt on dry land')];
    expect(wordsOf(synsets)).toEqual(['eft']);
  });

  it('has each word once', () => {
    expect(wordsOf([noun('crane', 'a bird with long legs'), noun('crane', 'a machine that lifts')])).toEqual(['crane']);
  });
});
