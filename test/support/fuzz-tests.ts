/**
 * Whatever is sent to the POST route, every answer is one of the contract's: no 500, no hang, no broken connection
 * without an answer. A failure prints the seed with which it can be repeated (FUZZ_SEED, FUZZ_RUNS).
 */
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect } from 'vitest';
import { checkAnswer } from './answers.ts';
import { inletTest } from './fixtures.ts';
import type { FuzzRequest } from './http-fuzz.ts';
import { fuzzBytes, fuzzRequest, wireBytes } from './http-fuzz.ts';
import type { TestInlet } from './inlet.ts';
import type { MadeKey } from './keys.ts';
import { bearer, becomes, makeKey } from './keys.ts';
import { waitFor } from './wait-for.ts';

const SEED = process.env['FUZZ_SEED'] === undefined ? {} : { seed: Number(process.env['FUZZ_SEED']) };

/** Well above any answer's time limit. */
const HANG_MS = 10_000;

/** After this long without an answer, in milliseconds, a request that may be incomplete is ended. */
const QUIET_MS = 30;

const TIMEOUT_MS = 180_000;

/** What the contract lists for this route, and 408 and 431 for what takes too long or has too large headers. */
const STATUSES = new Set([202, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 503]);

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/**
 * Sends bytes and reads until the server has closed.
 * @param quietMs after how long without an answer the sending side is ended: what is incomplete is then over
 */
function exchange(url: string, bytes: Buffer, quietMs?: number): Promise<Answer[]> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: hostname, port: Number(port) });
    const hang = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end after ${HANG_MS} ms; so far: ${Buffer.concat(chunks).toString('latin1')}`));
    }, HANG_MS);
    const quiet = quietMs === undefined ? undefined : setTimeout(() => socket.end(), quietMs);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      quiet?.refresh();
    });
    // What follows is the end, which is what counts.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(hang);
      clearTimeout(quiet);
      try {
        resolve(answersOf(Buffer.concat(chunks)));
      } catch (error) {
        reject(error as Error);
      }
    });
    socket.write(bytes);
  });
}

/** The answers in a stream of bytes; all of Inlet's have a Content-Length. */
function answersOf(stream: Buffer): Answer[] {
  const answers: Answer[] = [];
  let rest = stream;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    const [line = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1]);
    if (end === -1 || Number.isNaN(status)) throw new Error(`not HTTP: ${rest.toString('latin1')}`);
    const headers = new Map(
      lines.map((text): [string, string] => {
        const colon = text.indexOf(':');
        return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
      }),
    );
    const length = status === 100 ? 0 : Number(headers.get('content-length'));
    if (Number.isNaN(length)) throw new Error(`no Content-Length: ${rest.toString('latin1')}`);
    const body = rest.subarray(end + 4, end + 4 + length).toString('utf8');
    if (status !== 100) answers.push({ status, headers, body });
    rest = rest.subarray(end + 4 + length);
  }
  return answers;
}

function expectOfContract({ status, headers, body }: Answer): void {
  expect(STATUSES, body).toContain(status);
  const answer = JSON.parse(body) as Record<string, unknown>;
  expect(headers.get('x-request-id')).toMatch(/^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  expect(answer['requestId']).toBe(headers.get('x-request-id'));
  if (status === 202) return;
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  expect(answer['message']).toBe(answer['detail']);
}

async function expectStored(
  inlet: TestInlet,
  key: MadeKey,
  namespace: string,
  requestId: string,
): Promise<void> {
  const path = `/v1/data/${namespace}/requests/${requestId}`;
  const status = await waitFor(`request ${requestId} to be done`, async () => {
    const response = await inlet.fetch(path, { headers: bearer(key) });
    const answer = (await response.json()) as { status: string };
    return ['succeeded', 'failed'].includes(answer.status) && answer.status;
  });
  expect(status).toBe('succeeded');
}

/** Declares the tests. FUZZ_RUNS goes before the numbers. */
export function fuzzTests(usual: { requests: number; bytes: number }): void {
  const runsOf = (count: number): number => Number(process.env['FUZZ_RUNS'] ?? count);
  const test = inletTest({ settings: { bodyLimit: 8 * 1024 } }, 'postgres').extend(
    'key',
    { scope: 'file' },
    async ({ databaseUrl, inlet }) => {
      // Long enough that it is let in whatever failed before from this address.
      const key = await makeKey(databaseUrl);
      await becomes(inlet.url, key, 200);
      return key;
    },
  );

  test('a request that is nearly right, or not at all, gets answers of the contract', {
    timeout: TIMEOUT_MS,
  }, async ({ inlet, key }) => {
    const runs = runsOf(usual.requests);
    const accepted: { namespace: string; requestId: string }[] = [];
    await fc.assert(
      fc.asyncProperty(fuzzRequest(key.key), async (request: FuzzRequest) => {
        const close: FuzzRequest = { ...request, headers: [...request.headers, ['Connection', 'close']] };
        const answers = await exchange(inlet.url, wireBytes(close));
        expect(answers.length).toBeGreaterThanOrEqual(1);
        for (const answer of answers) expectOfContract(answer);
        const [first] = answers;
        if (!first) return;
        checkAnswer({ ...request, ...first, headers: new Headers([...first.headers]) });
        if (first.status !== 202) return;
        const namespace = /^\/v1\/data\/([^?]*)/.exec(request.path)?.[1] ?? '';
        accepted.push({ namespace, requestId: (JSON.parse(first.body) as { requestId: string }).requestId });
      }),
      { numRuns: runs, ...SEED },
    );
    // Most are nearly right, so some must have been taken; and what was taken is stored, not only most of it.
    expect(accepted.length).toBeGreaterThan(runs / 20);
    for (const { namespace, requestId } of accepted) {
      await expectStored(inlet, key, namespace, requestId);
    }
  });

  test('bytes that are hardly HTTP get answers of the contract, or are given up', {
    timeout: TIMEOUT_MS,
  }, async ({ inlet, key }) => {
    await fc.assert(
      fc.asyncProperty(fuzzBytes(key.key), async (bytes) => {
        for (const answer of await exchange(inlet.url, bytes, QUIET_MS)) expectOfContract(answer);
      }),
      { numRuns: runsOf(usual.bytes), ...SEED },
    );
    // It still does its work.
    const response = await inlet.post('fuzz', '{"data":{"id":"after"}}', bearer(key));
    expect(response.status).toBe(202);
    await expectStored(inlet, key, 'fuzz', ((await response.json()) as { requestId: string }).requestId);
  });
}
