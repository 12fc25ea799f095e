/** The inlet command as operators use it: usage, settings, migrations, roles, signals. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { eventually, KEY } from '../support/inlet.ts';
import { createTestDatabase, databaseUrl, query } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

async function database(): Promise<string> {
  const created = await createTestDatabase();
  closers.push(() => created.drop());
  return created.url;
}

/** A database without any of Inlet's tables. */
async function emptyDatabase(): Promise<string> {
  const server = inject('postgresUrl');
  const name = `empty_${process.pid}_${closers.length}_${Date.now()}`;
  await query(server, `CREATE DATABASE ${name}`);
  closers.push(() => query(server, `DROP DATABASE ${name} WITH (FORCE)`));
  return databaseUrl(server, name);
}

function start(args: string[], environment: Record<string, string>): InletProcess {
  const inlet = new InletProcess(args, environment);
  closers.push(() => inlet.close());
  return inlet;
}

describe('usage', () => {
  it('--help lists the commands and the settings, and ends with 0', async () => {
    const { code, stdout } = await runInlet(['--help']);
    expect(code).toBe(0);
    for (const word of ['serve', 'api', 'worker', 'migrate', 'DATABASE_URL', 'INLET_BODY_LIMIT']) {
      expect(stdout).toContain(word);
    }
    expect((await runInlet(['worker', '--help'])).code).toBe(0);
  });

  it.each([[['bogus']], [['serve', '--bogus']], [['serve', 'extra']]])(
    '%j is wrong usage: 2',
    async (args) => {
      const { code, stderr } = await runInlet(args);
      expect(code).toBe(2);
      expect(stderr).toContain('error:');
    },
  );

  it('no command prints the help, and is wrong usage: 2', async () => {
    const { code, stdout, stderr } = await runInlet([]);
    expect(code).toBe(2);
    expect(stdout + stderr).toContain('Usage: inlet');
  });
});

describe('settings', () => {
  it.each([
    ['PORT', '70000'],
    ['INLET_BODY_LIMIT', 'lots'],
    ['LOG_LEVEL', 'loud'],
  ])('a bad %s stops the start with one line', async (variable, value) => {
    const { code, stderr } = await runInlet(['api'], { [variable]: value });
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^inlet: ${variable} is "${value}", and must be .*\\n$`));
  });

  it('a bad DATABASE_URL is not shown', async () => {
    const { stderr } = await runInlet(['api'], { DATABASE_URL: 'mysql://user:hunter2@host' });
    expect(stderr).toContain('DATABASE_URL');
    expect(stderr).not.toContain('hunter2');
  });

  it.each(['api', 'worker', 'migrate'])('%s without DATABASE_URL says so in one line', async (command) => {
    const { code, stderr } = await runInlet([command], { INLET_API_KEYS: KEY });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: DATABASE_URL is not set.*\n$/);
  });

  it('api without any key starts, and says how to make one', async () => {
    const inlet = start(['api'], { DATABASE_URL: await database(), PORT: '0' });
    expect(await inlet.logged('no API key yet')).toMatchObject({
      msg: expect.stringContaining('inlet keys create'),
    });
    await inlet.apiUrl();
  });
});

describe('migrations', () => {
  it('are applied once, and a second starter waits and finds nothing to do', async () => {
    const url = await emptyDatabase();
    const runs = await Promise.all([1, 2, 3].map(() => runInlet(['migrate'], { DATABASE_URL: url })));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    const applied = runs.map(({ stdout }) => Number(/"applied":(\d+)/.exec(stdout)?.[1]));
    expect(applied.filter((count) => count > 0)).toHaveLength(1);
    const tables = await query(
      url,
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'inlet'`,
    );
    expect(tables.length).toBeGreaterThan(3);
  });

  it.each(['api', 'worker'])(
    '%s refuses a schema that is older than it needs, with one line',
    async (command) => {
      const url = await emptyDatabase();
      const { code, stderr } = await runInlet([command], {
        DATABASE_URL: url,
        INLET_API_KEYS: KEY,
        PORT: '0',
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^inlet: The database has schema version 0.*inlet migrate.*\n$/);
    },
  );

  it("api refuses queue's tables that are older than it needs", async () => {
    const url = await database();
    await query(url, 'DELETE FROM inlet_queue.migration WHERE version > 1');
    const { code, stderr } = await runInlet(['api'], { DATABASE_URL: url, INLET_API_KEYS: KEY, PORT: '0' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: The queue's tables have version 1.*inlet migrate.*\n$/);
  });
});

it('npm start, as the README has it, starts Inlet on its embedded database, and stops with npm', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inlet-npm-start-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const { DATABASE_URL: _, REDIS_URL: __, ...environment } = process.env;
  const npm = spawn('npm', ['start'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...environment, PORT: '0', INLET_DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  npm.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const url = await eventually(async () => /"url":"(http[^"]+)","msg":"the API listens"/.exec(output)?.[1]);
  const key = await eventually(async () => /^ +(sk_\S+)$/m.exec(output)?.[1]);
  const response = await fetch(`${url}/v1/data/start`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"data":{"id":"a"}}',
  });
  expect(response.status).toBe(202);
  npm.kill('SIGTERM');
  await eventually(async () => (output.includes('"stopped"') ? true : undefined));
});

it('a port in use gets one line', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const settings = { DATABASE_URL: await database(), INLET_API_KEYS: KEY, PORT: String(port) };
  const { code, stderr } = await runInlet(['api'], settings);
  server.close();
  expect(code).toBe(1);
  expect(stderr).toMatch(new RegExp(`^inlet: Port ${port} on 127.0.0.1 is in use.*PORT.*\\n$`));
});

it('a stop while it waits for Postgres is done at once', async () => {
  const settings = { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/none', INLET_API_KEYS: KEY, PORT: '0' };
  const api = start(['api'], settings);
  await api.logged('waiting for Postgres');
  const begun = performance.now();
  const { code, stdout } = await api.kill('SIGTERM');
  expect(code).toBe(0);
  expect(stdout).toContain('"stopped"');
  expect(performance.now() - begun).toBeLessThan(5_000);
});

describe('api and worker as processes', () => {
  async function write(url: string, id: string): Promise<{ status: number; requestId: string }> {
    const response = await fetch(`${url}/v1/data/cli`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ data: { id } }),
    });
    const { requestId } = (await response.json()) as { requestId: string };
    return { status: response.status, requestId };
  }

  async function finalStatus(url: string, requestId: string): Promise<string> {
    return eventually(async () => {
      const response = await fetch(`${url}/v1/data/cli/requests/${requestId}`, {
        headers: { authorization: `Bearer ${KEY}` },
      });
      const { status } = (await response.json()) as { status: string };
      return status === 'succeeded' || status === 'failed' ? status : undefined;
    }, 60_000);
  }

  it('on SIGTERM answer what was taken, lose nothing, and exit with 0', { timeout: 90_000 }, async () => {
    const settings = {
      DATABASE_URL: await database(),
      INLET_API_KEYS: KEY,
      PORT: '0',
      INLET_WORKER_PORT: '0',
    };
    const api = start(['api'], settings);
    const worker = start(['worker'], settings);
    const url = await api.apiUrl();
    await worker.logged('the worker runs');

    const answers: { status: number; requestId: string }[] = [];
    let refused = 0;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; n < 10_000 && refused === 0; n += 1) {
        await write(url, `${writer}-${n}`).then(
          (answer) => answers.push(answer),
          () => {
            refused += 1;
          },
        );
      }
    });
    await eventually(async () => (answers.length > 50 ? true : undefined));
    const [stoppedWorker, stoppedApi] = await Promise.all([worker.kill('SIGTERM'), api.kill('SIGTERM')]);
    await Promise.all(writers);
    expect(stoppedApi.code).toBe(0);
    expect(stoppedWorker.code).toBe(0);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));

    const again = start(['api'], settings);
    start(['worker'], settings);
    const secondUrl = await again.apiUrl();
    for (const { requestId } of answers) expect(await finalStatus(secondUrl, requestId)).toBe('succeeded');
  });

  it("a killed worker's batches are stored by another", { timeout: 90_000 }, async () => {
    const redisUrl = inject('redisUrl');
    const settings = {
      DATABASE_URL: await database(),
      INLET_API_KEYS: KEY,
      PORT: '0',
      INLET_WORKER_PORT: '0',
      INLET_REDIS_PREFIX: `cli-${Date.now()}`,
      ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
    };
    const api = start(['api'], settings);
    const url = await api.apiUrl();
    const worker = start(['worker'], settings);
    await worker.logged('the worker runs');
    // The worker is held up in the middle of a batch, and killed there.
    const lock = await holdObjects(settings.DATABASE_URL);
    const { requestId } = await write(url, 'orphan');
    await eventually(async () => {
      const response = await fetch(`${url}/v1/data/cli/requests/${requestId}`, {
        headers: { authorization: `Bearer ${KEY}` },
      });
      return ((await response.json()) as { status: string }).status === 'ingesting' ? true : undefined;
    });
    await worker.kill('SIGKILL');
    await lock.release();
    start(['worker'], settings);
    expect(await finalStatus(url, requestId)).toBe('succeeded');
  });

  it('the worker tells on its own port how it is', async () => {
    const settings = { DATABASE_URL: await database(), INLET_WORKER_PORT: '0' };
    const worker = start(['worker'], settings);
    const { url } = await worker.logged('tells here how it is');
    expect((await fetch(`${String(url)}/healthz`)).status).toBe(200);
    const ready = await eventually(async () => {
      const response = await fetch(`${String(url)}/readyz`);
      return response.status === 200 ? response : undefined;
    });
    expect(await ready.json()).toMatchObject({ queue: 'up', store: 'up' });
  });
});

/** Keeps every write of objects waiting until it is released. */
async function holdObjects(url: string): Promise<{ release: () => Promise<void> }> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE');
  return { release: () => client.end() };
}
