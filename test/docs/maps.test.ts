/** Maps against the land: every source file of training/ has its row in the folder's README, and no row is without its file. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`. */
function spelledOut(path: string): string[] {
  const braces = /^(.*)\{(.*)\}(.*)$/.exec(path);
  return braces ? braces[2]!.split(',').map((name) => `${braces[1]}${name}${braces[3]}`) : [path];
}

describe('training/README.md', () => {
  const rows = readFileSync('training/README.md', 'utf8').matchAll(/^\| (`.*?) +\|/gm);
  const named = [...rows].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].flatMap(([, path]) => spelledOut(path!)),
  );

  it('has a row for every file, and a file for every row', () => {
    expect(named.toSorted()).toEqual(globSync('**/*.ts', { cwd: 'training' }).toSorted());
  });
});
