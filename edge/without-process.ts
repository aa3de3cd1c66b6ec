/**
 * Imported before all else. Libraries ask for `process` to learn whether this is Node, and asking alone makes workerd load and
 * run its stand-in, a tenth of what the Worker takes to start.
 */
Object.defineProperty(globalThis, 'process', { value: undefined, configurable: true, writable: true });

export {};
