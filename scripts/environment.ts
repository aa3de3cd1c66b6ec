/**
 * What the commands take from the environment unless their options say otherwise. An empty variable counts as unset, as
 * in the backend.
 */
const { BACKEND_URL, EDGE_URL, HARNESS_BUNDLE, HARNESS_DATA, HARNESS_KEYS } = process.env;

export const ENVIRONMENT = {
  backendUrl: BACKEND_URL || 'http://127.0.0.1:8788',
  edgeUrl: EDGE_URL || 'http://127.0.0.1:8787',
  bundleDir: HARNESS_BUNDLE || 'models/default',
  dataDir: HARNESS_DATA || '.harness',
  /** The key ring of edge and backend; without it, that of the data folder. */
  keys: HARNESS_KEYS || undefined,
} as const;
