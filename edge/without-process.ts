/**
 * Imported before all else. Libraries read `process` to learn whether this is Node, and reading alone makes workerd
 * load and run its stand-in, a tenth of the time that the Worker takes to start. An assignment does not read it;
 * defining the property would.
 */
(globalThis as { process?: unknown }).process = undefined;

export {};
