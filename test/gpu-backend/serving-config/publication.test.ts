/** A publication over a real database: what must hold when several ask for one. */
import { beforeAll, expect, it } from 'vitest';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { createPublication, type Publication } from '../../../gpu-backend/serving-config/publication.ts';
import { openServingConfig } from '../../../gpu-backend/serving-config/serving-config.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { smallBundle, smallCatalogue, smallHouse } from '../../fixtures/small-house.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const at = testFolder('publication');
const database = useDatabase(openEmbeddedDatabase);
let publication: Publication;

beforeAll(async () => {
  const { db } = database;
  const house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data') });
  const { store, live, encoder, ladder } = house;
  await createCatalogue({
    ...{ db, space: encoder },
    follow: async () => {},
    onKillListChange: async () => {},
  }).putMany(smallCatalogue());
  const config = await openServingConfig(db, DEFAULT_CONFIG);
  publication = createPublication({
    ...{ db, config, store, live, encoder, ladder, now: Date.now },
    exclusive: (work) => work(),
  });
  return house.close;
});

it('is refused over a generation that is no longer the live one, and uses up no number', async () => {
  expect((await publication.build()).number).toBe(1);
  await expect(publication.build({ over: 7 })).rejects.toMatchObject({
    code: 'conflict',
    message: 'Generation 1 was published in the place of 7 meanwhile.',
  });
  expect((await publication.build({ over: 1 })).number).toBe(2);
  await expect(publication.build({ over: 1 })).rejects.toMatchObject({ code: 'conflict' });
  expect((await publication.list()).live).toBe(2);
});
