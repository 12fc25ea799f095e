/** What the log says of requests and batches, and what it must never say, at whatever level. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { eventually, KEY } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';

/** Stands in whatever must not get into the log. */
const MARKER = 'xyzzy';

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

function start(role: string, settings: Record<string, string>): InletProcess {
  const process = new InletProcess([role], settings);
  closers.push(() => process.close());
  return process;
}

type Line = Record<string, unknown>;

function linesOf(process: InletProcess): Line[] {
  return process.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** Waits for a line of which this holds. */
function line(process: InletProcess, holds: (line: Line) => boolean): Promise<Line> {
  return eventually(async () => linesOf(process).find(holds));
}

describeOnBothQueues('the log', ({ redisUrl }) => {
  let api: InletProcess;
  let worker: InletProcess;
  let url: string;
  let databaseUrl: string;
  const secrets: string[] = [];

  beforeEach(async () => {
    const database = await createTestDatabase();
    closers.push(database.drop);
    databaseUrl = database.url;
    secrets.splice(0, secrets.length, MARKER, KEY, new URL(databaseUrl).password);
    const settings: Record<string, string> = {
      ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
      ...(redisUrl ? { REDIS_URL: await redisWithPassword() } : {}),
      LOG_LEVEL: 'trace',
    };
    api = start('api', settings);
    worker = start('worker', settings);
    url = await api.apiUrl();
    await worker.logged('the worker runs');
  });

  async function redisWithPassword(): Promise<string> {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const password = randomBytes(12).toString('hex');
    secrets.push(password);
    const client = new Redis(redis.url);
    await client.config('SET', 'requirepass', password);
    client.disconnect();
    return redis.url.replace('redis://', `redis://:${password}@`);
  }

  function post(namespace: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${url}/v1/data/${namespace}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers },
      body,
    });
  }

  async function newUploadUrl(): Promise<string> {
    const headers = { authorization: `Bearer ${KEY}` };
    const made = await fetch(`${url}/v1/data/files/import`, { method: 'POST', headers });
    const { upload_url } = (await made.json()) as { upload_url: string };
    secrets.push(...new URL(upload_url).search.split(/[=&?]/).filter((part) => part.length > 16));
    return upload_url;
  }

  it('has one line for each request, with all that is to be known of it', async () => {
    const body = '{"data": [{"id": "a"}, {"id": "b"}]}';
    const { requestId } = (await (await post('wide', body)).json()) as { requestId: string };
    const accepted = await line(api, (found) => found['requestId'] === requestId);
    expect(accepted).toMatchObject({
      ...{ level: 30, msg: 'request', method: 'POST', route: '/v1/data/:namespace', status: 202 },
      ...{ bytes: body.length, objects: 2, namespace: 'wide', client: '127.0.0.1', key: 'settings_1' },
    });
    expect(accepted['ms']).toBeGreaterThan(0);

    const refused = await post('wide', '{"data": {}}');
    const refusedId = refused.headers.get('x-request-id');
    expect(await line(api, (found) => found['requestId'] === refusedId)).toMatchObject({
      ...{ level: 30, msg: 'request', status: 400, error: 'invalid_request', bytes: 12 },
    });

    const uploadUrl = await newUploadUrl();
    const file = '{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n';
    const headers = { 'content-type': 'application/x-ndjson' };
    expect((await fetch(uploadUrl, { method: 'PUT', body: file, headers })).status).toBe(200);
    expect(await line(api, (found) => found['method'] === 'PUT')).toMatchObject({
      ...{ status: 200, bytes: file.length, objects: 3, namespace: 'files' },
    });

    await fetch(`${url}/nowhere`);
    expect(await line(api, (found) => found['status'] === 404)).toMatchObject({ route: null, method: 'GET' });
  });

  it('has one line for each batch, with what became of its objects', async () => {
    const sent = await post('wide', '{"data": [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b"}]}');
    const { requestId } = (await sent.json()) as { requestId: string };
    const stored = await line(worker, (found) => found['msg'] === 'stored a batch');
    expect(stored).toMatchObject({
      ...{ level: 30, batch: requestId.slice('req_'.length), lane: 'writes', outcome: 'stored' },
      ...{ requests: 1, objects: 3, stored: 2, overtaken: 1, failed: 0, attempts: 1 },
      bytes: '{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b"}'.length,
    });
    for (const time of ['storeMs', 'ms', 'sinceAcceptedMs']) expect(stored[time]).toBeGreaterThanOrEqual(0);
  });

  it('tells of health checks and metrics at debug only', async () => {
    const { url: workerUrl } = await worker.logged('tells here how it is');
    for (const [process, base] of [
      [api, url],
      [worker, String(workerUrl)],
    ] as const) {
      for (const path of ['/healthz', '/readyz', '/metrics']) {
        await fetch(base + path);
        expect(await line(process, ({ route }) => route === path)).toMatchObject({ level: 20 });
      }
    }
  });

  it('tells of a client that has gone before its answer, and of what is not HTTP', async () => {
    const { hostname, port } = new URL(url);
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
    expect(api.stdout).not.toContain(MARKER);
  });

  it('holds nothing of bodies, ids, keys, signatures, passwords and rows', async () => {
    await query(
      databaseUrl,
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'refused %', new.data::text USING ERRCODE = new.data ->> 'refuse', DETAIL = new.data::text; END $$;
       CREATE TRIGGER refuse BEFORE INSERT ON inlet.objects FOR EACH ROW
         WHEN (new.data ? 'refuse') EXECUTE FUNCTION refuse();
       ALTER TABLE inlet.objects ADD CONSTRAINT no_secrets
         CHECK (NOT data ? 'secret' OR (data ->> 'secret')::int > 0)`,
    );
    const status = async (answer: Promise<Response>): Promise<number> => (await answer).status;

    expect(await status(post('ok', `{"data": {"id": "${MARKER}-1", "${MARKER}": "${MARKER}"}}`))).toBe(202);
    expect(await status(post('ok', `{"data": {"id": "2", "refuse": "P0001", "x": "${MARKER}"}}`))).toBe(202);
    expect(await status(post('ok', `{"data": {"id": "3", "secret": "${MARKER}"}}`))).toBe(202);
    // What is neither the data's fault nor that of the infrastructure is logged as an error, and tried again.
    expect(await status(post('ok', `{"data": {"id": "4", "refuse": "ZZ001", "x": "${MARKER}"}}`))).toBe(202);
    expect(await status(post('ok', `{"data": {"id": "5"}} ${MARKER}`))).toBe(400);
    expect(await status(post('ok', `{"${MARKER}": 1}`))).toBe(400);
    expect(await status(post(`${MARKER}!`, '{"data": {"id": "6"}}'))).toBe(400);
    expect(await status(post('ok', '{}', { authorization: `Bearer ${MARKER}` }))).toBe(401);
    expect(await status(post('ok', '{}', { authorization: `Basic ${MARKER}` }))).toBe(401);
    expect(await status(post('ok', MARKER, { 'content-type': `text/${MARKER}` }))).toBe(415);
    expect(await status(post('ok', MARKER, { 'content-encoding': MARKER }))).toBe(415);
    const key = { authorization: `Bearer ${KEY}` };
    const found = `${url}/v1/data/ok/objects/${MARKER}-1?${MARKER}=${MARKER}`;
    await eventually(async () => ((await status(fetch(found, { headers: key }))) === 200 ? true : undefined));
    expect(await status(fetch(found, { headers: key, method: 'DELETE' }))).toBe(202);
    expect(await status(fetch(`${url}/${MARKER}?${MARKER}`))).toBe(404);
    expect(await status(fetch(`${url}/v1/data/ok/objects/%${MARKER}`, { headers: key }))).toBe(400);
    const upload = { method: 'PUT', headers: { 'content-type': 'application/x-ndjson' } };
    const file = `{"id": "${MARKER}-7", "refuse": "22000"}\n${MARKER}\n{"id": "8"}\n`;
    const uploadUrl = await newUploadUrl();
    expect(await status(fetch(uploadUrl, { ...upload, body: file }))).toBe(200);
    expect(await status(fetch(`${uploadUrl}${MARKER}`, { ...upload, body: file }))).toBe(403);

    await worker.logged('could not store a batch: the queue keeps it');
    await worker.logged('the queue reports an error');
    await line(worker, ({ lane, failed }) => lane === 'imports' && failed === 2);
    const ended = await Promise.all([api, worker].map((process) => process.kill('SIGTERM')));
    const told = ended.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(told).toContain('ZZ001');
    for (const secret of secrets.filter((text) => text !== '')) expect(told).not.toContain(secret);
  });
});

describe('the log at a start that fails', () => {
  it.each([
    ['a password that Postgres refuses', (url: URL) => Object.assign(url, { password: MARKER }).href],
    ['a password that is not a valid URL', (url: URL) => url.href.replace(url.password, `${MARKER}%`)],
    ['a host that is not there', () => `postgres://u:${MARKER}@127.0.0.1:1/none`],
    ['another protocol', () => `mysql://u:${MARKER}@127.0.0.1/none`],
  ])('does not show %s', async (_, spoiled) => {
    const database = await createTestDatabase();
    closers.push(database.drop);
    const settings = {
      ...{ DATABASE_URL: spoiled(new URL(database.url)), INLET_API_KEYS: KEY, PORT: '0', LOG_LEVEL: 'trace' },
    };
    const api = start('api', settings);
    const said = await eventually(async () => {
      const all = api.stdout + api.stderr;
      return all.includes('waiting for Postgres') || all.includes('inlet: ') ? all : undefined;
    });
    expect(said).not.toContain(MARKER);
    const { stdout, stderr } = await api.kill('SIGTERM');
    expect(stdout + stderr).not.toContain(MARKER);
  });

  it('does not show the password of a Redis that refuses it', async () => {
    const database = await createTestDatabase();
    closers.push(database.drop);
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const client = new Redis(redis.url);
    await client.config('SET', 'requirepass', 'another');
    client.disconnect();
    const settings = {
      ...{ DATABASE_URL: database.url, INLET_API_KEYS: KEY, PORT: '0', LOG_LEVEL: 'trace' },
      REDIS_URL: redis.url.replace('redis://', `redis://:${MARKER}@`),
    };
    const api = start('api', settings);
    await api.logged('the queue cannot be reached');
    const { stdout, stderr } = await api.kill('SIGTERM');
    expect(stdout).toContain('WRONGPASS');
    expect(stdout + stderr).not.toContain(MARKER);
  });
});

it('at LOG_LEVEL=warn there are no lines of requests', async () => {
  const database = await createTestDatabase();
  closers.push(database.drop);
  const port = await freePort();
  const api = start('api', {
    ...{ DATABASE_URL: database.url, INLET_API_KEYS: KEY, PORT: String(port), LOG_LEVEL: 'warn' },
  });
  const request = () => fetch(`http://127.0.0.1:${port}/nowhere`).catch(() => undefined);
  await eventually(async () => ((await request())?.status === 404 ? true : undefined));
  const { stdout, code } = await api.kill('SIGTERM');
  expect(code).toBe(0);
  expect(stdout).not.toContain('"request"');
});

it('the last lines are written, however the process ends', async () => {
  const { stdout, code } = await runInlet(['migrate'], { DATABASE_URL: (await database()).url });
  expect(code).toBe(0);
  expect(stdout).toContain('the schema was up to date');
});

async function database() {
  const created = await createTestDatabase();
  closers.push(created.drop);
  return created;
}
