import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { createRecipeCommand } from '../../training/recipe.ts';

it('help names the default configuration as it is found in the repository, not where that lies on this machine', () => {
  const helps = (command: Command): string[] => [command.helpInformation(), ...command.commands.flatMap(helps)];
  const text = helps(createRecipeCommand().configureHelp({ helpWidth: 200 })).join('\n');
  const [, file] = /--config <file> .*\(default: (\S+)\)/.exec(text)!;
  expect([file, existsSync(file!)]).toEqual(['training/default.config.ts', true]);
  expect(text).not.toContain(process.cwd());
});
