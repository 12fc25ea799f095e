/** Keys in tests: made with the command, as operators make them. */
import { runCommand } from './command.ts';

export interface MadeKey {
  readonly id: string;
  readonly key: string;
}

/** Makes a key with `inlet keys create` and further options. */
export async function makeKey(databaseUrl: string, ...options: readonly string[]): Promise<MadeKey> {
  const args = ['keys', 'create', '--name', 'a test', '--json', ...options];
  const { code, stdout, stderr } = await runCommand(args, { DATABASE_URL: databaseUrl });
  if (code !== 0) throw new Error(`inlet keys create ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as MadeKey;
}

/** The header with which a key is sent. */
export function bearer({ key }: MadeKey): { authorization: string } {
  return { authorization: `Bearer ${key}` };
}
