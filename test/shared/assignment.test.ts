import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { assign, type Visit } from '../../shared/assignment.ts';
import { armOf, BUCKETS, bucket, Experiment, isCompared } from '../../shared/experiment.ts';
import { ExperimentDefinition } from '../../shared/experiment-definition.ts';
import { conflict } from '../../shared/experiment-set.ts';

const experiment = (patch: Partial<Experiment> = {}) =>
  Experiment.parse({
    key: 'one',
    layer: 'retrieval',
    status: 'running',
    buckets: [0, BUCKETS],
    control: 'a',
    arms: [
      { key: 'a', weight: 1, parameters: {} },
      { key: 'b', weight: 1, parameters: { k: 10 } },
    ],
    ...patch,
  });
const visit = (user: string, patch: Partial<Visit> = {}): Visit => ({
  units: { user, query: `query of ${user}`, 'query-day': `query and day of ${user}` },
  market: 'us',
  locale: 'en-US',
  device: 'desktop',
  ...patch,
});
const armsOf = (...args: Parameters<typeof assign>) =>
  assign(...args).map(({ experiment: { key }, arm }) => `${key}=${arm.key}`);
const units = (n: number) => Array.from({ length: n }, (_, i) => `unit-${i}`);

test('weights are kept', () => {
  const weighted = experiment({
    arms: [
      { key: 'a', weight: 19, parameters: {} },
      { key: 'b', weight: 1, parameters: {} },
    ],
  });
  const share = units(10_000).filter((unit) => armOf(weighted, unit).key === 'b').length / 10_000;
  expect(Math.abs(share - 0.05)).toBeLessThan(4 * Math.sqrt((0.05 * 0.95) / 10_000));
});

/** A unit, and a narrower and a wider setting of something. */
const rampUp = fc.tuple(fc.string(), fc.integer({ min: 1, max: BUCKETS }), fc.integer({ min: 1, max: BUCKETS }));

test.each([
  ['buckets', (size: number) => experiment({ buckets: [0, size] })],
  [
    'buckets on both sides',
    (size: number) => experiment({ buckets: [5_000 - size / 2, 5_000 + size / 2].map(Math.floor) as never }),
  ],
  ['share', (size: number) => experiment({ targeting: { share: size / BUCKETS } })],
  [
    'share inside buckets',
    (size: number) => experiment({ buckets: [2_000, 6_000], targeting: { share: size / BUCKETS } }),
  ],
])('a ramp-up of the %s moves nobody who is already in', (_, at) => {
  fc.assert(
    fc.property(rampUp, ([unit, x, y]) => {
      fc.pre(Math.max(x, y) >= 2);
      const before = armsOf(visit(unit), [at(Math.max(2, Math.min(x, y)))]);
      if (before.length === 1) expect(armsOf(visit(unit), [at(Math.max(x, y))])).toEqual(before);
    }),
    { numRuns: 300 },
  );
});

test('a share lets in as many as it says', () => {
  const some = experiment({ targeting: { share: 0.3 } });
  const share = units(5_000).filter((unit) => assign(visit(unit), [some]).length === 1).length / 5_000;
  expect(Math.abs(share - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / 5_000));
});

test('range, share, arm and counterfactual log are drawn apart from each other', () => {
  const half = experiment({ buckets: [5_000, BUCKETS], targeting: { share: 0.5 }, counterfactualShare: 0.5 });
  const inRange = units(10_000).filter((unit) => bucket('layer:retrieval', unit) >= 5_000);
  const inside = inRange.flatMap((unit) => assign(visit(unit), [half]).map(({ arm }) => ({ unit, arm: arm.key })));
  const shares = [
    inside.length / inRange.length,
    inside.filter(({ arm }) => arm === 'a').length / inside.length,
    inside.filter(({ unit }) => isCompared(half, unit)).length / inside.length,
  ];
  for (const share of shares) expect(Math.abs(share - 0.5)).toBeLessThan(4 * Math.sqrt(0.25 / inside.length));
});

test('a range of buckets is what it says to the bucket: the first is in, the last is out; so are a share and a domain', () => {
  for (const unit of units(100)) {
    const isIn = (patch: Partial<Experiment>) => assign(visit(unit), [experiment(patch)]).length === 1;
    for (const [salt, of] of [
      ['layer:retrieval', (from, to) => ({ buckets: [from, to] })],
      ['domain', (from, to) => ({ domain: { key: 'd', buckets: [from, to] } })],
    ] as [string, (from: number, to: number) => Partial<Experiment>][]) {
      const own = bucket(salt, unit);
      expect(isIn(of(own, own + 1))).toBe(true);
      if (own > 0) expect(isIn(of(0, own))).toBe(false);
      if (own + 1 < BUCKETS) expect(isIn(of(own + 1, BUCKETS))).toBe(false);
    }
  }
  const half = units(100_000).find((unit) => bucket('share:one', unit) === BUCKETS / 2)!;
  for (const [share, taken] of [
    [0.5, 0],
    [0.5001, 1],
  ])
    expect(assign(visit(half), [experiment({ targeting: { share: share! } })])).toHaveLength(taken!);
});

test('experiments of one layer exclude each other; draft and stopped ones assign nobody', () => {
  const left = experiment({ key: 'left', buckets: [0, 5000] });
  const right = experiment({ key: 'right', buckets: [5000, BUCKETS] });
  for (const unit of units(500)) expect(assign(visit(unit), [left, right])).toHaveLength(1);
  expect(assign(visit('u'), [experiment({ status: 'draft' }), experiment({ status: 'stopped' })])).toEqual([]);
});

test('layers are independent and ordered', () => {
  expect(
    armsOf(visit('u'), [experiment({ key: 'z', layer: 'z' }), experiment({ key: 'y', layer: 'a' })]).map((at) => at[0]),
  ).toEqual(['y', 'z']);
  const half = (layer: string) => experiment({ key: `in-${layer}`, layer, buckets: [0, 5_000] });
  const counts = [0, 0, 0];
  for (const unit of units(5_000)) counts[assign(visit(unit), [half('x'), half('y')]).length]! += 1;
  // 1/4, 1/2, 1/4 where layers are independent; two degrees of freedom, 99.9 % quantile.
  const chi = [1_250, 2_500, 1_250].reduce((sum, expected, i) => sum + (counts[i]! - expected) ** 2 / expected, 0);
  expect(chi).toBeLessThan(13.8);
});

describe('targeting', () => {
  test.each<[string, Experiment['targeting'], Partial<Visit>, boolean]>([
    ['market', { markets: ['us', 'gb'] }, { market: 'gb' }, true],
    ['another market', { markets: ['us', 'gb'] }, { market: 'au' }, false],
    ['locale', { locales: ['en-gb'] }, { locale: 'en-GB' }, true],
    ['language', { locales: ['en'] }, { locale: 'en-GB' }, true],
    ['one of several locales', { locales: ['fr', 'en-GB', 'de'] }, { locale: 'en-GB' }, true],
    ['a locale in capitals', { locales: ['EN-gb'] }, { locale: 'en-GB' }, true],
    ['a language in capitals', { locales: ['EN'] }, { locale: 'en-gb' }, true],
    ['a language that only begins so', { locales: ['en'] }, { locale: 'eno' }, false],
    ['a locale of the language', { locales: ['en-GB'] }, { locale: 'en' }, false],
    ['device', { devices: ['mobile', 'tablet'] }, { device: 'tablet' }, true],
    ['another device', { devices: ['mobile', 'tablet'] }, { device: 'desktop' }, false],
    ['all conditions', { markets: ['us'], devices: ['mobile'] }, { market: 'us', device: 'desktop' }, false],
    ['no share', { share: 0 }, {}, false],
    ['no condition', {}, {}, true],
  ])('by %s', (_, targeting, patch, taken) => {
    expect(assign(visit('u', patch), [experiment({ targeting })])).toHaveLength(taken ? 1 : 0);
  });
});

describe('domains', () => {
  const apart = experiment({ key: 'apart', layer: 'alone', domain: { key: 'beta', buckets: [0, 3_000] } });
  const usual = experiment({ key: 'usual' });

  test('set their visitors apart from the experiments of no domain', () => {
    for (const unit of units(500)) {
      const isIn = bucket('domain', unit) < 3_000;
      expect(assign(visit(unit), [usual, apart]).map(({ experiment: { key } }) => key)).toEqual([
        isIn ? 'apart' : 'usual',
      ]);
    }
  });

  test('are apart from each other, however many there are', () => {
    const other = experiment({ key: 'other', layer: 'also', domain: { key: 'gamma', buckets: [3_000, 5_000] } });
    for (const unit of units(500)) {
      const at = bucket('domain', unit);
      expect(assign(visit(unit), [usual, apart, other]).map(({ experiment: { key } }) => key)).toEqual([
        at < 3_000 ? 'apart' : at < 5_000 ? 'other' : 'usual',
      ]);
    }
  });

  test('give their traffic back when their experiments stop', () => {
    const stopped = { ...apart, status: 'stopped' as const };
    for (const unit of units(200)) expect(armsOf(visit(unit), [usual, stopped])).toEqual(armsOf(visit(unit), [usual]));
  });
});

describe('holdouts', () => {
  const arms = (holdout: Experiment['arms'][0]['holdout']) => [
    { key: 'held', weight: 1, parameters: {}, holdout },
    { key: 'open', weight: 3, parameters: {} },
  ];
  const holdout = (held: Experiment['arms'][0]['holdout']) =>
    experiment({ key: 'holdout', layer: 'holdout', control: 'held', arms: arms(held) });
  const others = [experiment({ key: 'x', layer: 'a' }), experiment({ key: 'y', layer: 'z' })];

  test('are exposed to no other experiment, and the rest to all', () => {
    for (const unit of units(1_000)) {
      const [held, ...rest] = armsOf(visit(unit), [...others, holdout('all')]).sort();
      expect(rest).toHaveLength(held === 'holdout=held' ? 0 : 2);
    }
  });

  test('of a layer that is called all hold nobody out of the others', () => {
    for (const unit of units(50))
      expect(assign(visit(unit), [...others, holdout(['all'])]).map(({ experiment }) => experiment.layer)).toEqual([
        'a',
        'holdout',
        'z',
      ]);
  });

  test('may be of some layers', () => {
    for (const unit of units(200)) {
      const found = assign(visit(unit), [...others, holdout(['z'])]);
      const isHeld = found.some(({ arm }) => arm.key === 'held');
      expect(found.map(({ experiment: { layer } }) => layer)).toEqual(
        isHeld ? ['a', 'holdout'] : ['a', 'holdout', 'z'],
      );
    }
  });

  test('are as good as drawn where they are forced, and hold nothing off that is forced', () => {
    const forced = (entries: Record<string, string>, unit: string) =>
      armsOf(visit(unit), [...others, holdout('all')], { overrides: new Map(Object.entries(entries)) });
    for (const unit of units(100)) {
      expect(forced({ holdout: 'held' }, unit)).toEqual(['holdout=held']);
      expect(forced({ x: 'b' }, unit)).toContain('x=b');
    }
  });

  test('do not hold each other', () => {
    const second = { ...holdout('all'), key: 'second', layer: 'second' };
    for (const unit of units(200)) {
      const keys = assign(visit(unit), [holdout('all'), second]).map(({ experiment: { key } }) => key);
      expect(keys).toEqual(['holdout', 'second']);
    }
  });
});

describe('diversion', () => {
  test('by query gives every visitor of a query one arm, and logs the query as the unit', () => {
    const byQuery = experiment({ diversion: 'query' });
    for (const query of units(100)) {
      const found = units(5).map((user) => assign(visit('', { units: { user, query } }), [byQuery])[0]!);
      expect(new Set(found.map(({ arm }) => arm.key)).size).toBe(1);
      expect(found.map(({ unitId }) => unitId)).toEqual(Array(5).fill(query));
      expect(found[0]!.arm).toEqual(armOf(byQuery, query));
    }
  });

  test.each<[string, Partial<Experiment>]>([
    ['range', { buckets: [0, BUCKETS / 2] }],
    ['share', { targeting: { share: 0.5 } }],
  ])('by query lets a query in or out by its %s, for all visitors alike', (_, narrowed) => {
    const byQuery = experiment({ diversion: 'query', ...narrowed });
    const taken = units(200).map((query) => {
      const found = units(5).map((user) => assign(visit('', { units: { user, query } }), [byQuery]).length);
      expect(new Set(found).size).toBe(1);
      return found[0];
    });
    expect(new Set(taken)).toEqual(new Set([0, 1]));
  });

  test('by query and day deals anew each day', () => {
    const daily = experiment({ diversion: 'query-day' });
    const moved = units(1_000).filter((query) => {
      const [monday, tuesday] = ['mon', 'tue'].map((day) =>
        armsOf(visit('', { units: { user: 'u', 'query-day': `${query} ${day}` } }), [daily]),
      );
      return monday![0] !== tuesday![0];
    });
    expect(Math.abs(moved.length - 500)).toBeLessThan(4 * Math.sqrt(250));
  });

  test('without its unit is a fault of the program', () => {
    expect(() => assign(visit('', { units: { user: 'u' } }), [experiment({ diversion: 'query' })])).toThrow('query');
  });
});

describe('sticky experiments', () => {
  const three = [
    { key: 'a', weight: 1, parameters: {} },
    { key: 'b', weight: 1, parameters: {} },
    { key: 'c', weight: 8, parameters: {} },
  ];
  const record = (arm: string, version = 1) => ({ sticky: new Map([['one', { arm, version }]]) });

  test('keep the recorded arm when weights and versions change', () => {
    for (const version of [1, 2]) {
      for (const unit of units(50))
        expect(armsOf(visit(unit), [experiment({ sticky: true, version, arms: three })], record('b'))).toEqual([
          'one=b',
        ]);
    }
  });

  test('keep visitors whom a lowered share would leave out', () => {
    const lowered = experiment({ sticky: true, targeting: { share: 0 } });
    expect(armsOf(visit('u'), [lowered], record('b'))).toEqual(['one=b']);
    expect(armsOf(visit('u'), [lowered])).toEqual([]);
  });

  test('let go of visitors whom targeting no longer means', () => {
    const mobile = experiment({ sticky: true, targeting: { devices: ['mobile'] } });
    expect(armsOf(visit('u'), [mobile], record('b'))).toEqual([]);
    expect(armsOf(visit('u', { device: 'mobile' }), [mobile], record('b'))).toEqual(['one=b']);
  });

  test('block visitors of an older version', () => {
    const blocked = experiment({ sticky: true, version: 3, minVersion: 2 });
    expect(armsOf(visit('u'), [blocked], record('a', 1))).toEqual([]);
    expect(armsOf(visit('u'), [blocked], record('a', 2))).toEqual(['one=a']);
    expect(armsOf(visit('u'), [blocked])).toHaveLength(1);
  });

  test('deal anew when the recorded arm is gone, and read no record unless they are sticky', () => {
    const dealt = armsOf(visit('u'), [experiment()]);
    expect(armsOf(visit('u'), [experiment({ sticky: true })], record('gone'))).toEqual(dealt);
    const other = dealt[0] === 'one=a' ? 'b' : 'a';
    expect(armsOf(visit('u'), [experiment()], record(other))).toEqual(dealt);
  });

  test('a raised version deals the arms anew', () => {
    const moved = units(1_000).filter(
      (unit) => armOf(experiment(), unit).key !== armOf(experiment({ version: 2 }), unit).key,
    );
    expect(Math.abs(moved.length - 500)).toBeLessThan(4 * Math.sqrt(250));
  });
});

describe('overrides', () => {
  const force = (entries: Record<string, string>) => ({ overrides: new Map(Object.entries(entries)) });

  test('force an arm, also of a draft, and displace the other experiments of the layer', () => {
    const draft = experiment({ key: 'draft', status: 'draft' });
    for (const unit of units(50)) {
      expect(armsOf(visit(unit), [experiment()], force({ one: 'b' }))).toEqual(['one=b']);
      expect(armsOf(visit(unit), [experiment(), draft], force({ draft: 'a' }))).toEqual(['draft=a']);
    }
  });

  test('of two that nobody can be in together are refused', () => {
    const beside = experiment({ key: 'beside', status: 'draft' });
    const elsewhere = experiment({ key: 'elsewhere', layer: 'other' });
    const forced = (entries: Record<string, string>) =>
      armsOf(visit('u'), [experiment(), beside, elsewhere], force(entries));
    expect(() => forced({ one: 'a', beside: 'a' })).toThrow(
      'expected one experiment of layer retrieval, got one and beside',
    );
    expect(forced({ one: 'a', elsewhere: 'b' })).toEqual(['elsewhere=b', 'one=a']);
  });

  test.each([{ none: 'a' }, { one: 'none' }])('that name nothing are refused: %j', (entries) => {
    expect(() => assign(visit('u'), [experiment()], force(entries as never))).toThrow('override');
  });
});

describe('the schema refuses', () => {
  test.each([
    ['an empty range', { buckets: [5, 5] }],
    ['a control that is no arm', { control: 'c' }],
    ['one arm', { arms: [{ key: 'a', weight: 1, parameters: {} }] }],
    [
      'an arm of weight 0',
      {
        arms: [
          { key: 'a', weight: 0, parameters: {} },
          { key: 'b', weight: 1, parameters: {} },
        ],
      },
    ],
    ['weights without a finite sum', { arms: ['a', 'b'].map((key) => ({ key, weight: 1e308, parameters: {} })) }],
    [
      'two arms of one key',
      {
        arms: [
          { key: 'a', weight: 1, parameters: {} },
          { key: 'a', weight: 1, parameters: {} },
        ],
      },
    ],
    [
      'an interleaving of three',
      { kind: 'interleaving', arms: ['a', 'b', 'c'].map((key) => ({ key, weight: 1, parameters: {} })) },
    ],
    [
      'an interleaving with a holdout',
      {
        kind: 'interleaving',
        arms: [
          { key: 'a', weight: 1, parameters: {}, holdout: 'all' },
          { key: 'b', weight: 1, parameters: {} },
        ],
      },
    ],
    ['a sticky query', { sticky: true, diversion: 'query' }],
    ['a block without records', { minVersion: 2, version: 2 }],
    ['a block of the version that runs', { sticky: true, minVersion: 2 }],
    ['a share above 1', { targeting: { share: 1.1 } }],
    ['a domain of no width', { domain: { key: 'd', buckets: [5, 5] } }],
  ])('%s', (_, patch) => expect(() => experiment(patch as Partial<Experiment>)).toThrow());
});

it('serves an experiment whose days are told in a zone that is not known here, and takes no definition of one', () => {
  const told = experiment({ timeZone: 'Mars/Olympus' });
  expect(assign(visit('u'), [told])).toHaveLength(1);
  const { success, error } = ExperimentDefinition.safeParse(told);
  expect([success, error?.issues[0]?.path]).toEqual([false, ['timeZone']]);
  for (const timeZone of [undefined, 'Europe/Berlin'])
    expect(ExperimentDefinition.safeParse({ ...told, timeZone }).success).toBe(true);
});

describe('experiments that cannot run together', () => {
  const a = experiment({ key: 'a1', buckets: [0, 100] });
  const other = (patch: Partial<Experiment>) => experiment({ key: 'a2', buckets: [100, 200], ...patch });

  test.each<[string, Experiment, Experiment, string[]]>([
    ['overlap in a layer', a, other({ buckets: [99, 200] }), ['a1 [0, 100)', 'a2 [99, 200)']],
    ['have one key', a, { ...a, buckets: [100, 200] }, ['a1']],
    ['divert a layer differently', a, other({ diversion: 'query' }), ['user', 'query']],
    ['place a layer in two domains', a, other({ domain: { key: 'd', buckets: [0, 9] } }), ['none', 'd']],
    [
      'give a domain two ranges',
      { ...a, domain: { key: 'd', buckets: [0, 9] } },
      other({ layer: 'x', domain: { key: 'd', buckets: [0, 8] } }),
      ['Domain d'],
    ],
    [
      'have domains that overlap',
      { ...a, domain: { key: 'd', buckets: [0, 9] } },
      other({ layer: 'x', domain: { key: 'e', buckets: [8, 12] } }),
      ['d', 'e'],
    ],
    ['interleave twice', { ...a, kind: 'interleaving' }, other({ layer: 'x', kind: 'interleaving' }), ['a1', 'a2']],
  ])('%s', (_, one, two, named) => {
    const beside = experiment({ key: 'a0', layer: 'elsewhere' });
    for (const all of [
      [one, two],
      [beside, one, two],
      [one, beside, two],
    ])
      for (const text of named) expect(conflict(all)).toContain(text);
    expect(conflict([one, { ...two, status: 'draft' }])).toBeUndefined();
  });

  test.each<[string, Experiment]>([
    ['beside each other in a layer', other({})],
    ['in other layers', other({ layer: 'other', buckets: [0, 100] })],
    ['an interleaving and a split of another layer', other({ layer: 'other', kind: 'interleaving' })],
    [
      'one in a domain, and the other of another layer',
      other({ layer: 'other', domain: { key: 'd', buckets: [0, 9] } }),
    ],
  ])('unless they are %s', (_, two) => {
    expect(conflict([a, two])).toBeUndefined();
    expect(conflict([two, a])).toBeUndefined();
  });

  test('unless they are in domains beside each other, or in the same', () => {
    const inDomain = (layer: string, domain: Experiment['domain']) => experiment({ key: `of-${layer}`, layer, domain });
    const [d, e] = [
      { key: 'd', buckets: [0, 9] as [number, number] },
      { key: 'e', buckets: [9, 12] as [number, number] },
    ];
    expect(conflict([inDomain('x', d), inDomain('y', e), inDomain('z', d)])).toBeUndefined();
  });
});
