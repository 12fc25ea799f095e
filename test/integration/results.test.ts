/** Results of large requests: refused inline, downloaded from a signed URL, with little of them in memory. */
import { describe, expect, inject } from 'vitest';
import { signPath } from '../../src/domain/signature.ts';
import { lockObjects, openWithoutReading, readOn } from '../support/downloads.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import { largeDownload } from '../support/imports.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { KEY, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

interface DownloadUrl {
  readonly namespace: string;
  readonly request_id: string;
  readonly status: string;
  readonly data_url: string | null;
  readonly data_count: number | null;
  readonly data_expires_at: string | null;
}

/** Of the results of one file. */
const MEGABYTES = 30;

const kept = keptLog();

const test = inletTest({ apiLog: kept.log }).extend(
  'large',
  { scope: 'file' },
  async ({ inlet }) => inlet.url + (await largeDownload(inlet, MEGABYTES)),
);

async function downloadUrl(inlet: TestInlet, namespace: string, requestId: string): Promise<DownloadUrl> {
  const response = await inlet.fetch(`/v1/data/${namespace}/requests/${requestId}/results/download-url`);
  expect(response.status).toBe(200);
  return (await response.json()) as DownloadUrl;
}

/** Writes and waits until it is stored. */
async function stored(inlet: TestInlet, namespace: string, body: unknown): Promise<string> {
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
  test('of more than 5 MiB gets 413 with the next call, and just less comes whole', async ({ inlet }) => {
    const schema = { text: { content_type: 'metadata' } };
    const fits = await stored(inlet, 'large', { schema, data: objects(5, 'x'.repeat(1024 * 1024 - 500)) });
    const response = await inlet.fetch(`/v1/data/large/requests/${fits}`);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text.length).toBeGreaterThan(5 * 1024 * 1024 - 3_000);
    expect(text.length).toBeLessThanOrEqual(5 * 1024 * 1024);
    expect((JSON.parse(text) as { data: unknown[] }).data).toHaveLength(5);

    // Not by what was written: the answer grows with what the objects are now.
    await stored(inlet, 'large', { data: { id: 'object-4', text: 'x'.repeat(1024 * 1024 + 2_000) } });
    const problem = await expectProblem(await inlet.fetch(`/v1/data/large/requests/${fits}`), 413);
    const [, next] = /GET (\S+)/.exec(problem.detail) ?? [];
    expect(next).toBe(`/v1/data/large/requests/${fits}/results/download-url`);
    expect((await inlet.fetch(next ?? '')).status).toBe(200);
  });

  test('counts its errors in', async ({ databaseUrl, inlet }) => {
    const requestId = await stored(inlet, 'errors', { data: { id: 'x' } });
    await query(
      databaseUrl,
      `UPDATE inlet.requests SET status = 'failed', failed = 60000, objects = 60001 WHERE request_id = '${requestId}';
       INSERT INTO inlet.failed_objects (request_id, index, namespace, id, object, sqlstate, message, accepted_at)
       SELECT '${requestId}', n, 'errors', 'id-' || n, '', '22000', repeat('m', 100), now() FROM generate_series(1, 60000) n`,
    );
    await expectProblem(await inlet.fetch(`/v1/data/errors/requests/${requestId}`), 413);
  });
});

describe('a request that is deleted while it is read', () => {
  test('is not answered with a part of it', async ({ databaseUrl, store, inlet }) => {
    const schema = { text: { content_type: 'metadata' } };
    // More than a page of ids.
    const requestId = await stored(inlet, 'gone', { schema, data: objects(2_100) });
    const { data_url } = await downloadUrl(inlet, 'gone', requestId);
    const lock = await lockObjects(store);
    const download = fetch(data_url ?? '').then((response) => response.text());
    const whole = inlet.fetch(`/v1/data/gone/requests/${requestId}`);
    await waitFor('both to ask for the first objects', () => lock.isAwaited(2));
    await query(databaseUrl, `DELETE FROM inlet.requests WHERE request_id = '${requestId}'`);
    await lock.release();
    await expect(download).rejects.toThrow('terminated');
    await expectProblem(await whole, 404);
  });
});

describe('a download URL', () => {
  test('is null until the request is done, and 404 where there is none', async ({ databaseUrl, inlet }) => {
    const services = { databaseUrl, redisUrl: inject('redisUrl') ?? undefined };
    const idle = await startInlet(testConfig(services), { workers: 0 });
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
    const missing = '/v1/data/waiting/requests/req_01h2m7qdmdjckc30e1mnq6xqfd/results/download-url';
    await expectProblem(await inlet.fetch(missing), 404);
    await expectProblem(await inlet.fetch(missing, { headers: { authorization: 'Bearer x' } }), 401);
  });

  test('leads without a key to a line for each result, in the shape of data', async ({ inlet }) => {
    const schema = { text: { content_type: 'metadata' } };
    const data = [...objects(3), { id: 'object-0', text: 'again' }, { id: 'ä/"\n', text: 1 }];
    const requestId = await stored(inlet, 'lines', { schema, data });
    const answer = await downloadUrl(inlet, 'lines', requestId);
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

  test('keeps to the digit what it leads to', async ({ inlet }) => {
    const body = '{"data":{"id":"x","n":[9007199254740993,1.0]},"schema":{"n":{"content_type":"metadata"}}}';
    const requestId = await inlet.write('digits', body);
    await inlet.done('digits', requestId);
    const { data_url } = await downloadUrl(inlet, 'digits', requestId);
    const line = await (await fetch(data_url ?? '')).text();
    expect(line).toContain('"metadata":{"n": [9007199254740993, 1.0]}');
  });

  test('that was altered in any part gets 403', async ({ inlet }) => {
    const requestId = await stored(inlet, 'signed', { data: { id: 'x' } });
    const other = await stored(inlet, 'signed', { data: { id: 'x' } });
    const { data_url } = await downloadUrl(inlet, 'signed', requestId);
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

  test('that has expired gets 403, and one that has not is taken', async ({ databaseUrl, inlet }) => {
    const requestId = await stored(inlet, 'expired', { data: { id: 'x' } });
    await downloadUrl(inlet, 'expired', requestId);
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

  test('answers other methods with 405', async ({ inlet }) => {
    const response = await inlet.fetch('/v1/data/a/requests/b/results/download', { method: 'HEAD' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET');
  });
});

describe('a download that is larger than what fits between reader and writer', () => {
  test('stops asking Postgres while the reader does not read, and goes on when it does', async ({
    large,
    store,
  }) => {
    const socket = await openWithoutReading(large);
    const objectsLock = await lockObjects(store);
    const read = readOn(socket);
    await waitFor('the API to ask for more', () => objectsLock.isAwaited());
    await objectsLock.release();
    expect(await read).toBeGreaterThan(MEGABYTES * 1_000_000);
  });

  test('asks Postgres no more when the reader goes away', async ({ large, store }) => {
    const socket = await openWithoutReading(large);
    const objectsLock = await lockObjects(store);
    kept.lines.length = 0;
    socket.destroy();
    await waitFor('the API to see that', () => kept.lines.some(({ aborted }) => aborted));
    expect(await objectsLock.staysUnasked()).toBe(true);
  });
});
