/** `npm run traffic`: people who search and click, against the running system, or against one started for the purpose. */
import { createTrafficCommand, runTraffic } from '../marketplace/traffic.ts';
import { exitWith } from './service.ts';
import { startSystem } from './system.ts';

const answers = (edgeUrl: string) =>
  fetch(`${edgeUrl}/healthz`, { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  );

const LOCAL = new Set(['127.0.0.1', 'localhost', '[::1]']);

const command = createTrafficCommand(async (options) => {
  const edge = new URL(options.edge ?? 'http://127.0.0.1:8787');
  if (!LOCAL.has(edge.hostname) || (await answers(edge.origin))) return runTraffic(options);
  console.error(`No edge answers at ${edge.origin}: starting the system for the duration.`);
  const system = await startSystem({
    dataDir: '.harness',
    bundleDir: 'models/default',
    edgePort: Number(edge.port || 80),
    backendPort: 8788,
    say: (line) => console.error(line),
  });
  try {
    return await runTraffic({ ...options, edge: system.edgeUrl });
  } finally {
    await system.stop();
  }
});

try {
  await command.name('npm run traffic --').parseAsync();
  process.exit();
} catch (error) {
  exitWith(error);
}
