/**
 * Imported before all else. Libraries ask for `process` to learn whether this is Node, and asking alone makes workerd load and
 * run its stand-in, a tenth of what the Worker takes to start. An assignment does not ask; defining the property would.
 */
(globalThis as { process?: unknown }).process = undefined;

export {};
