/** Imports: a file of JSON lines, from its upload URL to stored objects. */
import { connect } from 'node:net';
import * as zlib from 'node:zlib';
import { describe, expect, onTestFinished } from 'vitest';
import { signPath } from '../../src/domain/signature.ts';
import { sharedSecret } from '../../src/store/secrets.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { expectStepsForward, importFile, lines, newImport, upload, uploaded } from '../support/imports.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const BODY_LIMIT = 64 * 1024;

/** Node has zstd from 22.15 and 23.8 on; the types are those of Node 20. */
const { zstdCompressSync } = zlib as unknown as { zstdCompressSync?: (text: string) => Buffer };

async function problem(response: Response, status: number): Promise<ProblemAnswer> {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return JSON.parse(text) as ProblemAnswer;
}

/** Sends the beginning of a file and keeps the connection open. */
function halfUpload(url: string, beginning: string): { breakOff: () => void } {
  const { hostname, port, pathname, search } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => {
    socket.destroy();
  });
  socket.on('error', () => undefined);
  socket.write(
    `PUT ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${beginning.length + 1_000}\r\n\r\n${beginning}`,
  );
  return { breakOff: () => socket.destroy() };
}

async function uploading(
  inlet: TestInlet,
  namespace: string,
  requestId: string,
  objects: number,
): Promise<void> {
  await waitFor(`${objects} objects to be sent`, async () => {
    const { status, counts } = await inlet.status(namespace, requestId);
    return status === 'uploading' && counts.objects >= objects;
  });
}

describeOnBothQueues(
  'an import',
  (test) => {
    test.for(['requests/upload-url', 'import'])(
      'begins with a URL from POST …/%s',
      async (path, { inlet }) => {
        for (const body of [undefined, '', '{}', '{"schema":{}}']) {
          const response = await inlet.fetch(`/v1/data/urls/${path}`, {
            method: 'POST',
            ...(body === undefined ? {} : { body }),
          });
          expect(response.status).toBe(200);
          const answer = (await response.json()) as Record<string, string>;
          const { requestId = '', expires_at = '' } = answer;
          expect(answer).toEqual({
            requestId: expect.stringMatching(/^req_/),
            status: 'pending_upload',
            objectKey: `urls/${requestId}.jsonl`,
            upload_url: expect.stringContaining(`${inlet.url}/v1/data/urls/requests/${requestId}/upload?`),
            expires_at: expect.stringMatching(/Z$/),
          });
          expect(Date.parse(expires_at) - Date.now()).toBeGreaterThan(11.9 * 3_600_000);
          expect(Date.parse(expires_at) - Date.now()).toBeLessThanOrEqual(12 * 3_600_000);
          expect(await inlet.status('urls', requestId)).toMatchObject({
            status: 'queued',
            data: [],
            completed_at: null,
            counts: { objects: 0, stored: 0, failed: 0 },
          });
        }
      },
    );

    test('needs a key, a namespace and a body that is an object', async ({ inlet }) => {
      const path = '/v1/data/urls/import';
      expect((await fetch(inlet.url + path, { method: 'POST' })).status).toBe(401);
      for (const body of ['[]', 'null', '{']) {
        await problem(await inlet.fetch(path, { method: 'POST', body }), 400);
      }
      await problem(await inlet.fetch('/v1/data/a%20b/import', { method: 'POST' }), 400);
    });

    test('stores what the file holds, in its order, each id once, the last line of an id winning', async ({
      inlet,
    }) => {
      const { requestId, upload_url } = await newImport(inlet, 'whole');
      const answer = await uploaded(upload_url, `${lines(2_500)}{"id":"o7","n":"last"}\n`);
      expect(answer).toMatchObject({ requestId, status: 'ingesting', counts: { objects: 2_501, failed: 0 } });
      const done = await inlet.done('whole', requestId);
      expect(done).toMatchObject({
        status: 'succeeded',
        counts: { objects: 2_501, stored: 2_501, failed: 0 },
        errors: [],
      });
      expect(done.data.map(({ id }) => id)).toEqual(Array.from({ length: 2_500 }, (_, i) => `o${i}`));
      expect((await inlet.object('whole', 'o7'))?.data).toEqual({ id: 'o7', n: 'last' });
      expect((await inlet.object('whole', 'o2499'))?.request_id).toBe(requestId);
    });

    test.for([
      ['a missing last line end', '{"id":"a"}\n{"id":"b"}'],
      ['\\r\\n', '{"id":"a"}\r\n{"id":"b"}\r\n'],
      ['blank lines and white space', '\n \t\r\n  {"id":"a"} \n\n\n{"id":"b"}\n\n'],
      ['a byte order mark', '\uFEFF{"id":"a"}\n{"id":"b"}\n'],
    ] as const)('takes a file with %s', async ([_, file], { inlet }) => {
      const done = await inlet.done('forms', await importFile(inlet, 'forms', file));
      expect(done).toMatchObject({ status: 'succeeded', counts: { objects: 2, stored: 2, failed: 0 } });
      expect(done.data.map(({ id }) => id)).toEqual(['a', 'b']);
    });

    test.for([
      ['gzip', zlib.gzipSync],
      ['x-gzip', zlib.gzipSync],
      ['deflate', zlib.deflateSync],
      ['deflate', zlib.deflateRawSync],
      ['br', zlib.brotliCompressSync],
      ...(zstdCompressSync ? [['zstd', zstdCompressSync] as const] : []),
    ] as const)('takes a file in %s', async ([encoding, compress], { inlet }) => {
      const file = new Uint8Array(compress(lines(1_500)));
      const headers = { 'content-encoding': encoding, 'content-type': 'application/json' };
      const done = await inlet.done('zipped', await importFile(inlet, 'zipped', file, headers));
      expect(done).toMatchObject({ status: 'succeeded', counts: { objects: 1_500 } });
    });

    test('keeps every digit and every character', async ({ inlet }) => {
      const line = '{"id":"exact","n":12345678901234567890.10,"__proto__":{"s":"\\u00e9 😀"},"one":1.0}';
      await inlet.done('exact', await importFile(inlet, 'exact', `${line}\n`));
      const text = await inlet.objectText('exact', 'exact');
      expect(text).toContain('12345678901234567890.10');
      expect(text).toContain('"one": 1.0');
      expect(text).toContain('"__proto__"');
    });

    test('names bad lines with their numbers, and stores the others', async ({ databaseUrl, inlet }) => {
      const bad: readonly (readonly [string | Buffer, string, RegExp])[] = [
        ['nonsense', '', /^is not valid JSON/],
        ['[{"id":"a"}]', '', /^must be an object/],
        ['"a"', '', /^must be an object/],
        ['{"n":1}', '', /^\/id: is missing/],
        ['{"id":""}', '', /^\/id: must not be empty/],
        ['{"id":"nul","v":"\\u0000"}', 'nul', /^\/v: string holds U\+0000/],
        ['{"id":"deep","v":1e5000}', 'deep', /^\/v: number takes more/],
        [Buffer.from('{"id":"\xe9"}', 'latin1'), '', /^is not valid UTF-8/],
        [`{"id":"long","v":"${'x'.repeat(BODY_LIMIT)}"}`, '', /^is longer than 65536 bytes/],
        ['\0', '', /^is not valid JSON/],
      ];
      const file = Buffer.concat(
        bad.flatMap(([line], i) => [
          Buffer.from(`{"id":"good${i}"}\n\n`),
          Buffer.from(line),
          Buffer.from('\n'),
        ]),
      );
      const { requestId, upload_url } = await newImport(inlet, 'bad');
      const answer = await uploaded(upload_url, new Uint8Array(file));
      expect(answer.counts).toMatchObject({ objects: 2 * bad.length, failed: bad.length });
      const done = await inlet.done('bad', requestId);
      expect(done.status).toBe('failed');
      expect(done.counts).toEqual({ objects: 2 * bad.length, stored: bad.length, failed: bad.length });
      expect(done.errors).toEqual(
        bad.map(([, id, message], i) => ({ index: 3 * i + 3, id, message: expect.stringMatching(message) })),
      );
      expect(done.data.map(({ id }) => id)).toEqual(bad.map((_, i) => `good${i}`));
      const kept = await query(
        databaseUrl,
        `SELECT max(length(object))::int AS longest FROM inlet.failed_objects WHERE namespace = 'bad'`,
      );
      expect(kept).toEqual([{ longest: 4_096 }]);
    });

    test('takes a line as long as the limit', async ({ inlet }) => {
      const frame = '{"id":"limit","v":""}';
      const line = frame.replace('""', `"${'x'.repeat(BODY_LIMIT - frame.length)}"`);
      const done = await inlet.done('limit', await importFile(inlet, 'limit', `${line}\n`));
      expect(done.status).toBe('succeeded');
    });

    test('keeps what only Postgres refuses as failed under its line number', async ({
      databaseUrl,
      inlet,
    }) => {
      await query(
        databaseUrl,
        `ALTER TABLE inlet.objects ADD CONSTRAINT no_secrets CHECK (namespace <> 'strict' OR NOT data ? 'secret')`,
      );
      const file = `\n${lines(3)}{"id":"s","secret":1}\nbad\n${lines(2, 'p')}`;
      const done = await inlet.done('strict', await importFile(inlet, 'strict', file));
      expect(done).toMatchObject({
        status: 'failed',
        counts: { objects: 7, stored: 5, failed: 2 },
        errors: [
          { index: 5, id: 's', message: expect.stringContaining('no_secrets') },
          { index: 6, id: '' },
        ],
      });
      expect(done.data.map(({ id }) => id)).toEqual(['o0', 'o1', 'o2', 'p0', 'p1']);
    });

    test.for([
      ['empty', ''],
      ['of blank lines', '\n \r\n\t\n'],
    ] as const)('refuses a file that is %s, and takes another', async ([_, file], { inlet }) => {
      const { requestId, upload_url } = await newImport(inlet, 'empty');
      await problem(await upload(upload_url, file), 400);
      await uploaded(upload_url, lines(1));
      expect((await inlet.done('empty', requestId)).status).toBe('succeeded');
    });

    test.for([
      ['gzip that is none', 400, lines(10), { 'content-encoding': 'gzip' }],
      ['another encoding', 415, lines(10), { 'content-encoding': 'compress' }],
      ['another type', 415, lines(10), { 'content-type': 'text/csv' }],
      ['another charset', 415, lines(10), { 'content-type': 'application/json; charset=utf-16' }],
    ] as const)(
      'refuses %s with %i, and takes the file afterwards',
      async ([_, status, file, headers], { inlet }) => {
        const { requestId, upload_url } = await newImport(inlet, 'refused');
        await problem(await upload(upload_url, file, headers), status);
        await uploaded(upload_url, file);
        expect(await inlet.done('refused', requestId)).toMatchObject({
          status: 'succeeded',
          counts: { objects: 10 },
        });
      },
    );

    test('refuses compressed files that break off', async ({ inlet }) => {
      const whole = zlib.gzipSync(lines(3_000));
      const { upload_url } = await newImport(inlet, 'refused');
      const file = new Uint8Array(whole.subarray(0, whole.length - 20));
      await problem(await upload(upload_url, file, { 'content-encoding': 'gzip' }), 400);
    });

    describe('has an upload URL that', () => {
      test('gets 403 when any part of it is altered', async ({ inlet }) => {
        const { upload_url } = await newImport(inlet, 'signed');
        const other = await newImport(inlet, 'signed');
        const url = new URL(upload_url);
        const altered = [
          upload_url.replace('/signed/', '/other/'),
          upload_url.replace('/signed/', '/%73igned/'),
          upload_url.replace(/req_\w+/, other.requestId),
          upload_url.replace(/expires=(\d+)/, (_, at) => `expires=${Number(at) + 1}`),
          upload_url.replace(/expires=\d+/, 'expires=99999999999'),
          upload_url.replace(/expires=\d+&/, ''),
          upload_url.replace(/&signature=.*/, ''),
          upload_url.replace(/signature=(.)/, (_, first) => `signature=${first === 'A' ? 'B' : 'A'}`),
          upload_url.replace(/.$/, ''),
          `${upload_url}&signature=x`,
          url.origin + url.pathname,
        ];
        for (const one of altered) await problem(await upload(one, lines(1)), 403);
        await uploaded(upload_url, lines(1));
      });

      test('gets 403 when it has expired', async ({ inlet, store: { database } }) => {
        const { upload_url } = await newImport(inlet, 'signed');
        const secret = await sharedSecret(database, 'signed URLs')();
        const { pathname, origin } = new URL(upload_url);
        const now = Math.floor(Date.now() / 1_000);
        expect(signPath(secret, pathname, now + 60)).toMatch(/signature=/);
        await problem(await upload(origin + signPath(secret, pathname, now - 1), lines(1)), 403);
        await uploaded(origin + signPath(secret, pathname, now + 60), lines(1));
      });

      test('gets 409 once its file is complete, and is not to be tried again', async ({ inlet }) => {
        const { requestId, upload_url } = await newImport(inlet, 'twice');
        await uploaded(upload_url, lines(3));
        for (const wait of [false, true]) {
          if (wait) await inlet.done('twice', requestId);
          const response = await upload(upload_url, lines(5));
          expect(response.headers.get('x-should-retry')).toBe('false');
          await problem(response, 409);
        }
        expect(await inlet.done('twice', requestId)).toMatchObject({ counts: { objects: 3 } });
      });
    });

    test('counts while it runs, and gets 409 for a second upload meanwhile', async ({ inlet }) => {
      const { requestId, upload_url } = await newImport(inlet, 'running');
      const half = halfUpload(upload_url, lines(2_500));
      await uploading(inlet, 'running', requestId, 2_000);
      const response = await upload(upload_url, lines(5));
      expect(response.headers.get('x-should-retry')).toBeNull();
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      await problem(response, 409);
      half.breakOff();
    });

    test('that breaks off can be sent again as a whole, and only that counts', async ({ inlet }) => {
      const { requestId, upload_url } = await newImport(inlet, 'broken');
      const half = halfUpload(upload_url, `bad\n${lines(2_500)}`);
      await uploading(inlet, 'broken', requestId, 2_000);
      expect((await inlet.status('broken', requestId)).errors).toHaveLength(1);
      half.breakOff();
      await waitFor('the upload to be free', () => uploaded(upload_url, lines(1_500)));
      const done = await inlet.done('broken', requestId);
      expect(done).toMatchObject({ status: 'succeeded', counts: { objects: 1_500, failed: 0 }, errors: [] });
      expect(done.data).toHaveLength(1_500);
    });

    test('whose server died can be sent again when nothing has been heard of it for a while', async ({
      databaseUrl,
      inlet,
    }) => {
      const { requestId, upload_url } = await newImport(inlet, 'dead');
      const half = halfUpload(upload_url, lines(1_500));
      await uploading(inlet, 'dead', requestId, 1_000);
      await query(databaseUrl, `UPDATE inlet.imports SET alive_at = now() - interval '31 seconds'`);
      await uploaded(upload_url, lines(10));
      expect(await inlet.done('dead', requestId)).toMatchObject({ counts: { objects: 10 } });
      half.breakOff();
      await inlet.done('dead', requestId);
      expect((await upload(upload_url, lines(1))).status).toBe(409);
    });

    test('never goes a step backwards', async ({ inlet }) => {
      await expectStepsForward(inlet, 5_000);
    });

    test('loses to a write that is sent after it, and wins over one that was sent before', async ({
      inlet,
    }) => {
      await inlet.done('order', await inlet.write('order', '{"data":[{"id":"o1","by":"before"}]}'));
      const requestId = await importFile(inlet, 'order', lines(1_500));
      const after = await inlet.write('order', '{"data":{"id":"o2","by":"after"}}');
      await inlet.done('order', requestId);
      await inlet.done('order', after);
      expect((await inlet.object('order', 'o1'))?.data).toEqual({ id: 'o1', n: 1 });
      expect((await inlet.object('order', 'o2'))?.data).toEqual({ id: 'o2', by: 'after' });
    });

    test('has a URL that answers to PUT only, and a key changes nothing about it', async ({ inlet }) => {
      const { upload_url } = await newImport(inlet, 'methods');
      const response = await fetch(upload_url, { headers: { authorization: `Bearer ${KEY}` } });
      expect(response.headers.get('allow')).toBe('PUT');
      await problem(response, 405);
    });
  },
  { settings: { bodyLimit: BODY_LIMIT } },
);
