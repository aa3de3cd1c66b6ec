/** The configuration that ships: markets, the default plan, the auction, and the experiment that runs from the start. */
import type { ServingConfig } from './contract/config.ts';

/** Key of the experiment that compares lexical retrieval with lexical + student. */
export const DEFAULT_EXPERIMENT = 'student-retrieval';

export const DEFAULT_CONFIG: ServingConfig = {
  version: 0,
  generation: null,
  markets: ['us', 'gb', 'au'],
  locales: ['en', 'en-US', 'en-GB', 'en-AU'],
  plan: { retrievers: ['lexical'], k: 40, minRelevance: 0.1 },
  auction: { reserveMicros: 50_000, qualityExponent: 2, slots: 4 },
  experiments: [
    {
      key: DEFAULT_EXPERIMENT,
      layer: 'retrieval',
      description: 'Lexical retrieval alone against lexical retrieval with the student encoder.',
      status: 'running',
      buckets: [0, 10_000],
      control: 'control',
      arms: [
        { key: 'control', weight: 1, parameters: { retrievers: ['lexical'] } },
        { key: 'treatment', weight: 1, parameters: { retrievers: ['lexical', 'dense'] } },
      ],
    },
  ],
  killList: [],
};
