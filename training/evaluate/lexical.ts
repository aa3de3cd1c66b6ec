/** The lexical floor: BM25 (MiniSearch's BM25+) over title, description and keywords. A student below it is not worth serving. */
import MiniSearch from 'minisearch';
import type { Ad } from '../../shared/contract/ads.ts';

/** An index over a catalogue. */
export interface LexicalFloor {
  /** Ids of the k best ads for a normalized query. */
  search(query: string, options: { k: number; allowed: (id: string) => boolean }): string[];
}

/** Indexes the ads. */
export function lexicalFloor(ads: readonly Ad[]): LexicalFloor {
  const index = new MiniSearch<{ id: string; title: string; description: string; keywords: string }>({
    fields: ['title', 'description', 'keywords'],
    searchOptions: { combineWith: 'OR', prefix: false, fuzzy: false },
  });
  index.addAll(
    ads.map(({ id, title, description, keywords }) => ({
      id,
      title,
      description,
      keywords: keywords.map(({ text }) => text).join(' '),
    })),
  );
  return {
    search: (query, { k, allowed }) =>
      index
        .search(query, { filter: ({ id }) => allowed(id as string) })
        .slice(0, k)
        .map(({ id }) => id as string),
  };
}
