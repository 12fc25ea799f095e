/**
 * Every operation of the API's document is called, for success and for all of its errors that can be brought about.
 * That the answers are as the document says is checked under every call (support/answers.ts).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { signPath } from '../../src/domain/signature.ts';
import { queueIdFile } from '../../src/queue-identity.ts';
import { checkAnswer, exercisedStatuses } from '../support/answers.ts';
import { DOCUMENTED } from '../support/document.ts';
import { inletTest } from '../support/fixtures.ts';
import { importFile, lines, newImport, uploaded } from '../support/imports.ts';
import { KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { makeKey } from '../support/keys.ts';
import type { Call, CallContext, OperationCalls } from '../support/operation-calls.ts';
import { operationCalls } from '../support/operation-calls.ts';
import { query } from '../support/postgres.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { waitFor } from '../support/wait-for.ts';

/** A bug, and a request that takes minutes. And the methods that a path doesn't have are no operations. */
const NOT_BROUGHT_ABOUT = [500, 408, 405];

const NAMESPACE = 'calls';
const BODY_LIMIT = 8 * 1024 ** 2;

const SETTINGS = { bodyLimit: BODY_LIMIT, metricsAccess: 'admin' } as const;

const test = inletTest({ settings: SETTINGS })
  // One whose queue and database are both away, and whose worker is stuck.
  .extend(
    'away',
    { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
    async ({}, { onCleanup }) => {
      const services = { databaseUrl: 'postgres://x@127.0.0.1:1/x', redisUrl: 'redis://127.0.0.1:1' };
      const worker = { problem: () => 'it hangs', close: async () => undefined };
      const dataDir = await mkdtemp(path.join(tmpdir(), 'inlet-away-'));
      const config = testConfig(services, { ...SETTINGS, dataDir });
      await writeFile(queueIdFile(config), config.queueId);
      const away = await TestInlet.start(config, { workers: 0, parts: { worker } });
      onCleanup(async () => {
        await away.close();
        await rm(dataDir, { recursive: true });
      });
      return away;
    },
  )
  // Keys by what they may do: each one thing alone, all but for a rate, and all in another namespace.
  .extend('keys', { scope: 'file' }, async ({ databaseUrl }) => {
    const [read, write, admin, slow, elsewhere] = await Promise.all([
      makeKey(databaseUrl, '--scopes', 'read'),
      makeKey(databaseUrl, '--scopes', 'write'),
      makeKey(databaseUrl, '--scopes', 'admin'),
      makeKey(databaseUrl, '--scopes', 'read,write,admin', '--rate', '1/s'),
      makeKey(databaseUrl, '--scopes', 'read,write,admin', '--namespaces', 'elsewhere'),
    ]);
    return { read, write, admin, slow, elsewhere };
  })
  .extend('calls', { scope: 'file' }, async ({ databaseUrl, keys, inlet }) => {
    const context = await prepare(databaseUrl, inlet);
    return operationCalls({ ...context, elsewhere: keys.elsewhere, bodyLimit: BODY_LIMIT });
  });

async function prepare(
  databaseUrl: string,
  inlet: TestInlet,
): Promise<Omit<CallContext, 'elsewhere' | 'bodyLimit'>> {
  const largeObjects = ['large-1', 'large-2'];
  const data = largeObjects.map((id) => ({ id, large: 'x'.repeat(3 * 1024 ** 2) }));
  const schema = { large: { content_type: 'metadata' } };
  const largeRequest = await inlet.write(NAMESPACE, JSON.stringify({ data, schema }));
  const request = await inlet.write(NAMESPACE, '{"data":{"id":"known"}}');
  await inlet.done(NAMESPACE, request);
  await prepareRefusals(databaseUrl);
  await refuse(databaseUrl, 'always');
  const refused = '{"data":[{"id":"f0","refuse":"always"},{"id":"f1","refuse":"always"}]}';
  const failedRequest = await inlet.write(NAMESPACE, refused);
  await inlet.done(NAMESPACE, failedRequest);
  const badFile = await importFile(inlet, NAMESPACE, 'bad\n');
  await inlet.done(NAMESPACE, badFile);
  await waitFor('the large request to be done', async () => {
    const path = `/v1/data/${NAMESPACE}/requests/${largeRequest}?results=false`;
    const { status } = (await (await inlet.fetch(path)).json()) as { status: string };
    return status === 'succeeded';
  });
  const path = `/v1/data/${NAMESPACE}/requests/${request}/results/download-url`;
  const { data_url } = (await (await inlet.fetch(path)).json()) as { data_url: string };
  const [fresh, used] = [await newImport(inlet, NAMESPACE), await newImport(inlet, NAMESPACE)];
  await uploaded(used.upload_url, lines(1));
  const [secret] = await query(databaseUrl, 'SELECT value FROM inlet.secrets');
  return {
    namespace: NAMESPACE,
    largeRequest,
    largeObjects,
    ...{ request, failedRequest, badFile },
    download: data_url.slice(inlet.url.length),
    upload: fresh.upload_url.slice(inlet.url.length),
    usedUpload: used.upload_url.slice(inlet.url.length),
    sign: (path) => signPath(secret?.['value'] as Buffer, path, Math.floor(Date.now() / 1_000) + 600),
    endpoints: {
      usual: await newEndpoint(inlet, {}),
      disabled: await newEndpoint(inlet, { disabled: true }),
      spare: await newEndpoint(inlet, {}),
    },
    fillEndpoints: () =>
      query(
        databaseUrl,
        `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, events)
         SELECT 'ep_' || lpad(n::text, 16, '0'), 'https://receiver.example/', '{workflow.failed}'
         FROM generate_series(1, 500) AS n`,
      ),
    etag: (await fetch(`${inlet.url}/openapi.json`)).headers.get('etag') ?? '',
  };
}

async function newEndpoint(inlet: TestInlet, members: object): Promise<string> {
  const body = JSON.stringify({ url: 'https://receiver.example/', ...members });
  const response = await inlet.fetch('/v1/webhooks/endpoints', { method: 'POST', body });
  return ((await response.json()) as { id: string }).id;
}

/** Makes a call, with a key that may do everything unless it brings its own; null: without one. */
async function made(to: TestInlet, call: Call, key: string | null = KEY): Promise<Response> {
  const { path, headers = {}, given, ...init } = call;
  await given?.();
  const authorization = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(to.url + path, { ...init, headers: { ...authorization, ...headers } });
  await response.arrayBuffer();
  return response;
}

/** A request that is not HTTP, but for its first line. */
async function malformed(inlet: TestInlet, { method, path }: Call): Promise<number> {
  const { hostname, port } = new URL(inlet.url);
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n`);
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const [line = '', ...fields] = head.split('\r\n');
  const headers = new Headers(
    fields.map((field): [string, string] => [field.split(':')[0] ?? '', field.replace(/^[^:]*: */, '')]),
  );
  const status = Number(line.split(' ')[1]);
  checkAnswer({ method, path, status, headers, body });
  return status;
}

type Calls = Readonly<Record<string, OperationCalls>>;

function callsOf(calls: Calls, operation: string): OperationCalls {
  const found = calls[operation];
  if (!found) throw new Error(`no test calls ${operation}: describe its calls in support/operation-calls.ts`);
  return found;
}

describe.each(DOCUMENTED.map((operation) => [operation.id, operation] as const))('%s', (id, { statuses }) => {
  const documents = (status: number): boolean => statuses.includes(status);

  test('succeeds', async ({ inlet, calls }) => {
    const { success } = callsOf(calls, id);
    expect([200, 201, 202, 204]).toContain((await made(inlet, success)).status);
  });

  test('answers what it cannot serve with errors of its own', async ({ inlet, calls }) => {
    const { success, others } = callsOf(calls, id);
    for (const [status, call] of Object.entries(others)) {
      expect((await made(inlet, call)).status, `${call.method} ${call.path}`).toBe(Number(status));
    }
    expect(await malformed(inlet, success)).toBe(400);
    const large = { ...success, headers: { ...success.headers, 'x-large': 'x'.repeat(17_000) } };
    expect((await made(inlet, large)).status).toBe(431);
  });

  if (documents(401)) {
    test('refuses who has no key, no right, or no request left', async ({ inlet, calls, keys }) => {
      const { success } = callsOf(calls, id);
      expect((await made(inlet, success, null)).status).toBe(401);
      const refused = await Promise.all(
        [keys.read, keys.write, keys.admin].map(async ({ key }) => (await made(inlet, success, key)).status),
      );
      // Each has one scope, and one of them is needed.
      expect(refused.filter((status) => status === 403)).toHaveLength(2);
      const isSlowed = async () => (await made(inlet, success, keys.slow.key)).status === 429;
      await waitFor('the rate to be used up', isSlowed);
    });
  }

  if (documents(503)) {
    test('answers 503 while queue and database are away, and the worker is stuck', async ({
      away,
      calls,
      keys,
    }) => {
      // Metrics need neither: what can't be told is whether it is a key.
      const key = id === 'getMetrics' ? keys.admin.key : KEY;
      expect((await made(away, callsOf(calls, id).success, key)).status).toBe(503);
    });
  }

  test('has answered with every status that it documents', () => {
    const expected = statuses.filter((status) => !NOT_BROUGHT_ABOUT.includes(status));
    expect([...exercisedStatuses(id)].sort()).toEqual(expect.arrayContaining(expected));
  });
});

describe.each([...new Set(DOCUMENTED.map(({ path }) => path))])('%s', (path) => {
  test('names the methods of its operations to who comes with another', async ({ inlet }) => {
    const methods = DOCUMENTED.filter((operation) => operation.path === path).map(({ method }) => method);
    const method = methods.includes('PATCH') ? 'PUT' : 'PATCH';
    const call: Call = { method, path: path.replaceAll(/[{}]/g, '') };
    const response = await made(inlet, call);
    expect(response.status).toBe(405);
    const allowed = response.headers.get('allow')?.split(', ');
    // Fastify serves HEAD where there is a GET.
    expect(allowed?.filter((method) => method !== 'HEAD')).toEqual(methods.sort());
  });
});

test('calls nothing that the document does not have', ({ calls }) => {
  expect(Object.keys(calls).sort()).toEqual(DOCUMENTED.map(({ id }) => id).sort());
});
