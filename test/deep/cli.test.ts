/** The inlet command as processes: one that is killed, and one that reads its standard input. */
import { expect, inject, onTestFinished } from 'vitest';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

function start(args: string[], environment: Record<string, string>): InletProcess {
  const inlet = new InletProcess(args, environment);
  onTestFinished(() => inlet.close());
  return inlet;
}

test("a killed worker's batches are stored by another", { timeout: 90_000 }, async ({ databaseUrl }) => {
  const redisUrl = inject('redisUrl');
  const settings = {
    DATABASE_URL: databaseUrl,
    INLET_API_KEYS: KEY,
    PORT: '0',
    INLET_WORKER_PORT: '0',
    INLET_REDIS_PREFIX: `cli-${Date.now()}`,
    ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
  };
  const url = await start(['api'], settings).apiUrl();
  const worker = start(['worker'], settings);
  await worker.logged('the worker runs');
  // The worker is held up in the middle of a batch, and killed there.
  const lock = await holdObjects(databaseUrl);
  const authorization = `Bearer ${KEY}`;
  const response = await fetch(`${url}/v1/data/cli`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{"data":{"id":"orphan"}}',
  });
  const { requestId } = (await response.json()) as { requestId: string };
  const status = async (): Promise<string> => {
    const asked = await fetch(`${url}/v1/data/cli/requests/${requestId}`, { headers: { authorization } });
    return ((await asked.json()) as { status: string }).status;
  };
  await waitFor('the batch to be stored', async () => (await status()) === 'ingesting', 25_000);
  await worker.kill('SIGKILL');
  await lock.release();
  start(['worker'], settings);
  const isDone = async () => ['succeeded', 'failed'].includes(await status());
  await waitFor('the request to be done', isDone, 60_000);
  expect(await status()).toBe('succeeded');
});

test('import takes standard input', async ({ inlet }) => {
  const environment = { INLET_URL: inlet.url, INLET_API_KEY: KEY };
  const { code, stdout, stderr } = await runInlet(
    ['import', '-', '-n', 'input'],
    environment,
    '{"id":"a"}\n{"id":"b"}\n',
  );
  expect(stderr).toContain('uploading');
  expect(stdout).toMatch(/succeeded: 2 of 2 objects stored in input, 0 failed\n$/);
  expect(code).toBe(0);
  expect(await inlet.object('input', 'b')).toBeDefined();

  const withBadLine = await runInlet(['import', '-', '-n', 'input'], environment, '{"id":"c"}\nbad\n');
  expect(withBadLine).toMatchObject({ code: 1, stdout: expect.stringContaining('1 of 2 objects stored') });
});

/** Keeps every write of objects waiting until it is released. */
async function holdObjects(url: string): Promise<{ release: () => Promise<void> }> {
  const client = new SteadyClient({ connectionString: url });
  onTestFinished(() => client.end());
  await client.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE');
  return { release: () => client.end() };
}
