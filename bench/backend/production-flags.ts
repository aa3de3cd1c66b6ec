/** V8's flags of a backend in production, as gpu-backend/Dockerfile starts it: what is measured is started with the same. */
import { readFileSync } from 'node:fs';

const dockerfile = readFileSync(new URL('../../gpu-backend/Dockerfile', import.meta.url), 'utf8');
const [, command] = /^CMD (.*)$/m.exec(dockerfile)!;

export const PRODUCTION_FLAGS = (JSON.parse(command!) as string[]).filter((word) => word.startsWith('--'));
