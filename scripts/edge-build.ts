/**
 * The Worker as `wrangler deploy` would upload it: the bundled module, and what wrangler.toml says about running it.
 * Run as a program it prints both as JSON: wrangler's reader, the only one that is right by definition, takes more
 * memory to load than the whole edge takes to run, so the local runner leaves this to a process that ends afterwards.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface EdgeBuild {
  /** The Worker as one ES module. */
  script: string;
  /** Options of Miniflare (its version 4 shape), without a source. */
  workerOptions: Record<string, unknown> & {
    compatibilityDate: string;
    bindings: Record<string, string>;
    durableObjects?: Record<string, { className: string }>;
    kvNamespaces?: Record<string, unknown>;
    queueProducers?: Record<string, { queueName: string }>;
    queueConsumers?: Record<string, unknown>;
    ratelimits?: Record<string, { simple: { limit: number; period: number } }>;
  };
}

const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));

async function readWorkerOptions(): Promise<EdgeBuild['workerOptions']> {
  const { unstable_getMiniflareWorkerOptions } = await import('wrangler');
  const { workerOptions } = unstable_getMiniflareWorkerOptions(path('../wrangler.toml'));
  // As they come: JSON carries them, and Miniflare checks them.
  return workerOptions as unknown as EdgeBuild['workerOptions'];
}

/** The compiled module that the Worker imports, under the name by which it does. */
export const WASM_MODULE = { name: 'student/linear.wasm', path: path('../edge/student/linear.wasm') };

/** Bundles the Worker; `minify` as a deployment would. */
export function bundleEdge(options: { minify?: boolean } = {}): Promise<string> {
  return bundle(path('../edge/worker.ts'), options);
}

/** Bundles a module for workerd. */
export async function bundle(entry: string, options: { minify?: boolean } = {}): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    minify: options.minify ?? false,
    logLevel: 'silent',
    plugins: [
      {
        // The rules of wrangler, which esbuild does not read.
        name: 'modules-of-wrangler',
        setup({ onLoad, onResolve }) {
          onResolve({ filter: /\.wasm$/ }, () => ({ path: `./${WASM_MODULE.name}`, external: true }));
          onLoad({ filter: /edge[\\/]playground[\\/][\w.-]+\.(html|css|client\.js)$/ }, async ({ path: file }) => ({
            contents: await readFile(file, 'utf8'),
            loader: 'text',
          }));
        },
      },
    ],
  });
  return outputFiles[0]!.text;
}

/** Bundle and options together. */
async function buildEdge(): Promise<EdgeBuild> {
  const [script, workerOptions] = await Promise.all([bundleEdge(), readWorkerOptions()]);
  return { script, workerOptions };
}

/** The same from a process of its own, which gives its memory back. */
export async function buildEdgeApart(): Promise<EdgeBuild> {
  const program = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout);
}

if (import.meta.main) process.stdout.write(JSON.stringify(await buildEdge()), () => process.exit(0));
