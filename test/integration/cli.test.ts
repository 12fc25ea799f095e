/** The inlet command as operators use it: usage, settings, migrations, roles, signals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { runMigrations } from '../../src/runtime.ts';
import { runCommand } from '../support/command.ts';
import { emptyDatabase } from '../support/databases.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { KEY, testConfig } from '../support/inlet.ts';
import { bearer, becomes, makeKey } from '../support/keys.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import type { Ended } from '../support/process.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest()
  // An API and a worker, until the last test stops them.
  .extend('processes', { scope: 'file' }, ({ databaseUrl }, { onCleanup }) => {
    const settings = { DATABASE_URL: databaseUrl, PORT: '0', INLET_WORKER_PORT: '0' };
    const [api, worker] = [new InletProcess(['api'], settings), new InletProcess(['worker'], settings)];
    onCleanup(async () => void (await Promise.all([api.close(), worker.close()])));
    return { api, worker };
  });

const HANDLED = ['uncaughtException', 'SIGTERM', 'SIGINT', 'SIGHUP'];

/** A role's start in this process, which is to fail; what it has set up to handle is given back. */
async function failedStart(role: string, environment: Record<string, string>): Promise<Ended> {
  const before = HANDLED.map((event) => process.rawListeners(event));
  // Started by npm it would look every second whether that is still there.
  vi.stubEnv('npm_lifecycle_event', undefined);
  try {
    return await runCommand([role], { LOG_LEVEL: 'silent', ...environment });
  } finally {
    vi.unstubAllEnvs();
    for (const [i, event] of HANDLED.entries())
      for (const listener of process.rawListeners(event))
        if (!before[i]?.includes(listener)) process.off(event, listener as () => void);
  }
}

describe('usage', () => {
  test('--help lists the commands and the settings, and ends with 0', async () => {
    const { code, stdout } = await runCommand(['--help']);
    expect(code).toBe(0);
    for (const word of ['serve', 'api', 'worker', 'migrate', 'DATABASE_URL', 'INLET_BODY_LIMIT']) {
      expect(stdout).toContain(word);
    }
    expect((await runCommand(['worker', '--help'])).code).toBe(0);
  });

  test.for([[['bogus']], [['serve', '--bogus']], [['serve', 'extra']]] as const)(
    '%j is wrong usage: 2',
    async ([args]) => {
      const { code, stderr } = await runCommand(args);
      expect(code).toBe(2);
      expect(stderr).toContain('error:');
    },
  );

  test('no command prints the help, and is wrong usage: 2', async () => {
    const { code, stdout, stderr } = await runInlet([]);
    expect(code).toBe(2);
    expect(stdout + stderr).toContain('Usage: inlet');
  });

  test('a command that fails says why in one line, and ends with 1', async () => {
    const { code, stderr } = await runInlet(['import', '/no/such/file', '-n', 'x'], { INLET_API_KEY: 'x' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: Cannot read .*no such file\n$/);
  });
});

describe('settings', () => {
  test.for([
    ['PORT', '70000'],
    ['INLET_BODY_LIMIT', 'lots'],
    ['LOG_LEVEL', 'loud'],
  ] as const)('a bad %s stops the start with one line', async ([variable, value]) => {
    const { code, stderr } = await failedStart('api', { [variable]: value });
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^inlet: ${variable} is "${value}", and must be .*\\n$`));
  });

  test('a bad DATABASE_URL is not shown', async () => {
    const { stderr } = await failedStart('api', { DATABASE_URL: 'mysql://user:hunter2@host' });
    expect(stderr).toContain('DATABASE_URL');
    expect(stderr).not.toContain('hunter2');
  });

  test.for(['api', 'worker', 'migrate'])('%s without DATABASE_URL says so in one line', async (command) => {
    const { code, stderr } = await failedStart(command, { INLET_API_KEYS: KEY });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: DATABASE_URL is not set.*\n$/);
  });
});

describe('migrations', () => {
  test('are applied once, whoever starts at the same time', async () => {
    const url = await emptyDatabase();
    const config = testConfig({ databaseUrl: url });
    const { log } = keptLog();
    const [command, ...others] = await Promise.all([
      runInlet(['migrate'], { DATABASE_URL: url }),
      runMigrations(config, log),
      runMigrations(config, log),
    ]);
    expect(command.code).toBe(0);
    const applied = [Number(/"applied":(\d+)/.exec(command.stdout)?.[1]), ...others];
    const [migrations] = await query(url, 'SELECT count(*)::integer AS count FROM inlet.migrations');
    // Those of the queue's tables count as one more.
    expect(applied.reduce((sum, each) => sum + each, 0)).toBe(Number(migrations?.['count']) + 1);
    const tables = await query(
      url,
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'inlet'`,
    );
    expect(tables.length).toBeGreaterThan(3);
  });

  test.for(['SQL_ASCII', 'LATIN1', 'EUC_JP'])(
    'a database in %s is refused by all that start on one, with one line',
    async (encoding) => {
      const url = await emptyDatabase(
        `ENCODING '${encoding}' TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'`,
      );
      const settings = { DATABASE_URL: url, INLET_API_KEYS: KEY, PORT: '0' };
      for (const command of ['migrate', 'serve', 'api', 'worker']) {
        const { code, stderr } = await failedStart(command, settings);
        expect(code, command).toBe(1);
        expect(stderr).toMatch(
          new RegExp(`^inlet: The database "empty_.*" .*${encoding}.*UTF8.*CREATE DATABASE.*\\n$`),
        );
      }
    },
  );

  test.for(['api', 'worker'])(
    '%s refuses a schema that is older than it needs, with one line',
    async (role) => {
      const url = await emptyDatabase();
      const settings = { DATABASE_URL: url, INLET_API_KEYS: KEY, PORT: '0' };
      const { code, stderr } = await failedStart(role, settings);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^inlet: The database has schema version 0.*inlet migrate.*\n$/);
    },
  );

  test("api refuses queue's tables that are older than it needs", async () => {
    const url = await freshDatabase();
    await query(url, 'DELETE FROM inlet_queue.migration WHERE version > 1');
    const settings = { DATABASE_URL: url, INLET_API_KEYS: KEY, PORT: '0' };
    const { code, stderr } = await failedStart('api', settings);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^inlet: The queue's tables have version 1.*inlet migrate.*\n$/);
  });
});

test('npm start, as the README has it, starts Inlet on its embedded database, and stops with npm', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inlet-npm-start-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { DATABASE_URL: _, REDIS_URL: __, ...environment } = process.env;
  const npm = spawn('npm', ['start'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...environment, PORT: '0', INLET_DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // When Inlet has ended too, which has the same standard output.
  const closed = once(npm, 'close');
  onTestFinished(async () => {
    npm.kill('SIGTERM');
    await closed;
  });
  let output = '';
  npm.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const listens = /"url":"(http[^"]+)","msg":"the API listens"/;
  const url = await waitFor('the API to listen', () => listens.exec(output)?.[1], 25_000);
  // What isn't a terminal gets the path alone: logs are kept, copied and searched.
  const path = await waitFor('the path of the key', () => /saved it to (\S+)\.\n/.exec(output)?.[1]);
  const key = (await readFile(path, 'utf8')).trim();
  const response = await fetch(`${url}/v1/data/start`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"data":{"id":"a"}}',
  });
  expect(response.status).toBe(202);
  npm.kill('SIGTERM');
  await closed;
  expect(output).toContain('"stopped"');
  expect(output).not.toContain('sk_');
});

test('a port in use gets one line', async ({ databaseUrl }) => {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const settings = { DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: String(port) };
  const { code, stderr } = await failedStart('api', settings);
  expect(code).toBe(1);
  expect(stderr).toMatch(new RegExp(`^inlet: Port ${port} on 127.0.0.1 is in use.*PORT.*\\n$`));
});

test('a stop while it waits for Postgres is done at once', async () => {
  const settings = { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/none', INLET_API_KEYS: KEY, PORT: '0' };
  const api = new InletProcess(['api'], settings);
  onTestFinished(() => api.close());
  await api.logged('waiting for Postgres');
  const begun = performance.now();
  const { code, stdout } = await api.kill('SIGTERM');
  expect(code).toBe(0);
  expect(stdout).toContain('"stopped"');
  expect(performance.now() - begun).toBeLessThan(5_000);
});

test('a start says what it waits for before anything has answered', async () => {
  const open = new Set<Socket>();
  const silent = createServer((socket) => open.add(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const DATABASE_URL = `postgres://u:p@127.0.0.1:${port}/none`;
  const api = new InletProcess(['worker'], { DATABASE_URL, INLET_API_KEYS: KEY });
  onTestFinished(() => api.close());
  await api.logged('the start waits for Postgres (DATABASE_URL)');
});

test('a data folder that cannot be made ends the start with one line', async () => {
  const { code, stderr } = await runInlet(['serve'], { INLET_DATA_DIR: '/proc/x', PORT: '0' });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^inlet: The embedded PostgreSQL can't use \/proc\/x .*INLET_DATA_DIR.*\n$/);
});

describe('api and worker as processes', () => {
  test('api without any key starts, and says how to make one', async ({ processes: { api } }) => {
    expect(await api.logged('no API key yet')).toMatchObject({
      msg: expect.stringContaining('inlet keys create'),
    });
    await api.apiUrl();
  });

  test('the worker tells on its own port how it is', async ({ processes: { worker } }) => {
    const { url } = await worker.logged('tells here how it is');
    expect((await fetch(`${String(url)}/healthz`)).status).toBe(200);
    const ready = await waitFor('the worker to be ready', async () => {
      const response = await fetch(`${String(url)}/readyz`);
      return response.status === 200 && ((await response.json()) as object);
    });
    expect(ready).toMatchObject({ queue: 'up', store: 'up' });
  });

  test('on SIGTERM answer what was taken, lose nothing, and exit with 0', { timeout: 90_000 }, async ({
    databaseUrl,
    processes: { api, worker },
  }) => {
    const url = await api.apiUrl();
    await worker.logged('the worker runs');
    const key = await makeKey(databaseUrl);
    await becomes(url, key, 200);

    const answers: { status: number; requestId: string }[] = [];
    let refused = 0;
    const write = async (id: string): Promise<void> => {
      const response = await fetch(`${url}/v1/data/cli`, {
        method: 'POST',
        headers: { ...bearer(key), 'content-type': 'application/json' },
        body: JSON.stringify({ data: { id } }),
      });
      const { requestId } = (await response.json()) as { requestId: string };
      answers.push({ status: response.status, requestId });
    };
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; n < 10_000 && refused === 0; n += 1) {
        await write(`${writer}-${n}`).catch(() => {
          refused += 1;
        });
      }
    });
    await waitFor('50 answers', () => answers.length > 50);
    const [stoppedWorker, stoppedApi] = await Promise.all([worker.kill('SIGTERM'), api.kill('SIGTERM')]);
    await Promise.all(writers);
    expect(stoppedApi.code).toBe(0);
    expect(stoppedWorker.code).toBe(0);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));

    const again = await startInlet(testConfig({ databaseUrl }));
    for (const { requestId } of answers)
      expect((await again.done('cli', requestId)).status).toBe('succeeded');
  });
});
