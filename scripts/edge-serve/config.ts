/** wrangler.toml as a configuration of plain workerd (Cap'n Proto text): the Worker, its stand-ins, its disk. */
import { type EdgeBuild, WASM_MODULE } from '../edge-build.ts';

export interface ServeConfigOptions {
  build: EdgeBuild;
  /** `host:port` to listen on. */
  address: string;
  /** Variables over those of wrangler.toml. */
  vars: Readonly<Record<string, string>>;
  /** Folder of the Durable Objects. */
  diskDir: string;
  /** Folder of a bundle, for a Worker that encodes queries itself. */
  studentDir: string | undefined;
}

/** Files that the configuration embeds, beside it. */
export const EMBEDDED = {
  edge: 'worker.js',
  wasm: 'linear.wasm',
  kv: 'kv.js',
  queue: 'queue.js',
  rateLimit: 'rate-limit.js',
} as const;

/**
 * Flags of V8, wherever workerd runs on this machine. What the runtime hands to JavaScript (requests, headers, promises of its own)
 * is destroyed by collections, which workerd makes in one piece: so they are many and small. Without the flags a full one comes
 * every few seconds of load, and nobody is answered for a tenth of a second. Cloudflare sets its own.
 */
export const V8_FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=10', '--initial-heap-size=10'] as const;

/** workerd remarks that it cannot use its compile cache under flags of V8; nobody needs to act on that. */
export const isRemark = (line: string): boolean => line.includes('NOSENTRY');

/** Name of the module that makes rate-limit bindings. */
const RATE_LIMIT = 'harness-internal:rate-limit';

/** Dates and flags of the stand-ins; the flag lets a service binding call a `queue` handler. */
const STAND_IN = `compatibilityDate = "2026-11-01", compatibilityFlags = ["service_binding_extra_handlers"]`;

const text = (value: string) => JSON.stringify(value);
const list = (items: readonly string[]) => `[\n      ${items.join(',\n      ')}\n    ]`;
const module = (file: string, more = '') => `modules = [(name = "${file}", esModule = embed "${file}")${more}]`;
const wasm = `, (name = "${WASM_MODULE.name}", wasm = embed "${EMBEDDED.wasm}")`;
const namespace = (className: string) =>
  `(className = "${className}", uniqueKey = "harness-${className}", enableSql = true)`;

/** `HARNESS_KEYS` comes from the environment, so that no secret is written to disk. */
export function serveConfig({ build, address, vars, diskDir, studentDir }: ServeConfigOptions): string {
  const { compatibilityDate, durableObjects, kvNamespaces, queueProducers, queueConsumers, ratelimits, bindings } =
    build.workerOptions;
  const objects = Object.entries(durableObjects ?? {});
  const queues = [...new Set(Object.values(queueProducers ?? {}).map(({ queueName }) => queueName))];
  const edgeBindings = [
    '(name = "HARNESS_KEYS", fromEnvironment = "HARNESS_KEYS")',
    ...Object.entries({ ...bindings, ...vars }).map(([name, value]) => `(name = "${name}", text = ${text(value)})`),
    ...objects.map(([name, { className }]) => `(name = "${name}", durableObjectNamespace = "${className}")`),
    ...Object.keys(kvNamespaces ?? {}).map((name) => `(name = "${name}", kvNamespace = "kv")`),
    ...Object.entries(queueProducers ?? {}).map(
      ([name, { queueName }]) => `(name = "${name}", queue = "queue-${queueName}")`,
    ),
    ...Object.entries(ratelimits ?? {}).map(
      ([name, { simple }]) =>
        `(name = "${name}", wrapped = (moduleName = "${RATE_LIMIT}", innerBindings = [(name = "SETTINGS", json = ${text(JSON.stringify(simple))})]))`,
    ),
  ];
  if (studentDir !== undefined) edgeBindings.push('(name = "STUDENT", service = "student")');
  const queueBindings = (queue: string) => [
    `(name = "NAME", text = ${text(queue)})`,
    `(name = "CONSUMERS", text = ${text(JSON.stringify(queueConsumers ?? {}))})`,
    '(name = "EDGE", service = "edge")',
    `(name = "QUEUES", durableObjectNamespace = (className = "Queues", serviceName = "queues"))`,
  ];
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  sockets = [(name = "http", address = ${text(address)}, http = (forwardedProtoHeader = "X-Forwarded-Proto"), service = "edge")],
  services = [
    (name = "internet", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))),
    (name = "disk", disk = (path = ${text(diskDir)}, writable = true)),
${studentDir === undefined ? '' : `    (name = "student", disk = (path = ${text(studentDir)})),\n`}    (name = "edge", worker = (
    ${module(EMBEDDED.edge, wasm)}, compatibilityDate = ${text(compatibilityDate)},
    bindings = ${list(edgeBindings)},
    durableObjectNamespaces = [${objects.map(([, { className }]) => namespace(className)).join(', ')}],
    durableObjectStorage = (localDisk = "disk"),
    globalOutbound = "internet")),
    (name = "kv", worker = (
    ${module(EMBEDDED.kv)}, ${STAND_IN},
    bindings = [(name = "STORE", durableObjectNamespace = "Store")],
    durableObjectNamespaces = [${namespace('Store')}],
    durableObjectStorage = (localDisk = "disk"))),
    (name = "queues", worker = (
    ${module(EMBEDDED.queue)}, ${STAND_IN},
    bindings = ${list(queueBindings(''))},
    durableObjectNamespaces = [${namespace('Queues')}],
    durableObjectStorage = (localDisk = "disk"))),
${queues
  .map(
    (queue) => `    (name = "queue-${queue}", worker = (
    ${module(EMBEDDED.queue)}, ${STAND_IN},
    bindings = ${list(queueBindings(queue))}))`,
  )
  .join(',\n')}
  ],
  v8Flags = ${JSON.stringify(V8_FLAGS)},
  extensions = [(modules = [(name = "${RATE_LIMIT}", internal = true, esModule = embed "${EMBEDDED.rateLimit}")])]
);
`;
}
