/** Poolers before Postgres, its TLS, and Redis as services run it: each works, or is refused in one line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { makeCertificate } from '../support/certificate.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { KEY, type TestInlet } from '../support/inlet.ts';
import { hasPgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { databaseUrl as databaseOf, query } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

/** Here they may be missing; CI installs both, and fails without. */
const inCi = process.env['CI'] === 'true';
const withPgBouncer = test.skipIf(!inCi && !(await hasPgBouncer()));
const withRedis = test.skipIf(!inCi && inject('redisUrl') === null);

async function pooler(target: string, options: Parameters<typeof startPgBouncer>[1]): Promise<string> {
  const { url, stop } = await startPgBouncer(target, options);
  onTestFinished(stop);
  return url;
}

/** Writes and reads side by side, so that what is on one connection of the server comes to another. */
async function expectWork(inlet: TestInlet): Promise<void> {
  const ids = Array.from({ length: 400 }, (_, i) => `o${i}`);
  const statuses = new Set<number>();
  await Promise.all(
    ids.map(async (id) => {
      await inlet.write('pooled', JSON.stringify({ data: { id } }));
      const list = await inlet.fetch('/v1/data/pooled/objects?limit=5');
      statuses.add(list.status);
      await list.arrayBuffer();
    }),
  );
  await waitFor('all to be stored', async () => {
    const list = await inlet.fetch('/v1/data/pooled/objects?limit=500');
    return ((await list.json()) as { data: unknown[] }).data.length === ids.length;
  });
  expect([...statuses]).toEqual([200]);
}

describe('PgBouncer', () => {
  withPgBouncer.for(['session', 'transaction'] as const)(
    'in %s mode, with the queue in Redis, works',
    async (mode, { config }) => {
      const target = await freshDatabase();
      await expectWork(await startInlet({ ...config, databaseUrl: await pooler(target, { mode }) }));
    },
  );

  const modes = ['session', 'transaction'] as const;
  const ignoring = [[], ['ignore_startup_parameters = options,statement_timeout']] as const;
  withPgBouncer.for(modes.flatMap((mode) => ignoring.map((settings) => ({ mode, settings }))))(
    'in $mode mode (settings: $settings), with the queue in Postgres, is refused in one line',
    async (options, { databaseUrl }) => {
      const ended = await runInlet(['api'], {
        DATABASE_URL: await pooler(databaseUrl, options),
        INLET_API_KEYS: KEY,
        PORT: '0',
      });
      expect(ended.code).toBe(1);
      expect(ended.stderr).toMatch(
        /^inlet: DATABASE_URL leads to a connection pooler in which the queue cannot work \(.*\): name Postgres itself, or set REDIS_URL for the queue\.\n$/,
      );
    },
  );

  withPgBouncer('in transaction mode takes migrations, and in statement mode refuses them', async () => {
    const server = inject('postgresUrl');
    for (const name of ['pooled_migrations', 'pooled_anew']) {
      await query(server, `CREATE DATABASE ${name}`);
      onTestFinished(async () => {
        await query(server, `DROP DATABASE ${name}`);
      });
    }
    const url = await pooler(databaseOf(server, 'pooled_migrations'), { mode: 'transaction' });
    expect(await runInlet(['migrate'], { DATABASE_URL: url })).toMatchObject({ code: 0 });
    const refused = await runInlet(['migrate'], {
      DATABASE_URL: await pooler(databaseOf(server, 'pooled_anew'), { mode: 'statement' }),
    });
    expect(refused.stderr).toMatch(/^inlet: DATABASE_URL leads to a pooler in statement mode.*\n$/);
  });
});

describe('sslmode', () => {
  const certificate = makeCertificate();

  async function migrate(parameters: string, tls: boolean) {
    const folder = await mkdtemp(path.join(tmpdir(), 'inlet-ca-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const authority = path.join(folder, 'ca.pem');
    await writeFile(authority, certificate.cert);
    const options = { mode: 'session', ...(tls ? { tls: certificate } : {}) } as const;
    const url = await pooler(await freshDatabase(), options);
    return runInlet(['migrate'], { DATABASE_URL: `${url}?${parameters.replace('FILE', authority)}` });
  }

  withPgBouncer.for([
    'sslmode=disable',
    'sslmode=no-verify',
    'sslmode=require&uselibpqcompat=true',
    'sslmode=require&sslrootcert=FILE',
    'sslmode=verify-ca&sslrootcert=FILE',
    'sslmode=verify-full&sslrootcert=FILE',
  ])('%s works with a certificate of an authority of its own', async (parameters) => {
    expect(await migrate(parameters, true)).toMatchObject({ code: 0, stderr: '' });
  });

  withPgBouncer.for(['allow', 'prefer', 'require', 'verify-ca', 'verify-full'])(
    '%s alone refuses such a certificate in one line, at once',
    async (mode) => {
      const ended = await migrate(`sslmode=${mode}`, true);
      expect(ended.code).toBe(1);
      expect(ended.stderr).toMatch(
        /^inlet: DATABASE_URL leads to a Postgres whose certificate cannot be .*\n$/,
      );
    },
  );

  withPgBouncer('a server without TLS is told from one that is away', async () => {
    const ended = await migrate('sslmode=require', false);
    expect(ended.stderr).toMatch(
      /^inlet: DATABASE_URL asks for TLS, and the Postgres that it leads to has none.*\n$/,
    );
  });
});

describe('Redis', () => {
  withRedis('without CONFIG, and a user with no more rights than it needs', async ({ config }) => {
    const redis = await startRedis({ args: ['--rename-command', 'CONFIG', ''] });
    onTestFinished(() => redis.stop());
    const admin = new Redis(redis.url);
    const rights = [`~${config.redisPrefix}:*`, '&*', '+@all', '-@dangerous', '+info'];
    await admin.acl('SETUSER', 'inlet', 'on', '>few', ...rights);
    admin.disconnect();
    const databaseUrl = await freshDatabase();
    const redisUrl = `redis://inlet:few@127.0.0.1:${redis.port}`;
    const inlet = await startInlet({ ...config, databaseUrl, redisUrl });
    await expectWork(inlet);
    const ready = (await (await inlet.fetch('/readyz')).json()) as { warnings: string[] };
    expect(ready.warnings.join()).toContain('Redis does not let its appendonly be read');
  });

  withRedis('a replica is not ready for writes, and says so', async ({ config }) => {
    const primary = await startRedis();
    onTestFinished(() => primary.stop());
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', `${primary.port}`] });
    onTestFinished(() => replica.stop());
    const databaseUrl = await freshDatabase();
    const inlet = await startInlet({ ...config, databaseUrl, redisUrl: replica.url }, { workers: 0 });
    await waitFor('it to be known', async () => {
      const ready = (await (await inlet.fetch('/readyz')).json()) as { writes: string };
      return ready.writes === 'refused';
    });
  });

  withRedis('over TLS, with an authority that Node.js is told of, and not without', async () => {
    const { key, cert } = makeCertificate();
    const folder = await mkdtemp(path.join(tmpdir(), 'inlet-tls-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const [keyFile, certFile] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
    await Promise.all([writeFile(keyFile, key), writeFile(certFile, cert)]);
    const port = await freePort();
    const tls = ['--tls-port', `${port}`, '--tls-cert-file', certFile, '--tls-key-file', keyFile];
    const redis = await startRedis({ args: [...tls, '--tls-auth-clients', 'no'] });
    onTestFinished(() => redis.stop());
    const settings = {
      DATABASE_URL: await freshDatabase(),
      REDIS_URL: `rediss://localhost:${port}`,
      INLET_API_KEYS: KEY,
      PORT: '0',
    };
    const refused = await runInlet(['api'], settings);
    expect(refused.stderr).toMatch(
      /^inlet: REDIS_URL leads to a Redis whose certificate cannot be trusted .*\n$/,
    );
    const inlet = new InletProcess(['api'], { ...settings, NODE_EXTRA_CA_CERTS: certFile });
    onTestFinished(() => inlet.close());
    const response = await fetch(`${await inlet.apiUrl()}/v1/data/tls`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: '{"data":{"id":"a"}}',
    });
    expect(response.status).toBe(202);
    await inlet.kill('SIGTERM');
  });
});
