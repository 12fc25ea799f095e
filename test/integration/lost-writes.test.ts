/** Disasters of the queue and the database: what was acknowledged and may be lost is told, until somebody accepts it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { queueIdFile } from '../../src/queue-identity.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { freshDatabase, startInlet } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import { testConfig } from '../support/inlet.ts';
import { command, type ListedLoss, losses, told, warnings } from '../support/losses.ts';
import { createTestDatabase, databaseUrl, query } from '../support/postgres.ts';
import { startProxy } from '../support/proxy.ts';
import { copyOf, emptied } from '../support/queue-copies.ts';
import { openBackend, openProvider, whenConnected } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

const NS = 'lost';

async function ownRedis() {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  return redis;
}

async function drained(url: string): Promise<void> {
  await waitFor('the database to know that it is drained', async () => {
    const [known] = await query(url, 'SELECT drained >= acknowledged AS is_drained FROM inlet.queue');
    return known?.['is_drained'] === true;
  });
}

/** A database behind an address at which nothing answers until `heal()`. */
async function cutOff(url: string) {
  const postgres = await startProxy(Number(new URL(url).port));
  onTestFinished(() => postgres.close());
  postgres.cut();
  return { postgres, databaseUrl: Object.assign(new URL(url), { port: `${postgres.port}` }).href };
}

/** A folder that remembers the id of the queue. */
async function dataDirOf(config: QueueConfig, databaseUrl: string): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'inlet-data-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  await writeFile(queueIdFile({ dataDir, databaseUrl }), config.queueId);
  return dataDir;
}

const write = (inlet: TestInlet, id: string) => inlet.write(NS, JSON.stringify({ data: { id } }));

/** Writes that are acknowledged, with when. */
async function acknowledge(inlet: TestInlet, ...ids: readonly string[]) {
  const from = Date.now();
  const requestIds: string[] = [];
  for (const id of ids) requestIds.push(await write(inlet, id));
  return { requestIds, from, to: Date.now() };
}

/** The range that is told has them all. */
function expectCovers(loss: ListedLoss | undefined, { from, to }: { from: number; to: number }): void {
  expect(Date.parse(loss?.from ?? '1970-01-01T00:00:00Z')).toBeLessThanOrEqual(from);
  expect(Date.parse(loss?.to ?? '')).toBeGreaterThanOrEqual(to);
}

describe.skipIf(inject('redisUrl') === null)('a queue on Redis', () => {
  test('that is emptied: tells which requests are lost, and goes on', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const inlet = await startInlet(config, { workers: 0 });
    const lost = await acknowledge(inlet, 'a', 'b', 'c');
    await emptied(redis.url);
    const kept = await write(inlet, 'd');
    await told(inlet, /the queue was emptied/);
    const found = await waitFor('its requests', async () => {
      const [loss, ...others] = await losses(config);
      expect(others).toEqual([]);
      return loss?.request_ids.length === 3 ? loss : undefined;
    });
    expect(found).toMatchObject({ cause: 'queue_emptied', request_ids: lost.requestIds });
    expectCovers(found, lost);
    expect(await (await fetch(`${inlet.url}/metrics`)).text()).toMatch(/^inlet_losses 1$/m);
    await inlet.addWorker();
    expect((await inlet.done(NS, kept)).status).toBe('succeeded');
    expect((await command(config, 'accept-loss')).stdout).toContain('accepted: 1');
    await waitFor('the warning to go', async () => (await warnings(inlet)).length === 0);
    expect(await losses(config)).toEqual([]);
  });

  test('that is emptied while nothing waits: nothing is lost, and nothing is told', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const inlet = await startInlet(config);
    await inlet.done(NS, await write(inlet, 'a'));
    await drained(config.databaseUrl);
    await emptied(redis.url);
    await inlet.done(NS, await write(inlet, 'b'));
    await waitFor('the database to know of the new queue', async () => {
      const [known] = await query(config.databaseUrl, 'SELECT drained > born AS is_new FROM inlet.queue');
      return known?.['is_new'] === true;
    });
    expect(await losses(config)).toEqual([]);
    expect(await warnings(inlet)).toEqual([]);
  });

  test('that comes back as an older copy: tells which requests are lost', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const inlet = await startInlet(config, { workers: 0 });
    const first = await write(inlet, 'a');
    const restore = await copyOf(redis.url);
    const lost = await acknowledge(inlet, 'b', 'c');
    await restore();
    await write(inlet, 'd');
    await told(inlet, /an older copy of itself/);
    const found = await waitFor('its requests', async () => {
      const [loss] = await losses(config);
      return loss?.request_ids.length === 2 ? loss : undefined;
    });
    expect(found).toMatchObject({ cause: 'older_queue', request_ids: lost.requestIds });
    expectCovers(found, lost);
    await inlet.addWorker();
    expect((await inlet.done(NS, first)).status).toBe('succeeded');
  });

  test.each(['emptied', 'an older copy'])(
    'that is %s while no process runs: is told by the next',
    async (what) => {
      const redis = await ownRedis();
      const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
      const before = await startInlet(config, { workers: 0 });
      await write(before, 'a');
      const restore = await copyOf(redis.url);
      const lost = await acknowledge(before, 'b', 'c');
      await before.close();
      await (what === 'emptied' ? emptied(redis.url) : restore());
      const inlet = await startInlet(config, { workers: 0 });
      await told(inlet, /may be lost/);
      expectCovers((await losses(config))[0], lost);
      expect((await losses(config)).length).toBe(1);
    },
  );

  test('that comes back as an older copy, and another process is the first to write', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const [inlet, other] = await Promise.all([1, 2].map(() => startInlet(config, { workers: 0 })));
    if (!inlet || !other) throw new Error('two were started');
    await write(other, 'a');
    const restore = await copyOf(redis.url);
    const lost = await acknowledge(inlet, 'b', 'c');
    await restore();
    await write(other, 'd');
    await told(other, /an older copy of itself/);
    // What has come shortly before the copy may be named as well, for as long as it isn't stored.
    const found = await waitFor('its requests', async () => {
      const [loss, ...others] = await losses(config);
      expect(others).toEqual([]);
      return lost.requestIds.every((id) => loss?.request_ids.includes(id)) && loss;
    });
    expect(found.cause).toBe('older_queue');
    expectCovers(found, lost);
  });

  test('that comes back as an older copy when only the database knows more, and somebody has written since', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const inlet = await startInlet(config, { workers: 0 });
    const restore = await copyOf(redis.url);
    const lost = await acknowledge(inlet, 'b');
    await inlet.close();
    await restore();
    const { databaseUrl, postgres } = await cutOff(config.databaseUrl);
    const other = await startInlet(
      { ...config, databaseUrl, dataDir: await dataDirOf(config, databaseUrl) },
      { workers: 0 },
    );
    await write(other, 'c');
    postgres.heal();
    await told(other, /an older copy of itself/);
    expectCovers((await losses(config))[0], { ...lost, to: lost.from });
  });

  test('that is emptied after a start with Postgres away: tells which requests are lost', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const before = await startInlet(config);
    await before.done(NS, await write(before, 'stored'));
    await drained(config.databaseUrl);
    await before.close();
    const { databaseUrl, postgres } = await cutOff(config.databaseUrl);
    const inlet = await startInlet(
      { ...config, databaseUrl, dataDir: await dataDirOf(config, databaseUrl) },
      { workers: 0 },
    );
    const lost = await acknowledge(inlet, 'b');
    await emptied(redis.url);
    await write(inlet, 'c');
    postgres.heal();
    await told(inlet, /the queue was emptied/);
    const [found] = await waitFor('its requests', async () => {
      const found = await losses(config);
      return found[0]?.request_ids.length === 1 && found;
    });
    expect(found).toMatchObject({ request_ids: lost.requestIds });
  });

  test("that turns out to be another Inlet's when Postgres is back: takes no writes, and says so", async () => {
    const redis = await ownRedis();
    const config = testConfig(
      { databaseUrl: await freshDatabase(), redisUrl: redis.url },
      { redisPrefix: 'inlet' },
    );
    const theirs = await freshDatabase();
    await query(theirs, "UPDATE inlet.queue SET id = 'other'");
    await startInlet({ ...config, databaseUrl: theirs }, { workers: 0 });
    const { databaseUrl, postgres } = await cutOff(config.databaseUrl);
    const inlet = await startInlet({ ...config, databaseUrl }, { workers: 0 });
    postgres.heal();
    await waitFor('it to notice', async () => (await fetch(`${inlet.url}/readyz`)).status === 503);
    expect((await inlet.post(NS, '{"data":{"id":"a"}}')).status).toBe(503);
  });

  test("that is another Inlet's for a while: takes nothing meanwhile, and nothing gets across", async () => {
    const [own, foreign] = [await ownRedis(), await ownRedis()];
    const proxy = await startProxy(own.port);
    onTestFinished(() => proxy.close());
    const redisPrefix = 'inlet';
    const config = testConfig(
      { databaseUrl: await freshDatabase(), redisUrl: `redis://127.0.0.1:${proxy.port}` },
      { redisPrefix },
    );
    const otherDatabase = await freshDatabase();
    await query(otherDatabase, "UPDATE inlet.queue SET id = 'other'");
    const other = await startInlet(
      {
        ...testConfig({ databaseUrl: otherDatabase, redisUrl: foreign.url }, { redisPrefix }),
        queueId: 'other',
      },
      { workers: 0 },
    );
    const theirs = await write(other, 'theirs');
    const inlet = await startInlet(config);
    const acknowledged: string[] = [await write(inlet, 'before')];

    proxy.moveTo(foreign.port);
    const refused = await waitFor('writes to be refused', async () => {
      const answer = await inlet.post(NS, '{"data":{"id":"during"}}');
      if (answer.status === 202) {
        acknowledged.push(((await answer.json()) as { requestId: string }).requestId);
        return undefined;
      }
      return (
        (await answer.text()).includes('another Inlet') ||
        (await warnings(inlet)).join().includes('another Inlet')
      );
    });
    expect(refused).toBe(true);
    await other.addWorker();
    expect((await other.done(NS, theirs)).status).toBe('succeeded');
    proxy.moveTo(own.port);

    acknowledged.push(await waitFor('writes to be taken again', () => write(inlet, 'after')));
    for (const id of acknowledged) expect((await inlet.done(NS, id)).status).toBe('succeeded');
    expect(await inlet.object(NS, 'theirs')).toBeUndefined();
    const stored = await query(otherDatabase, 'SELECT id FROM inlet.objects');
    expect(stored).toEqual([{ id: 'theirs' }]);
    expect(await losses(config)).toEqual([]);
  });

  test("that is another Inlet's from the beginning: is refused with the remedy, and can be adopted", async () => {
    const redis = await ownRedis();
    const config = testConfig(
      { databaseUrl: await freshDatabase(), redisUrl: redis.url },
      { redisPrefix: 'inlet' },
    );
    const before = await startInlet(config);
    await before.done(NS, await write(before, 'stored'));
    await waitFor('the queue to know', async () => {
      const [known] = await query(config.databaseUrl, 'SELECT stored FROM inlet.queue');
      return known?.['stored'] !== null;
    });
    const waiting = await startInlet(config, { workers: 0 });
    await before.close();
    const left = await write(waiting, 'waiting');
    await waiting.close();

    const fresh = { ...config, databaseUrl: await freshDatabase() };
    await query(fresh.databaseUrl, "UPDATE inlet.queue SET id = 'fresh'");
    await expect(startInlet(fresh)).rejects.toThrow(/leads to the queue of another Inlet.*inlet queue adopt/);
    expect((await command(fresh, 'adopt')).code).toBe(0);
    const inlet = await startInlet(fresh);
    expect((await inlet.done(NS, left)).status).toBe('succeeded');
    await told(inlet, /the database is an older copy/);
  });

  test('beside a database that is an older copy: tells what may be missing', async () => {
    const redis = await ownRedis();
    const { url, drop } = await createTestDatabase();
    onTestFinished(drop);
    const config = testConfig({ databaseUrl: url, redisUrl: redis.url });
    const known = async () => (await query(url, 'SELECT stored FROM inlet.queue'))[0]?.['stored'];
    const before = await startInlet(config);
    await before.done(NS, await write(before, 'a'));
    await waitFor('the database to know', async () => (await known()) !== null);
    const then = await known();
    await before.close();
    const copy = `copy_${Date.now()}`;
    const server = inject('postgresUrl');
    await query(server, `CREATE DATABASE ${copy} TEMPLATE ${new URL(url).pathname.slice(1)}`);
    onTestFinished(async () => void (await query(server, `DROP DATABASE ${copy}`)));
    const again = await startInlet(config);
    const lost = await acknowledge(again, 'b');
    await again.done(NS, lost.requestIds[0] ?? '');
    await waitFor('the database to know of that', async () => (await known()) !== then);
    await again.close();

    const restored = { ...config, databaseUrl: databaseUrl(server, copy) };
    const inlet = await startInlet(restored);
    await told(inlet, /the database is an older copy/);
    expectCovers((await losses(restored))[0], { from: lost.from, to: lost.from });
    await inlet.close();
  });

  test('of a version whose keys carried no id: is drained, and its batches are seen until then', async () => {
    const redis = await ownRedis();
    const config = testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url });
    const [writes, imports] = [1, 2].map((i) =>
      handMadeBatch(i, [{ namespace: NS, objects: [object(`old${i}`)] }]),
    );
    const producer = openBackend(config).openProducer();
    onTestFinished(() => producer.close());
    await waitFor('the queue to be connected', () => producer.isConnected());
    for (const [lane, batch] of [['writes', writes] as const, ['imports', imports] as const]) {
      const jobs = producer.earlier?.createQueue(lane);
      onTestFinished(async () => jobs?.close());
      const { id, ...payload } = batch ?? {};
      await jobs?.add(
        'batch',
        { version: 1, ...payload },
        { jobId: `batch-${id}`, attempts: 1_000, removeOnComplete: true },
      );
    }
    const inlet = await startInlet(config, { workers: 0 });
    const requestId = requestIdAt(writes?.id ?? '', 0);
    const answer = await inlet.fetch(`/v1/data/${NS}/requests/${requestId}`);
    expect(((await answer.json()) as { status: string }).status).toBe('queued');
    const queue = openProvider(config).openQueue();
    onTestFinished(() => queue.close());
    expect((await whenConnected(() => queue.load())).depth).toMatchObject({ writes: 1, imports: 1 });
    expect(await queue.batchIds()).toEqual([writes?.id]);
    await inlet.addWorker();
    expect((await inlet.done(NS, requestId)).status).toBe('succeeded');
    await waitFor('the other one', async () => inlet.object(NS, 'old2'));
  });
});
