/** Keys in tests: made with the command, as operators make them. */
import { runCommand } from './command.ts';
import { query } from './postgres.ts';
import { waitFor } from './wait-for.ts';

/** What operators are promised by "within seconds", in milliseconds. */
const WITHIN_SECONDS_MS = 10_000;

/** The connections over which APIs are told of changed keys. */
const LISTENING = `SELECT FROM pg_stat_activity
  WHERE application_name = 'inlet keys' AND datname = current_database()`;

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

/** How an API answers a call with a key that needs the right to read. */
export async function statusWith(url: string, key: MadeKey): Promise<number> {
  const response = await fetch(`${url}/v1/data/keys/objects`, { headers: bearer(key) });
  await response.arrayBuffer();
  return response.status;
}

/** Waits until an API answers so, for as long as operators are promised that it takes. */
export async function becomes(url: string, key: MadeKey, status: number): Promise<void> {
  const isSo = async () => (await statusWith(url, key)) === status;
  await waitFor(`the key to be answered with ${status}`, isSo, WITHIN_SECONDS_MS);
}

/** Waits until so many APIs on a database are told of changed keys. */
export async function listening(databaseUrl: string, count: number): Promise<void> {
  const areListening = async () => (await query(databaseUrl, LISTENING)).length === count;
  await waitFor(`${count} APIs to listen`, areListening);
}
