/** API keys from their making to their end, in every process. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { createApiKey, isApiKey } from '../../src/domain/api-key.ts';
import { eventually, KEY, prepare, TestInlet, testConfig } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { createTestDatabase, query, startPostgres } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';

/** What operators are promised by "within seconds", in milliseconds. */
const WITHIN_SECONDS_MS = 10_000;

/** The connections over which processes are told of changed keys. */
const LISTENING = `SELECT FROM pg_stat_activity
  WHERE application_name = 'inlet keys' AND datname = current_database()`;

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

async function statusWith(url: string, key: MadeKey): Promise<number> {
  return (await fetch(`${url}/v1/data/keys/objects`, { headers: bearer(key) })).status;
}

function becomes(url: string, key: MadeKey, status: number): Promise<true> {
  const ask = async () => (await statusWith(url, key)) === status || undefined;
  return eventually(ask as () => Promise<true | undefined>, WITHIN_SECONDS_MS);
}

describe('inlet keys', () => {
  let url: string;
  let drop: () => Promise<void>;
  const keys = (...args: string[]) => runInlet(['keys', ...args], { DATABASE_URL: url });

  beforeAll(async () => {
    ({ url, drop } = await createTestDatabase());
  });

  afterAll(() => drop());

  it('create prints the key alone on standard output, and the database has only its hash', async () => {
    const { code, stdout, stderr } = await keys('create', '--name', 'alone');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^sk_[0-9A-Za-z]{49}\n$/);
    expect(stderr).toContain('shown only now');
    const rows = await query(
      url,
      `SELECT to_jsonb(k) AS whole, encode(hash, 'hex') AS hash, encode(sha256('${stdout.trim()}'), 'hex') AS expected FROM inlet.api_keys AS k WHERE name = 'alone'`,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]?.['hash']).toBe(rows[0]?.['expected']);
    expect(JSON.stringify(rows)).not.toContain(stdout.trim());
  });

  it('list shows rights, use and status, and never a key', async () => {
    const made = await makeKey(
      url,
      '--scopes',
      'read',
      '--namespaces',
      'b,a',
      '--rate',
      '7/s',
      '--object-rate',
      '9',
      '--expires',
      '2999-01-01',
    );
    const { stdout } = await keys('list', '--json');
    expect(stdout).not.toContain(made.key);
    const { data } = JSON.parse(stdout) as { data: Record<string, unknown>[] };
    expect(data.find(({ id }) => id === made.id)).toEqual({
      id: made.id,
      name: 'a test',
      status: 'active',
      scopes: ['read'],
      namespaces: ['b', 'a'],
      request_rate: 7,
      object_rate: 9,
      expires_at: '2999-01-01T00:00:00.000Z',
      created_at: expect.any(String),
      revoked_at: null,
      last_used_at: null,
    });
    const text = (await keys('list')).stdout;
    expect(text).toContain(
      `${made.id}  active   a test: read; namespaces b, a; 7 requests/s; 9 objects/s; expires 2999`,
    );
    expect(text).not.toContain(made.key);
  });

  it('create makes a key for all namespaces where it is asked for *', async () => {
    const made = await makeKey(url, '--namespaces', '*');
    const { data } = JSON.parse((await keys('list', '--json')).stdout) as { data: Record<string, unknown>[] };
    expect(data.find(({ id }) => id === made.id)?.['namespaces']).toBeNull();
  });

  it('revoke ends a key once, and says so where there is none', async () => {
    const { id } = await makeKey(url);
    expect(await keys('revoke', id)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is revoked'),
    });
    expect((await keys('list')).stdout).toMatch(new RegExp(`${id}  revoked`));
    expect(await keys('revoke', id)).toMatchObject({ code: 1, stderr: expect.stringContaining('no key') });
    expect(await keys('revoke', 'key_unknown')).toMatchObject({ code: 1 });
  });

  it.each([
    [['create']],
    [['create', '--name', '']],
    [['create', '--name', 'x', '--scopes', 'all']],
    [['create', '--name', 'x', '--rate', 'fast']],
    [['create', '--name', 'x', '--expires', '2001-01-01']],
    [['create', '--name', 'x', '--namespaces', 'a b']],
    [['revoke']],
  ])('%j is wrong usage: 2', async (args) => {
    const { code, stderr } = await keys(...args);
    expect(code).toBe(2);
    expect(stderr).toContain('error:');
  });

  it('without a database say what to do', async () => {
    const { code, stderr } = await runInlet(['keys', 'list'], { INLET_DATA_DIR: '/no/such/folder' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: DATABASE_URL is not set, and no embedded Postgres runs .*\n$/);
    const away = await runInlet(['keys', 'list'], { DATABASE_URL: 'postgres://127.0.0.1:1/x' });
    expect(away).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: Postgres cannot be reached: .*\n$/),
    });
  });
});

describe('a key', () => {
  async function twoProcesses(): Promise<{ databaseUrl: string; urls: string[] }> {
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const redisUrl = inject('redisUrl');
    const environment = {
      DATABASE_URL: database.url,
      PORT: '0',
      ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: `keys-${process.pid}` } : {}),
    };
    const processes = [1, 2].map(() => new InletProcess(['api'], environment));
    for (const api of processes) closers.push(() => api.close());
    return { databaseUrl: database.url, urls: await Promise.all(processes.map((api) => api.apiUrl())) };
  }

  it('works in every process within seconds, and no more within seconds of being revoked', async () => {
    const { databaseUrl, urls } = await twoProcesses();
    const made = await makeKey(databaseUrl);
    for (const url of urls) await becomes(url, made, 200);
    const { code } = await runInlet(['keys', 'revoke', made.id], { DATABASE_URL: databaseUrl });
    expect(code).toBe(0);
    for (const url of urls) await becomes(url, made, 401);
  });

  it('that is revoked by hand, without a notification, is noticed all the same', async () => {
    const { databaseUrl, urls } = await twoProcesses();
    const made = await makeKey(databaseUrl);
    for (const url of urls) await becomes(url, made, 200);
    await query(databaseUrl, 'ALTER TABLE inlet.api_keys DISABLE TRIGGER announce_api_keys');
    await query(databaseUrl, 'UPDATE inlet.api_keys SET revoked_at = now()');
    for (const url of urls) await becomes(url, made, 401);
  });

  it('whose notification comes over a connection that was broken in between is noticed', async () => {
    const { databaseUrl, urls } = await twoProcesses();
    await query(
      databaseUrl,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inlet keys' AND datname = current_database()`,
    );
    const made = await makeKey(databaseUrl);
    for (const url of urls) await becomes(url, made, 200);
    await eventually(async () => {
      const listening = await query(databaseUrl, LISTENING);
      return listening.length === 2 || undefined;
    });
  });

  it('that has expired is refused, and said to have', async () => {
    const { databaseUrl, urls } = await twoProcesses();
    const made = await makeKey(databaseUrl, '--expires', '2999-01-01');
    const [url = ''] = urls;
    await becomes(url, made, 200);
    await query(databaseUrl, `UPDATE inlet.api_keys SET expires_at = now() + interval '1 second'`);
    await becomes(url, made, 401);
    // Also when the keys have been read anew since.
    await query(databaseUrl, `UPDATE inlet.api_keys SET name = 'renamed'`);
    await delay(1_000);
    const refused = await fetch(`${url}/v1/data/keys/objects`, { headers: bearer(made) });
    expect(await refused.text()).toContain('has expired');
  });

  it('that was used is listed with when', async () => {
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const made = await makeKey(database.url);
    const inlet = await TestInlet.start(testConfig({ databaseUrl: database.url }), { workers: 0 });
    closers.push(() => inlet.close());
    const before = Date.now();
    expect(await statusWith(inlet.url, made)).toBe(200);
    // It is noted now and then, and when the process ends.
    await inlet.close();
    const { stdout } = await runInlet(['keys', 'list', '--json'], { DATABASE_URL: database.url });
    const { data } = JSON.parse(stdout) as { data: { last_used_at: string }[] };
    expect(Date.parse(data[0]?.last_used_at ?? '')).toBeGreaterThanOrEqual(before);
  });
});

describe('a key that is revoked right after it was used', () => {
  it('is listed with when it was used', async () => {
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const made = await makeKey(database.url);
    const inlet = await TestInlet.start(testConfig({ databaseUrl: database.url }), { workers: 0 });
    closers.push(() => inlet.close());
    const before = Date.now();
    expect(await statusWith(inlet.url, made)).toBe(200);
    await runInlet(['keys', 'revoke', made.id], { DATABASE_URL: database.url });
    await becomes(inlet.url, made, 401);
    await inlet.close();
    const { stdout } = await runInlet(['keys', 'list', '--json'], { DATABASE_URL: database.url });
    const { data } = JSON.parse(stdout) as { data: { status: string; last_used_at: string }[] };
    expect(data[0]?.status).toBe('revoked');
    expect(Date.parse(data[0]?.last_used_at ?? '')).toBeGreaterThanOrEqual(before);
  });
});

describe.skipIf(inject('redisUrl') === null)('while Postgres is away', () => {
  it('known keys work on; of a process that starts then, those of the settings, and others get 503', async () => {
    const postgres = await startPostgres({ fsync: true });
    closers.push(() => postgres.stop());
    const redisUrl = inject('redisUrl') ?? undefined;
    const inlet = await TestInlet.start(await prepare(testConfig({ databaseUrl: postgres.url, redisUrl })), {
      workers: 0,
    });
    closers.push(() => inlet.close());
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

    const late = await TestInlet.start(inlet.config, { workers: 0 });
    closers.push(() => late.close());
    expect((await write(late.url, KEY)).status).toBe(202);
    const unknown = await write(late.url, made.key);
    expect(unknown.status).toBe(503);
    expect(unknown.headers.get('retry-after')).toBe('1');
    expect((await write(late.url, `${made.key.slice(0, -1)}!`)).status).toBe(401);

    await postgres.start();
    await becomes(late.url, made, 200);
    expect((await write(late.url, createApiKey())).status).toBe(401);
    // Both listen again, the one whose connection broke and the one that never had any.
    await eventually(async () => {
      const listening = await query(postgres.url, LISTENING);
      return listening.length === 2 || undefined;
    });
  });
});

describe('with inlet serve and its embedded Postgres', () => {
  async function serve(dataDir: string): Promise<InletProcess> {
    const inlet = new InletProcess(['serve'], { INLET_DATA_DIR: dataDir, PORT: '0' });
    closers.push(() => inlet.close());
    await inlet.apiUrl();
    return inlet;
  }

  it('a key is made at the first start where there is none, and others beside it while it runs', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'inlet-keys-'));
    closers.push(() => rm(dataDir, { recursive: true, force: true }));
    const first = await serve(dataDir);
    const local = { id: '', key: (await eventually(() => keptKey(dataDir))).trim() };
    expect(isApiKey(local.key)).toBe(true);
    const url = await first.apiUrl();
    await becomes(url, local, 200);
    const { code, stdout } = await runInlet(['keys', 'create', '--name', 'beside'], {
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
