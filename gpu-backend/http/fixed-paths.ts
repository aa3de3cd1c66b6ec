/**
 * Hono's router, asked once for each path that is always the same: a walk through its tree leaves more garbage than all
 * the rest of finding a handler. Hono's fast router does the same, but takes no path such as `/v1/ads:batch`.
 */
import type { Result, Router } from 'hono/router';
import { TrieRouter } from 'hono/router/trie-router';

export class FixedPaths<T> implements Router<T> {
  readonly name = 'FixedPaths';
  readonly #tree = new TrieRouter<T>();
  /** What the tree says of a path without parameters, by method; nothing yet where nobody asked. */
  readonly #fixed = new Map<string, Map<string, Result<T>>>();

  add(method: string, path: string, handler: T): void {
    this.#tree.add(method, path, handler);
    for (const known of this.#fixed.values()) known.clear();
    if (!/[:*{?]/.test(path)) this.#fixed.set(path, new Map());
  }

  match(method: string, path: string): Result<T> {
    const known = this.#fixed.get(path);
    if (known === undefined) return this.#tree.match(method, path);
    let result = known.get(method);
    if (result === undefined) {
      result = this.#tree.match(method, path);
      known.set(method, result);
    }
    return result;
  }
}
