/** Maps against the land: every source file of a folder has its row in the folder's README, and no row is without its file. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob } from 'node:path';
import { describe, expect, it } from 'vitest';

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`; a folder (`a/`) as all that is in it. */
function spelledOut(path: string): string[] {
  if (path.endsWith('/')) return [`${path}**`];
  const braces = /^(.*)\{(.*)\}(.*)$/.exec(path);
  return braces ? braces[2]!.split(',').map((name) => `${braces[1]}${name}${braces[3]}`) : [path];
}

/** The files that the first cells of the tables name; a bare name stands for a file beside the one before it. */
function named(readme: string): string[] {
  return [...readme.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell]) => {
    let folder = '.';
    return [...cell!.matchAll(/`([^`]+)`/g)].flatMap(([, path]) => {
      const at = path!.includes('/') ? path! : join(folder, path!);
      folder = dirname(at);
      return spelledOut(at);
    });
  });
}

const FOLDERS = ['shared', 'edge', 'gpu-backend', 'training', 'marketplace', 'scripts', 'bench'];

describe.each(FOLDERS)('%s/README.md', (folder) => {
  // Tables of other things than sources, such as data sets and rungs, name neither.
  const rows = named(readFileSync(join(folder, 'README.md'), 'utf8')).filter(
    (path) => (path.endsWith('.ts') || path.includes('/')) && !path.startsWith('shared/'),
  );
  const files = globSync('**/*.ts', { cwd: folder });

  it('has a row for every file', () => {
    expect(files.filter((file) => !rows.some((row) => matchesGlob(file, row))).toSorted()).toEqual([]);
  });

  it('has a file for every row, and each row once', () => {
    expect(rows.filter((row) => globSync(row, { cwd: folder }).length === 0)).toEqual([]);
    expect(rows.filter((row, at) => rows.indexOf(row) !== at)).toEqual([]);
  });
});
