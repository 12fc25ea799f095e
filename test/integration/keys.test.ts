/** API keys from their making to their end, in every process. */
import { describe, expect, onTestFinished } from 'vitest';
import { runCommand } from '../support/command.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { TestInlet, testConfig } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer, becomes, listening, makeKey, statusWith } from '../support/keys.ts';
import { query } from '../support/postgres.ts';

const test = inletTest({ workers: 0 })
  .extend(
    'keys',
    ({ databaseUrl }) =>
      (...args: string[]) =>
        runCommand(['keys', ...args], { DATABASE_URL: databaseUrl }),
  )
  // Two APIs; each knows the keys by itself, as two processes do.
  .extend('urls', { scope: 'file' }, async ({ inlet, config }, { onCleanup }) => {
    const second = await TestInlet.start(config, { workers: 0 });
    onCleanup(() => second.close());
    return [inlet.url, second.url] as const;
  });

interface Listed {
  readonly id: string;
  readonly status: string;
  readonly last_used_at: string;
}

/** A key as `inlet keys list` has it. */
async function listed(databaseUrl: string, made: MadeKey): Promise<Listed | undefined> {
  const { stdout } = await runCommand(['keys', 'list', '--json'], { DATABASE_URL: databaseUrl });
  const { data } = JSON.parse(stdout) as { data: Listed[] };
  return data.find(({ id }) => id === made.id);
}

describe('inlet keys', () => {
  test('create prints the key alone on standard output, and the database has only its hash', async ({
    databaseUrl,
    keys,
  }) => {
    const { code, stdout, stderr } = await keys('create', '--name', 'alone');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^sk_[0-9A-Za-z]{49}\n$/);
    expect(stderr).toContain('shown only now');
    const rows = await query(
      databaseUrl,
      `SELECT to_jsonb(k) AS whole, encode(hash, 'hex') AS hash, encode(sha256('${stdout.trim()}'), 'hex') AS expected FROM inlet.api_keys AS k WHERE name = 'alone'`,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]?.['hash']).toBe(rows[0]?.['expected']);
    expect(JSON.stringify(rows)).not.toContain(stdout.trim());
  });

  test('list shows rights, use and status, and never a key', async ({ databaseUrl, keys }) => {
    const made = await makeKey(
      databaseUrl,
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

  test('create makes a key for all namespaces where it is asked for *', async ({ databaseUrl, keys }) => {
    const made = await makeKey(databaseUrl, '--namespaces', '*');
    const { data } = JSON.parse((await keys('list', '--json')).stdout) as { data: Record<string, unknown>[] };
    expect(data.find(({ id }) => id === made.id)?.['namespaces']).toBeNull();
  });

  test('revoke ends a key once, and says so where there is none', async ({ databaseUrl, keys }) => {
    const { id } = await makeKey(databaseUrl);
    expect(await keys('revoke', id)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is revoked'),
    });
    expect((await keys('list')).stdout).toMatch(new RegExp(`${id}  revoked`));
    expect(await keys('revoke', id)).toMatchObject({ code: 1, stderr: expect.stringContaining('no key') });
    expect(await keys('revoke', 'key_unknown')).toMatchObject({ code: 1 });
  });

  test.for([
    [['create']],
    [['create', '--name', '']],
    [['create', '--name', 'x', '--scopes', 'all']],
    [['create', '--name', 'x', '--rate', 'fast']],
    [['create', '--name', 'x', '--expires', '2001-01-01']],
    [['create', '--name', 'x', '--namespaces', 'a b']],
    [['revoke']],
  ] as const)('%j is wrong usage: 2', async ([args], { keys }) => {
    const { code, stderr } = await keys(...args);
    expect(code).toBe(2);
    expect(stderr).toContain('error:');
  });

  test('without a database say what to do', async () => {
    const { code, stderr } = await runCommand(['keys', 'list'], { INLET_DATA_DIR: '/no/such/folder' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: DATABASE_URL is not set, and no embedded Postgres runs .*\n$/);
    const away = await runCommand(['keys', 'list'], { DATABASE_URL: 'postgres://127.0.0.1:1/x' });
    expect(away).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: Postgres cannot be reached: .*\n$/),
    });
  });
});

describe('a key', () => {
  test('works in every process within seconds, and no more within seconds of being revoked', async ({
    databaseUrl,
    urls,
  }) => {
    const made = await makeKey(databaseUrl);
    for (const url of urls) await becomes(url, made, 200);
    const { code } = await runCommand(['keys', 'revoke', made.id], { DATABASE_URL: databaseUrl });
    expect(code).toBe(0);
    for (const url of urls) await becomes(url, made, 401);
  });

  test('that is revoked by hand, without a notification, is noticed all the same', async ({
    databaseUrl,
    urls,
  }) => {
    const made = await makeKey(databaseUrl);
    for (const url of urls) await becomes(url, made, 200);
    const trigger = (what: string) => `ALTER TABLE inlet.api_keys ${what} TRIGGER announce_api_keys`;
    onTestFinished(async () => void (await query(databaseUrl, trigger('ENABLE'))));
    await query(databaseUrl, trigger('DISABLE'));
    await query(databaseUrl, `UPDATE inlet.api_keys SET revoked_at = now() WHERE key_id = '${made.id}'`);
    for (const url of urls) await becomes(url, made, 401);
  });

  test('whose notification comes over a connection that was broken in between is noticed', async () => {
    // Of its own: until they listen again, calls with the key are as many failures as one address may have.
    const databaseUrl = await freshDatabase();
    const config = testConfig({ databaseUrl });
    const apis = [await startInlet(config, { workers: 0 }), await startInlet(config, { workers: 0 })];
    await query(
      databaseUrl,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inlet keys' AND datname = current_database()`,
    );
    const made = await makeKey(databaseUrl);
    for (const { url } of apis) await becomes(url, made, 200);
    await listening(databaseUrl, 2);
  });

  test('that has expired is refused, and said to have', async ({ databaseUrl, urls }) => {
    const made = await makeKey(databaseUrl, '--expires', '2999-01-01');
    const [url] = urls;
    await becomes(url, made, 200);
    await query(
      databaseUrl,
      `UPDATE inlet.api_keys SET expires_at = now() + interval '1 second' WHERE key_id = '${made.id}'`,
    );
    await becomes(url, made, 401);
    // Also when the keys have been read anew since, of which another one tells.
    await becomes(url, await makeKey(databaseUrl), 200);
    const refused = await fetch(`${url}/v1/data/keys/objects`, { headers: bearer(made) });
    expect(await refused.text()).toContain('has expired');
  });

  test('that was used is listed with when', async ({ databaseUrl, config }) => {
    const made = await makeKey(databaseUrl);
    const inlet = await startInlet(config, { workers: 0 });
    const before = Date.now();
    expect(await statusWith(inlet.url, made)).toBe(200);
    // It is noted now and then, and when the process ends.
    await inlet.close();
    const { last_used_at = '' } = (await listed(databaseUrl, made)) ?? {};
    expect(Date.parse(last_used_at)).toBeGreaterThanOrEqual(before);
  });
});

describe('a key that is revoked right after it was used', () => {
  test('is listed with when it was used', async ({ databaseUrl, config }) => {
    const made = await makeKey(databaseUrl);
    const inlet = await startInlet(config, { workers: 0 });
    const before = Date.now();
    expect(await statusWith(inlet.url, made)).toBe(200);
    await runCommand(['keys', 'revoke', made.id], { DATABASE_URL: databaseUrl });
    await becomes(inlet.url, made, 401);
    await inlet.close();
    const { status, last_used_at = '' } = (await listed(databaseUrl, made)) ?? {};
    expect(status).toBe('revoked');
    expect(Date.parse(last_used_at)).toBeGreaterThanOrEqual(before);
  });
});
