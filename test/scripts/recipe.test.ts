import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import defaults from '../../training/default.config.ts';
import { createRecipeCommand } from '../../training/recipe.ts';
import { testFolder } from '../fixtures/folder.ts';

const at = testFolder('recipe-command');

it('help names the default configuration as it is found in the repository, not where that lies on this machine', () => {
  const helps = (command: Command): string[] => [command.helpInformation(), ...command.commands.flatMap(helps)];
  const text = helps(createRecipeCommand().configureHelp({ helpWidth: 200 })).join('\n');
  const [, file] = /--config <file> .*\(default: (\S+)\)/.exec(text)!;
  expect([file, existsSync(file!)]).toEqual(['training/default.config.ts', true]);
  expect(text).not.toContain(process.cwd());
});

const run = (...args: string[]) =>
  new Promise<string>((said) =>
    execFile(process.execPath, [resolve('scripts/recipe.ts'), ...args], { cwd: at() }, (_error, _out, err) =>
      said(err),
    ),
  );

it('writes the bundled market for a run that asks for it, and for no other', async () => {
  writeFileSync(at('own.json'), JSON.stringify({ ...defaults, data: { ...defaults.data, folder: 'own' } }));
  const none = /^own: expected the dataset's catalogue\.jsonl/;
  const refused: [args: string[], says: RegExp][] = [
    [['algin'], /^error: too many arguments/],
    [['align', '--config', 'none.json'], /^none\.json: expected a configuration/],
    [['align', '--config', 'own.json'], none],
    [['align', '--data', 'own'], none],
  ];
  await Promise.all(refused.map(async ([args, says]) => expect(await run(...args)).toMatch(says)));
  expect(readdirSync(at())).toEqual(['own.json']);
  mkdirSync(at('.harness'));
  writeFileSync(at('.harness/market'), 'no folder');
  const asked =
    /^Writing the bundled market to \.harness\/market \.\.\.\n\.harness\/market cannot be written \(EEXIST.*\)\.\n$/;
  expect(await run('align')).toMatch(asked);
  expect(await run('evaluate', '--config', 'own.json', '--data', '.harness/market')).toMatch(asked);
});
