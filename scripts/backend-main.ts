/** The backend as a child of the local system; in production `gpu-backend/main.ts` is run as it is. */
import { exitWith } from '../gpu-backend/command-line.ts';
import { parseConfig } from '../gpu-backend/config.ts';
import { startBackend } from '../gpu-backend/main.ts';
import { serve } from './service.ts';

try {
  serve(await startBackend(parseConfig(process.env)));
} catch (error) {
  exitWith(error);
}
