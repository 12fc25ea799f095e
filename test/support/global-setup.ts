// Starts what the suite shares, before the first test, and ends it after the last.
import type { TestProject } from 'vitest/node';
import { migratePostgresQueue } from '../../src/queue/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { databaseUrl, query, startPostgres, TEMPLATE } from './postgres.ts';
import { hasRedis, startRedis } from './redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The suite's PostgreSQL, as superuser; tests use `createTestDatabase()`. */
    postgresUrl: string;
    /** The suite's Redis, or null where there is none; tests keep apart by the prefix of their keys. */
    redisUrl: string | null;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: { stop(): Promise<void> }[] = [];
  const teardown = async () => {
    await Promise.all(started.map((service) => service.stop()));
  };
  try {
    const postgres = await startPostgres();
    started.push(postgres);
    await query(postgres.url, `CREATE DATABASE ${TEMPLATE}`);
    await migrate({ databaseUrl: databaseUrl(postgres.url, TEMPLATE), andThen: migratePostgresQueue });
    project.provide('postgresUrl', postgres.url);
    const redis = (await redisWanted()) ? await startRedis() : undefined;
    if (redis !== undefined) started.push(redis);
    project.provide('redisUrl', redis?.url ?? null);
    return teardown;
  } catch (error) {
    await teardown(); // vitest calls it only if it was returned
    throw error;
  }
}

/** A developer may do without Redis and is told so; in CI a missing Redis would leave half of the promises untested. */
async function redisWanted(): Promise<boolean> {
  if (await hasRedis()) return true;
  const how = 'install it (Debian, Ubuntu: apt-get install redis-server), or set REDIS_SERVER to the program';
  if (process.env['CI']) throw new Error(`redis-server was not found: ${how}`);
  process.stderr.write(
    `\n!!! redis-server was not found: the tests with Redis are SKIPPED. To run them, ${how}.\n\n`,
  );
  return false;
}
