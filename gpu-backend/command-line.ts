/** What the backend's programs share: `--help` with the settings, and one line for what the operator can fix. */
import { Command } from 'commander';
import { HarnessError } from '../shared/problem.ts';
import { settingsHelp } from './config.ts';

/** Answers `--help` and refuses what it does not know; `settings` names those that matter, all unless given. */
export function parseCommandLine(options: { name: string; description: string; settings?: string[] }): void {
  const { name, description, settings } = options;
  new Command(name).description(description).addHelpText('after', settingsHelp(settings)).parse();
}

/** Ends a program that failed: one line for a known error, the stack for a fault. */
export function exitWith(error: unknown): never {
  console.error(error instanceof HarnessError ? error.message : error);
  process.exit(error instanceof HarnessError ? 2 : 1);
}
