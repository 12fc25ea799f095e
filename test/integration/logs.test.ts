/** What the log says of requests and batches, and what it must never say, at whatever level. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { describeConfig } from '../../src/config.ts';
import { startApi } from '../../src/roles/api.ts';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { runCommand } from '../support/command.ts';
import { describeOnBothQueues, freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { KEY, testConfig } from '../support/inlet.ts';
import type { KeptLog, LogLine } from '../support/log.ts';
import { keptLog } from '../support/log.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { redisWithPassword } from '../support/redis-password.ts';
import { MARKER, newUploadUrl, sendSecrets, tellsOfSecrets } from '../support/secret-traffic.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerWithPort } from '../support/worker.ts';

const test = inletTest();
const api = keptLog('trace');

/** Waits for a line of which this holds. */
function line({ lines }: KeptLog, holds: (line: LogLine) => boolean): Promise<LogLine> {
  return waitFor('a line of the log', () => lines.find(holds));
}

/** A worker for one test, and its log. */
async function startWorker(config: RuntimeConfig): Promise<{ url: string; worker: KeptLog }> {
  const kept = keptLog('trace');
  const { url, close } = await startWorkerWithPort(config, { kept });
  onTestFinished(close);
  return { url, worker: kept };
}

/** Those of a process. */
function settings(databaseUrl: string): Record<string, string> {
  return { DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', LOG_LEVEL: 'trace' };
}

describeOnBothQueues(
  'the log',
  (test, queue) => {
    test.beforeEach(() => {
      api.lines.length = 0;
    });

    test('has one line for each request, with all that is to be known of it', async ({ inlet }) => {
      const body = '{"data": [{"id": "a"}, {"id": "b"}]}';
      const requestId = await inlet.write('wide', body);
      const accepted = await line(api, (found) => found['requestId'] === requestId);
      expect(accepted).toMatchObject({
        ...{ level: 30, msg: 'request', method: 'POST', route: '/v1/data/:namespace', status: 202 },
        ...{ bytes: body.length, objects: 2, namespace: 'wide', client: '127.0.0.1', key: 'settings_1' },
      });
      expect(accepted['ms']).toBeGreaterThan(0);

      const refused = await inlet.post('wide', '{"data": {}}');
      const refusedId = refused.headers.get('x-request-id');
      expect(await line(api, (found) => found['requestId'] === refusedId)).toMatchObject({
        ...{ level: 30, msg: 'request', status: 400, error: 'invalid_request', bytes: 12 },
      });

      const uploadUrl = await newUploadUrl(inlet.url);
      const file = '{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n';
      const headers = { 'content-type': 'application/x-ndjson' };
      expect((await fetch(uploadUrl, { method: 'PUT', body: file, headers })).status).toBe(200);
      expect(await line(api, (found) => found['method'] === 'PUT')).toMatchObject({
        ...{ status: 200, bytes: file.length, objects: 3, namespace: 'files' },
      });

      await fetch(`${inlet.url}/nowhere`);
      expect(await line(api, (found) => found['status'] === 404)).toMatchObject({
        ...{ route: null, method: 'GET' },
      });
    });

    test('has one line for each batch, with what became of its objects', async ({ inlet, config }) => {
      const { worker } = await startWorker(config);
      const requestId = await inlet.write(
        'wide',
        '{"data": [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b"}]}',
      );
      const batch = requestId.slice('req_'.length);
      const stored = await line(worker, (found) => found['batch'] === batch && found.level >= 30);
      expect(stored).toMatchObject({
        ...{ level: 30, msg: 'stored a batch', batch, lane: 'writes', outcome: 'stored' },
        ...{ requests: 1, objects: 3, stored: 2, overtaken: 1, failed: 0, attempts: 1 },
        bytes: '{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b"}'.length,
      });
      for (const time of ['storeMs', 'ms', 'sinceAcceptedMs']) expect(stored[time]).toBeGreaterThanOrEqual(0);
    });

    test('tells of health checks and metrics at debug only', async ({ inlet, config }) => {
      const { worker, url } = await startWorker(config);
      for (const [kept, base] of [
        [api, inlet.url],
        [worker, url],
      ] as const) {
        for (const path of ['/healthz', '/readyz', '/metrics']) {
          await fetch(base + path);
          expect(await line(kept, ({ route }) => route === path)).toMatchObject({ level: 20 });
        }
      }
    });

    test('tells of a client that has gone before its answer, and of what is not HTTP', async ({ inlet }) => {
      const { hostname, port } = new URL(inlet.url);
      const gone = connect(Number(port), hostname);
      const begun =
        `POST /v1/data/gone HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"data":';
      gone.write(begun, () => gone.destroy());
      expect(await line(api, ({ namespace }) => namespace === 'gone')).toMatchObject({ aborted: true });

      const nonsense = connect(Number(port), hostname);
      nonsense.write(`${MARKER} ${MARKER}\r\n\r\n`);
      await once(nonsense, 'data');
      nonsense.destroy();
      expect(await line(api, ({ method }) => method === null)).toMatchObject({
        ...{ msg: 'request', status: 400, error: 'invalid_request', client: '127.0.0.1' },
      });
      expect(api.text).not.toContain(MARKER);
    });

    test('holds nothing of bodies, ids, keys, signatures, passwords and rows', async () => {
      const databaseUrl = await freshDatabase();
      const redis = queue === 'redis' ? await redisWithPassword() : undefined;
      const config = testConfig({ databaseUrl, redisUrl: redis?.url() });
      const kept = keptLog('trace');
      const inlet = await startInlet(config, { workers: 0, apiLog: kept.log });
      const worker = await startWorkerWithPort(config, { kept });
      onTestFinished(() => worker.close());
      const secrets = await sendSecrets(inlet.url, databaseUrl);
      if (redis) secrets.push(redis.password);
      await waitFor('the worker to tell of all', () => tellsOfSecrets(kept.lines));
      await Promise.all([inlet.close(), worker.close()]);
      expect(kept.text).toContain('ZZ001');
      for (const secret of secrets) expect(kept.text).not.toContain(secret);
    });
  },
  { workers: 0, apiLog: api.log },
);

describe('the log at a start that fails', () => {
  // All that a process says, from its settings to its last word.
  test('does not show a password that Postgres refuses', async ({ databaseUrl }) => {
    const spoiled = Object.assign(new URL(databaseUrl), { password: MARKER }).href;
    const api = new InletProcess(['api'], settings(spoiled));
    onTestFinished(() => api.close());
    await api.logged('waiting for Postgres');
    const { stdout, stderr } = await api.kill('SIGTERM');
    expect(stdout).toContain('inlet starts');
    expect(stdout + stderr).not.toContain(MARKER);
  });

  test.for([
    ['a password that is not a valid URL', (url: URL) => url.href.replace(url.password, `${MARKER}%`)],
    ['a host that is not there', () => `postgres://u:${MARKER}@127.0.0.1:1/none`],
  ] as const)('does not show %s', async ([, spoiled], { databaseUrl }) => {
    const kept = keptLog('trace');
    const config = testConfig({ databaseUrl: spoiled(new URL(databaseUrl)) });
    const stopping = new AbortController();
    const started = startApi(config, [KEY], kept.log, stopping.signal);
    await line(kept, ({ msg }) => msg.includes('waiting for Postgres'));
    stopping.abort();
    await expect(started).rejects.toThrow('aborted');
    expect(kept.text + JSON.stringify(describeConfig(config))).not.toContain(MARKER);
  });

  test('does not show another protocol', async () => {
    const { stdout, stderr } = await runCommand(['api'], settings(`mysql://u:${MARKER}@127.0.0.1/none`));
    expect(stderr).toContain('inlet: ');
    expect(stdout + stderr).not.toContain(MARKER);
  });

  test.skipIf(inject('redisUrl') === null)(
    'does not show the password of a Redis that refuses it',
    async ({ databaseUrl }) => {
      const redis = await redisWithPassword();
      const kept = keptLog('trace');
      const config = testConfig({ databaseUrl, redisUrl: redis.url(MARKER) });
      await startInlet(config, { workers: 0, apiLog: kept.log });
      const told = kept.text;
      expect(told).toContain('the queue cannot be reached');
      expect(told).toContain('WRONGPASS');
      expect(told).not.toContain(MARKER);
    },
  );
});

test('at LOG_LEVEL=warn there are no lines of requests', async ({ config }) => {
  const kept = keptLog('warn');
  const inlet = await startInlet(config, { workers: 0, apiLog: kept.log });
  expect((await fetch(`${inlet.url}/nowhere`)).status).toBe(404);
  await inlet.close();
  expect(kept.text).not.toContain('"request"');
});

test('the last lines are written, however the process ends', async ({ databaseUrl }) => {
  const { stdout, code } = await runInlet(['migrate'], { DATABASE_URL: databaseUrl });
  expect(code).toBe(0);
  expect(stdout).toContain('the schema was up to date');
});
