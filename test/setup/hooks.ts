/** What a test file has open while it runs: opened before the first test of the file, or of its `describe`, and closed after the last. */
import { afterAll, beforeAll } from 'vitest';
import type { Backend } from '../../gpu-backend/main.ts';
import type { TinyBundleOptions } from '../fixtures/tiny-bundle.ts';
import { loadTestMarket, makeFolders, start, type TestFolders } from './backend.ts';
import type { TestDatabase } from './databases.ts';

/** A migrated, empty database; there from the first hook on. */
export function useDatabase(open: () => Promise<TestDatabase>): Omit<TestDatabase, 'close'> {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database?.close());
  return {
    get db() {
      return database.db;
    },
    get copying() {
      return database.copying;
    },
  };
}

export interface UseBackendOptions {
  /** Put the test market and publish it; true unless said. */
  market?: boolean;
  bundle?: Partial<TinyBundleOptions>;
  environment?: Record<string, string>;
}

/** A service in this process; there from the first hook on. */
export function useBackend({ market = true, bundle, environment }: UseBackendOptions = {}): Pick<Backend, 'url'> {
  let folders: TestFolders;
  let backend: Backend;
  beforeAll(async () => {
    folders = await makeFolders(bundle);
    backend = await start(folders, environment);
    if (market) await loadTestMarket(backend.url);
  });
  afterAll(async () => {
    await backend?.stop();
    folders?.remove();
  });
  return {
    get url() {
      return backend.url;
    },
  };
}
