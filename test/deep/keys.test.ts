/** API keys in several processes, while Postgres is away, and beside an embedded Postgres. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { createApiKey, isApiKey } from '../../src/domain/api-key.ts';
import { runCommand } from '../support/command.ts';
import { freshDatabase, startInlet } from '../support/fixtures.ts';
import { KEY, prepare, testConfig } from '../support/inlet.ts';
import { becomes, listening, makeKey, statusWith } from '../support/keys.ts';
import { startPostgres } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

function start(args: string[], environment: Record<string, string>): InletProcess {
  const inlet = new InletProcess(args, environment);
  onTestFinished(() => inlet.close());
  return inlet;
}

test('a key works in every process within seconds, and no more within seconds of being revoked', async () => {
  const databaseUrl = await freshDatabase();
  const redisUrl = inject('redisUrl');
  const environment = {
    DATABASE_URL: databaseUrl,
    PORT: '0',
    ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: `keys-${process.pid}` } : {}),
  };
  const apis = [1, 2].map(() => start(['api'], environment));
  const urls = await Promise.all(apis.map((api) => api.apiUrl()));
  const created = await runInlet(['keys', 'create', '--name', 'x', '--json'], { DATABASE_URL: databaseUrl });
  const made = JSON.parse(created.stdout) as { id: string; key: string };
  for (const url of urls) await becomes(url, made, 200);
  const { code } = await runInlet(['keys', 'revoke', made.id], { DATABASE_URL: databaseUrl });
  expect(code).toBe(0);
  for (const url of urls) await becomes(url, made, 401);
  await Promise.all(apis.map((api) => api.kill('SIGTERM')));
});

describe.skipIf(inject('redisUrl') === null)('while Postgres is away', () => {
  test('known keys work on; of a process that starts then, those of the settings, and others get 503', async () => {
    const postgres = await startPostgres({ fsync: true });
    onTestFinished(() => postgres.stop());
    const redisUrl = inject('redisUrl') ?? undefined;
    const config = await prepare(testConfig({ databaseUrl: postgres.url, redisUrl }));
    const inlet = await startInlet(config, { workers: 0 });
    const made = await makeKey(postgres.url);
    await becomes(inlet.url, made, 200);

    await postgres.kill('SIGKILL');
    const write = (url: string, key: string) =>
      fetch(`${url}/v1/data/keys`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: '{"data":{"id":"a"}}',
      });
    expect((await write(inlet.url, made.key)).status).toBe(202);

    const late = await startInlet(inlet.config, { workers: 0 });
    expect((await write(late.url, KEY)).status).toBe(202);
    const unknown = await write(late.url, made.key);
    expect(unknown.status).toBe(503);
    expect(unknown.headers.get('retry-after')).toBe('1');
    expect((await write(late.url, `${made.key.slice(0, -1)}!`)).status).toBe(401);

    await postgres.start();
    await becomes(late.url, made, 200);
    expect((await write(late.url, createApiKey())).status).toBe(401);
    // Both listen again, the one whose connection broke and the one that never had any.
    await listening(postgres.url, 2);
  });
});

describe('with inlet serve and its embedded Postgres', () => {
  async function serve(dataDir: string): Promise<InletProcess> {
    const inlet = start(['serve'], { INLET_DATA_DIR: dataDir, PORT: '0' });
    // One that is killed leaves its Postgres running.
    onTestFinished(async () => void (await inlet.kill('SIGTERM')));
    await inlet.apiUrl();
    return inlet;
  }

  test('a key is made at the first start where there is none, and others beside it while it runs', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'inlet-keys-'));
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
    const first = await serve(dataDir);
    const kept = await waitFor('the key to be kept', () => keptKey(dataDir));
    const local = { id: '', key: kept.trim() };
    expect(isApiKey(local.key)).toBe(true);
    const url = await first.apiUrl();
    await becomes(url, local, 200);
    const { code, stdout } = await runCommand(['keys', 'create', '--name', 'beside'], {
      INLET_DATA_DIR: dataDir,
    });
    expect(code).toBe(0);
    const made = { id: '', key: stdout.trim() };
    await becomes(url, made, 200);
    await first.kill('SIGTERM');

    // Without the file the first key is void, and the other one is enough.
    await rm(join(dataDir, 'api-key'));
    const second = await (await serve(dataDir)).apiUrl();
    await becomes(second, made, 200);
    expect(await statusWith(second, local)).toBe(401);
    expect(await keptKey(dataDir)).toBeUndefined();
  });
});

function keptKey(dataDir: string): Promise<string | undefined> {
  return readFile(join(dataDir, 'api-key'), 'utf8').catch(() => undefined);
}
