/** The Worker in workerd, as a child of the local system. Settings: EDGE_PORT, BACKEND_URL, HARNESS_KEYS, DASHBOARD_URL, EDGE_VARS (JSON). */
import { exitWith } from '../gpu-backend/command-line.ts';
import { startEdge } from './edge-local.ts';
import { serve } from './service.ts';

const {
  EDGE_PORT = '8787',
  BACKEND_URL = 'http://127.0.0.1:8788',
  HARNESS_KEYS = '',
  DASHBOARD_URL = '',
  EDGE_VARS = '{}',
} = process.env;
try {
  serve(
    await startEdge({
      port: Number(EDGE_PORT),
      backendUrl: BACKEND_URL,
      keys: HARNESS_KEYS,
      dashboardUrl: DASHBOARD_URL,
      vars: JSON.parse(EDGE_VARS) as Record<string, string>,
    }),
  );
} catch (error) {
  exitWith(error);
}
