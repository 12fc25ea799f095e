/** A worker that stood still for so long that it lost all of its jobs writes lines for people, not one for each job. */
import { expect, onTestFinished } from 'vitest';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { KEY, redisUrlOf } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { scrape, total } from '../support/prometheus.ts';
import { waitFor } from '../support/wait-for.ts';

/** As many as a worker has in hand for 16 transactions. */
const JOBS = 64;

/** Longer than locks last (10 s), and than others take to notice that they are over (5 s, twice). */
const TAKEN_OVER_MS = 40_000;

function linesOf({ stdout }: InletProcess): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const MOST_LINES = 8;

describeOnBothQueues('a worker that is stopped and goes on', (test, queue) => {
  test('writes few lines of the jobs that it has lost', { timeout: 120_000 }, async ({ databaseUrl }) => {
    const redisUrl = redisUrlOf(queue);
    const settings = {
      ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
      ...{ INLET_WORKER_CONCURRENCY: String(JOBS / 4), INLET_REDIS_PREFIX: `floods-${Date.now()}` },
      ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
    };
    const start = (role: string): InletProcess => {
      const child = new InletProcess([role], settings);
      onTestFinished(() => child.close());
      return child;
    };
    const [api, worker] = [start('api'), start('worker')];
    const url = await api.apiUrl();
    const health = String((await worker.logged('tells here how it is'))['url']);
    const inHand = async () => total(await scrape(health), 'inlet_worker_batches', { lane: 'writes' });

    const lock = new SteadyClient({ connectionString: databaseUrl });
    onTestFinished(() => lock.end());
    await lock.connect();
    await lock.query('BEGIN; LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE');
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    // One after the other, so that each is a batch of its own.
    for (let n = 0; n < JOBS; n += 1) {
      const body = JSON.stringify({ data: { id: `object-${n}` } });
      const response = await fetch(`${url}/v1/data/floods`, { method: 'POST', headers, body });
      expect(response.status).toBe(202);
    }
    await waitFor('the worker to have all in hand', async () => (await inHand()) === JOBS);

    process.kill(worker.pid, 'SIGSTOP');
    await lock.query('ROLLBACK');
    const other = start('worker');
    const stored = async () => (await query(databaseUrl, 'SELECT 1 FROM inlet.objects')).length === JOBS;
    await waitFor('another to store all', stored, TAKEN_OVER_MS);
    const doneBy = (child: InletProcess) => linesOf(child).filter(({ outcome }) => outcome).length;
    await waitFor('it to have done with them', () => doneBy(other) >= JOBS / 2, TAKEN_OVER_MS);
    process.kill(worker.pid, 'SIGCONT');
    await waitFor('the worker to have none in hand', async () => (await inHand()) === 0, TAKEN_OVER_MS);
    const ofTheQueue = () => linesOf(worker).filter(({ msg }) => msg === 'the queue reports an error');
    await waitFor('it to say how many lines it has left out, or to write one for each', () => {
      const told = ofTheQueue();
      return told.length > MOST_LINES || told.some(({ leftOut }) => leftOut);
    });
    const { code } = await worker.kill('SIGTERM');
    expect(code).toBe(0);
    const told = ofTheQueue();
    expect(told.length).toBeLessThanOrEqual(MOST_LINES);
    // Each job that it has lost counts, in a line or as left out of one.
    const counted = told.reduce((sum, { leftOut = 0 }) => sum + 1 + Number(leftOut), 0);
    expect(counted).toBeGreaterThanOrEqual(JOBS / 2);
  });
});
