/** Results of large requests: refused inline, downloaded from a signed URL, with little of them in memory. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { signPath } from '../../src/domain/signature.ts';
import type { ProblemAnswer } from '../support/inlet.ts';
import { eventually, KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';

interface DownloadUrl {
  readonly namespace: string;
  readonly request_id: string;
  readonly status: string;
  readonly data_url: string | null;
  readonly data_count: number | null;
  readonly data_expires_at: string | null;
}

let databaseUrl: string;
let drop: () => Promise<void>;
let inlet: TestInlet;

beforeAll(async () => {
  const created = await createTestDatabase();
  databaseUrl = created.url;
  drop = created.drop;
  inlet = await TestInlet.start(testConfig({ databaseUrl, redisUrl: inject('redisUrl') ?? undefined }));
});

afterAll(async () => {
  await inlet?.close();
  await drop?.();
});

async function downloadUrl(namespace: string, requestId: string): Promise<DownloadUrl> {
  const response = await inlet.fetch(`/v1/data/${namespace}/requests/${requestId}/results/download-url`);
  expect(response.status).toBe(200);
  return (await response.json()) as DownloadUrl;
}

/** Writes and waits until it is stored. */
async function stored(namespace: string, body: unknown): Promise<string> {
  const requestId = await inlet.write(namespace, JSON.stringify(body));
  await inlet.done(namespace, requestId);
  return requestId;
}

async function expectProblem(response: Response, status: number): Promise<ProblemAnswer> {
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return (await response.json()) as ProblemAnswer;
}

const objects = (count: number, text = 'x') =>
  Array.from({ length: count }, (_, i) => ({ id: `object-${i}`, text }));

describe('an answer about a request', () => {
  it('of more than 5 MiB gets 413 with the next call, and just less comes whole', async () => {
    const schema = { text: { content_type: 'metadata' } };
    const fits = await stored('large', { schema, data: objects(5, 'x'.repeat(1024 * 1024 - 500)) });
    const response = await inlet.fetch(`/v1/data/large/requests/${fits}`);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text.length).toBeGreaterThan(5 * 1024 * 1024 - 3_000);
    expect(text.length).toBeLessThanOrEqual(5 * 1024 * 1024);
    expect((JSON.parse(text) as { data: unknown[] }).data).toHaveLength(5);

    // Not by what was written: the answer grows with what the objects are now.
    await stored('large', { data: { id: 'object-4', text: 'x'.repeat(1024 * 1024 + 2_000) } });
    const problem = await expectProblem(await inlet.fetch(`/v1/data/large/requests/${fits}`), 413);
    const [, next] = /GET (\S+)/.exec(problem.detail) ?? [];
    expect(next).toBe(`/v1/data/large/requests/${fits}/results/download-url`);
    expect((await inlet.fetch(next ?? '')).status).toBe(200);
  });

  it('counts its errors in', async () => {
    const requestId = await stored('errors', { data: { id: 'x' } });
    await query(
      databaseUrl,
      `UPDATE inlet.requests SET status = 'failed', failed = 60000, objects = 60001 WHERE request_id = '${requestId}';
       INSERT INTO inlet.failed_objects (request_id, index, namespace, id, object, sqlstate, message, accepted_at)
       SELECT '${requestId}', n, 'errors', 'id-' || n, '', '22000', repeat('m', 100), now() FROM generate_series(1, 60000) n`,
    );
    await expectProblem(await inlet.fetch(`/v1/data/errors/requests/${requestId}`), 413);
  });
});

describe('a download URL', () => {
  it('is null until the request is done, and 404 where there is none', async () => {
    const idle = await TestInlet.start(
      testConfig({ databaseUrl, redisUrl: inject('redisUrl') ?? undefined }),
      {
        workers: 0,
      },
    );
    try {
      const requestId = await idle.write('waiting', '{"data":{"id":"a"}}');
      // On Postgres both share one queue, and the other's worker may have been there already.
      const response = await idle.fetch(`/v1/data/waiting/requests/${requestId}/results/download-url`);
      const answer = (await response.json()) as DownloadUrl;
      if (inject('redisUrl') !== null) {
        expect(answer).toEqual({
          namespace: 'waiting',
          request_id: requestId,
          status: 'queued',
          data_url: null,
          data_count: null,
          data_expires_at: null,
        });
      }
    } finally {
      await idle.close();
    }
    const missing = '/v1/data/waiting/requests/req_01h2m7qdmdjckc30e1mnq6xqfd/results/download-url';
    await expectProblem(await inlet.fetch(missing), 404);
    await expectProblem(await inlet.fetch(missing, { headers: { authorization: 'Bearer x' } }), 401);
  });

  it('leads without a key to a line for each result, in the shape of data', async () => {
    const schema = { text: { content_type: 'metadata' } };
    const data = [...objects(3), { id: 'object-0', text: 'again' }, { id: 'ä/"\n', text: 1 }];
    const requestId = await stored('lines', { schema, data });
    const answer = await downloadUrl('lines', requestId);
    expect(answer).toMatchObject({
      namespace: 'lines',
      request_id: requestId,
      status: 'succeeded',
      data_count: 4,
    });
    const expires = Date.parse(answer.data_expires_at ?? '') - Date.now();
    expect(expires).toBeGreaterThan(3_500_000);
    expect(expires).toBeLessThanOrEqual(3_600_000);

    const response = await fetch(answer.data_url ?? '');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/x-ndjson/);
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="${requestId}.jsonl"`);
    const lines = (await response.text()).split('\n');
    expect(lines.pop()).toBe('');
    const status = await inlet.status('lines', requestId);
    expect(lines.map((line) => JSON.parse(line))).toEqual(status.data);
    expect(status.data.map(({ id }) => id)).toEqual(['object-0', 'object-1', 'object-2', 'ä/"\n']);
    expect(status.data[0]).toMatchObject({ metadata: { text: 'again' } });
  });

  it('keeps to the digit what it leads to', async () => {
    const body = '{"data":{"id":"x","n":[9007199254740993,1.0]},"schema":{"n":{"content_type":"metadata"}}}';
    const requestId = await inlet.write('digits', body);
    await inlet.done('digits', requestId);
    const { data_url } = await downloadUrl('digits', requestId);
    const line = await (await fetch(data_url ?? '')).text();
    expect(line).toContain('"metadata":{"n": [9007199254740993, 1.0]}');
  });

  it('that was altered in any part gets 403', async () => {
    const requestId = await stored('signed', { data: { id: 'x' } });
    const other = await stored('signed', { data: { id: 'x' } });
    const { data_url } = await downloadUrl('signed', requestId);
    const url = data_url ?? '';
    expect((await fetch(url)).status).toBe(200);
    const parsed = new URL(url);
    const expires = parsed.searchParams.get('expires') ?? '';
    const signature = parsed.searchParams.get('signature') ?? '';
    const altered = [
      url.replace('/signed/', '/unsigned/'),
      url.replace('/signed/', '/not%20one/'),
      url.replace(requestId, other),
      url.replace(requestId, requestId.toUpperCase()),
      url.replace(expires, String(Number(expires) + 1)),
      url.replace(expires, `0${expires}`),
      url.replace(expires, `${expires}.0`),
      url.replace(`expires=${expires}`, ''),
      url.replace(`signature=${signature}`, ''),
      url.split('?')[0] ?? '',
      `${url}&expires=${expires}`,
      `${url}&signature=${signature}`,
      ...Array.from(signature, (character, i) =>
        url.replace(
          signature,
          signature.slice(0, i) + (character === 'A' ? 'B' : 'A') + signature.slice(i + 1),
        ),
      ),
      url.replace(signature, signature.slice(0, -1)),
      url.replace(signature, `${signature}A`),
      url.replace(signature, `${signature}=`),
    ];
    for (const bad of altered) await expectProblem(await fetch(bad), 403);
    // A key is no way around the signature.
    const withKey = { headers: { authorization: `Bearer ${KEY}` } };
    await expectProblem(await fetch(altered[0] ?? '', withKey), 403);
  });

  it('that has expired gets 403, and one that has not is taken', async () => {
    const requestId = await stored('expired', { data: { id: 'x' } });
    await downloadUrl('expired', requestId);
    const [row] = await query(databaseUrl, 'SELECT value FROM inlet.secrets');
    const path = `/v1/data/expired/requests/${requestId}/results/download`;
    const now = Math.floor(Date.now() / 1_000);
    const sign = (expiresAt: number): string =>
      inlet.url + signPath(row?.['value'] as Buffer, path, expiresAt);
    await expectProblem(await fetch(sign(now - 1)), 403);
    expect((await fetch(sign(now + 60))).status).toBe(200);
    const lost = `${inlet.url}${signPath(row?.['value'] as Buffer, path.replace(requestId, 'req_x'), now + 60)}`;
    await expectProblem(await fetch(lost), 404);
  });

  it('answers other methods with 405', async () => {
    const response = await inlet.fetch('/v1/data/a/requests/b/results/download', { method: 'HEAD' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET');
  });
});

describe('a download of 10,000 objects with 200 MB of metadata', () => {
  const COUNT = 10_000;
  const TOTAL_BYTES = 200_000_000;
  let api: InletProcess;
  let url: string;

  beforeAll(async () => {
    const requestId = await stored('heavy', {
      schema: { text: { content_type: 'metadata' } },
      data: objects(COUNT),
    });
    await query(
      databaseUrl,
      `UPDATE inlet.objects SET data = data || jsonb_build_object('text', repeat(md5(id), 640)) WHERE namespace = 'heavy'`,
    );
    // A process that could not hold a quarter of it: it would die rather than be slow.
    api = new InletProcess(['api'], {
      DATABASE_URL: databaseUrl,
      ...(inject('redisUrl') ? { REDIS_URL: inject('redisUrl') ?? '' } : {}),
      INLET_API_KEYS: KEY,
      PORT: '0',
      NODE_OPTIONS: '--max-old-space-size=48',
    });
    const origin = await api.apiUrl();
    const path = `/v1/data/heavy/requests/${requestId}/results/download-url`;
    const response = await fetch(origin + path, { headers: { authorization: `Bearer ${KEY}` } });
    const answer = (await response.json()) as DownloadUrl;
    expect(answer.data_count).toBe(COUNT);
    url = answer.data_url ?? '';
  });

  afterAll(async () => {
    await api?.close();
  });

  /** What the process takes of the machine's memory, in bytes. */
  async function memory(): Promise<number> {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(api.pid)]);
    return Number(stdout) * 1_024;
  }

  /** When the process last asked Postgres for metadata, once it asks no more. */
  async function lastAsked(): Promise<string> {
    let last = '';
    return eventually(async () => {
      const [row] = await query(
        databaseUrl,
        `SELECT max(query_start)::text AS at FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE '%jsonb_object_agg%' AND pid <> pg_backend_pid()`,
      );
      const at = String(row?.['at']);
      const still = at === last;
      last = at;
      if (!still) await delay(1_500);
      return still ? at : undefined;
    });
  }

  /** Asks for the file, and doesn't read it. */
  async function openWithoutReading(): Promise<Socket> {
    const { hostname, port, pathname, search } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await once(socket, 'readable');
    return socket;
  }

  it('comes whole from a process with little memory, and leaves it small', async () => {
    const before = await memory();
    let peak = before;
    const response = await fetch(url);
    let bytes = 0;
    let lines = 0;
    for await (const chunk of response.body ?? []) {
      // Every 10 MB or so.
      if (Math.floor(bytes / 10_000_000) < Math.floor((bytes + chunk.length) / 10_000_000)) {
        peak = Math.max(peak, await memory());
      }
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 10) lines += 1;
    }
    expect(lines).toBe(COUNT);
    expect(bytes).toBeGreaterThan(TOTAL_BYTES);
    expect(peak - before).toBeLessThan(TOTAL_BYTES / 2);
  });

  it('stops asking Postgres while the reader does not read, and goes on when it does', async () => {
    const before = await memory();
    const socket = await openWithoutReading();
    const stalledAt = await lastAsked();
    expect((await memory()) - before).toBeLessThan(TOTAL_BYTES / 4);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    await once(socket, 'close');
    expect(bytes).toBeGreaterThan(TOTAL_BYTES);
    expect((await lastAsked()) > stalledAt).toBe(true);
  });

  it('asks Postgres no more when the reader goes away', async () => {
    const socket = await openWithoutReading();
    const stalledAt = await lastAsked();
    socket.destroy();
    await delay(500);
    expect(await lastAsked()).toBe(stalledAt);
  });
});
