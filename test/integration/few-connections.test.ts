/** A role that may have few connections: Inlet makes do with them, or says at the start that it can't. */
import { randomBytes } from 'node:crypto';
import { expect, inject, onTestFinished } from 'vitest';
import type { Config } from '../../src/config.ts';
import { connectionsOf, fitConnections, poolSizes } from '../../src/connections.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const PARTS = ['api', 'worker'] as const;

const test = inletTest();

/** Settings for a role of its own, that may have so many connections. */
async function limited(config: QueueConfig, most: number, changes: Partial<Config> = {}) {
  const databaseUrl = await freshDatabase();
  const role = `few_${randomBytes(4).toString('hex')}`;
  await query(databaseUrl, `CREATE ROLE ${role} LOGIN PASSWORD 'few' CONNECTION LIMIT ${most}`);
  onTestFinished(async () => {
    await query(databaseUrl, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
  for (const schema of ['inlet', 'inlet_queue']) {
    await query(databaseUrl, `GRANT ALL ON SCHEMA ${schema} TO ${role}`);
    await query(databaseUrl, `GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO ${role}`);
    await query(databaseUrl, `GRANT ALL ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`);
  }
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = 'few';
  const used = async () => {
    const rows = await query(
      databaseUrl,
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = '${role}'`,
    );
    return Number(rows[0]?.['count']);
  };
  return { config: { ...config, ...changes, databaseUrl: url.href }, used };
}

test.skipIf(inject('redisUrl') === null).for([5])(
  '%i connections are enough with the queue in Redis',
  async (most, { config }) => {
    const kept = keptLog();
    const few = await limited(config, most);
    const fitted = await fitConnections(few.config, PARTS, kept.log);
    expect(kept.lines.map(({ msg }) => msg)).toEqual([
      `Postgres allows ${most} connections (the role's connection limit), and this process would open up to 23: it makes do with ${most}`,
    ]);
    const inlet = await startInlet(fitted);
    const ids = Array.from({ length: 100 }, (_, i) => `o${i}`);
    await Promise.all(ids.map((id) => inlet.write('few', JSON.stringify({ data: { id } }))));
    await waitFor('all to be stored', async () => {
      const lists = await Promise.all(ids.map(() => inlet.fetch('/v1/data/few/objects?limit=100')));
      expect(lists.every(({ ok }) => ok)).toBe(true);
      const [first] = await Promise.all(lists.map((list) => list.json() as Promise<{ data: unknown[] }>));
      return first?.data.length === ids.length;
    });
    expect(await few.used()).toBeLessThanOrEqual(most);
  },
);

test('too few are refused, with the limit and the remedy', async ({ config }) => {
  const { log } = keptLog();
  const few = await limited(config, 5, { redisUrl: undefined });
  await expect(fitConnections(few.config, PARTS, log)).rejects.toThrow(
    /^Postgres allows 5 connections \(the role's connection limit\), and this process needs \d+ at least: raise the limit, or set REDIS_URL/,
  );
});

test('a concurrency for which the server has no room is lowered', async ({ config }) => {
  const kept = keptLog();
  const few = await limited(config, 100, { workerConcurrency: 64, redisUrl: undefined });
  const fitted = await fitConnections(few.config, PARTS, kept.log);
  expect(fitted.workerConcurrency).toBeLessThan(64);
  expect(fitted.workerConcurrency).toBeGreaterThan(8);
  expect(fitted.pools?.worker).toBe(poolSizes(fitted).worker);
  expect(connectionsOf(PARTS, fitted.pools ?? poolSizes(fitted), fitted)).toBeLessThanOrEqual(100);
});

test('where there is room the settings stay, and the log says how many there are', async ({ config }) => {
  const kept = keptLog();
  expect(await fitConnections(config, PARTS, kept.log)).toBe(config);
  expect(kept.lines).toMatchObject([{ msg: expect.stringMatching(/^this process opens at most \d+ conn/) }]);
});
