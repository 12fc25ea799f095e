/** What whole processes write to their outputs must hold no more than their log does, until their last word. */
import { describe, expect, inject, onTestFinished } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { InletProcess } from '../support/process.ts';
import { redisWithPassword } from '../support/redis-password.ts';
import { MARKER, sendSecrets, tellsOfSecrets } from '../support/secret-traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

function start(role: string, settings: Record<string, string>): InletProcess {
  const process = new InletProcess([role], {
    ...{ INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0', LOG_LEVEL: 'trace', ...settings },
  });
  onTestFinished(() => process.close());
  return process;
}

function linesOf({ stdout }: InletProcess): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describeOnBothQueues('the outputs', (test, queue) => {
  test('hold nothing of bodies, ids, keys, signatures, passwords and rows', async ({ databaseUrl }) => {
    const redis = queue === 'redis' ? await redisWithPassword() : undefined;
    const settings = { DATABASE_URL: databaseUrl, ...(redis ? { REDIS_URL: redis.url() } : {}) };
    const api = start('api', settings);
    const worker = start('worker', settings);
    await worker.logged('the worker runs');
    const secrets = await sendSecrets(await api.apiUrl(), databaseUrl);
    if (redis) secrets.push(redis.password);
    await waitFor('the worker to tell of all', () => tellsOfSecrets(linesOf(worker)));
    const ended = await Promise.all([api, worker].map((process) => process.kill('SIGTERM')));
    const told = ended.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(told).toContain('ZZ001');
    for (const secret of secrets) expect(told).not.toContain(secret);
  });
});

describe('the outputs at a start that fails', () => {
  test.for([
    ['a password that is not a valid URL', (url: URL) => url.href.replace(url.password, `${MARKER}%`)],
    ['a host that is not there', () => `postgres://u:${MARKER}@127.0.0.1:1/none`],
    ['another protocol', () => `mysql://u:${MARKER}@127.0.0.1/none`],
  ] as const)('do not show %s', async ([, spoiled], { databaseUrl }) => {
    const api = start('api', { DATABASE_URL: spoiled(new URL(databaseUrl)) });
    const said = (): string => api.stdout + api.stderr;
    await waitFor('it to say what is wrong', () => /waiting for Postgres|inlet: /.test(said()));
    await api.kill('SIGTERM');
    expect(said()).not.toContain(MARKER);
  });

  test.skipIf(inject('redisUrl') === null)(
    'do not show the password of a Redis that refuses it',
    async ({ databaseUrl }) => {
      const redis = await redisWithPassword();
      const api = start('api', { DATABASE_URL: databaseUrl, REDIS_URL: redis.url(MARKER) });
      const { code, stdout, stderr } = await api.ended();
      expect(code).toBe(1);
      expect(stderr).toMatch(/^inlet: REDIS_URL has no user and password that Redis takes \(WRONGPASS/);
      expect(stdout + stderr).not.toContain(MARKER);
    },
  );
});

test('at LOG_LEVEL=warn a process writes no lines of requests', async ({ databaseUrl }) => {
  const port = String(await freePort());
  const api = start('api', { DATABASE_URL: databaseUrl, PORT: port, LOG_LEVEL: 'warn' });
  const request = () => fetch(`http://127.0.0.1:${port}/nowhere`);
  await waitFor('the API to answer', async () => (await request()).status === 404);
  const { stdout, code } = await api.kill('SIGTERM');
  expect(code).toBe(0);
  expect(stdout).not.toContain('"request"');
});
