/** Databases that are not like those of the other tests. */
import { randomBytes } from 'node:crypto';
import { inject, onTestFinished } from 'vitest';
import { databaseUrl, query } from './postgres.ts';

/** Makes a database without any of Inlet's tables, for one test. @param options of CREATE DATABASE */
export async function emptyDatabase(options = ''): Promise<string> {
  const server = inject('postgresUrl');
  const name = `empty_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name} ${options}`);
  onTestFinished(async () => void (await query(server, `DROP DATABASE ${name}`)));
  return databaseUrl(server, name);
}
