/**
 * Bad input, and good input that looks bad: each case of test/corpus with its answer. In the end nothing is there of what was
 * refused, and everything of what was taken, exactly.
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { BODIES, IDS, NUMBERS, STRINGS, STRUCTURES } from '../corpus/accepted.ts';
import { BADLY_COMPRESSED, ENCODINGS_NOT_SERVED, NO_UTF8, WELL_COMPRESSED } from '../corpus/bytes.ts';
import type { RefusedBody } from '../corpus/cases.ts';
import { BAD_LINES, GOOD_LINES } from '../corpus/lines.ts';
import {
  BAD_NAMESPACES,
  BAD_QUERIES,
  GOOD_NAMESPACES,
  GOOD_QUERIES,
  RAW_REQUESTS,
  TYPES_NOT_SERVED,
  TYPES_SERVED,
} from '../corpus/requests.ts';
import { BAD_SCHEMAS, NO_WRITE, WITH_BAD_SCHEMA } from '../corpus/shapes.ts';
import { NO_JSON } from '../corpus/syntax.ts';
import { BAD_STRINGS, DEEP_VALUES, LONG_NUMBERS } from '../corpus/values.ts';
import { importFile } from '../support/imports.ts';
import type { ProblemAnswer } from '../support/inlet.ts';
import { eventually, KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';

/** Where all goes that is to be refused. */
const REFUSED = 'refused';

/** From this length on bodies are read in another way, without building what they say. */
const LARGE = 300_000;

let inlet: TestInlet;
let databaseUrl: string;
let drop: () => Promise<void>;

beforeAll(async () => {
  ({ url: databaseUrl, drop } = await createTestDatabase());
  const services = { databaseUrl, redisUrl: inject('redisUrl') ?? undefined };
  inlet = await TestInlet.start(testConfig(services));
});

afterAll(async () => {
  await inlet?.close();
  await drop?.();
});

interface Refused extends ProblemAnswer {
  readonly code: string;
}

/** The answer, which has to be an error with this status. */
async function refusal(response: Response, status: number): Promise<Refused> {
  const text = await response.text();
  expect(response.status, text.slice(0, 500)).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return JSON.parse(text) as Refused;
}

/** Writes, waits until it is stored, and gives the request id. */
async function stored(
  namespace: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<void> {
  const { status } = await inlet.done(namespace, await inlet.write(namespace, body, headers));
  expect(status).toBe('succeeded');
}

/** The text of an object's data. */
async function dataText(namespace: string, id: string): Promise<string | undefined> {
  const text = await inlet.objectText(namespace, id);
  return /^\{"namespace":"[^"]*","id":"(?:[^"\\]|\\.)*","data":(.*),"revision":\d+,/s.exec(text ?? '')?.[1];
}

describe.each([
  ['no JSON', NO_JSON],
  ['no write', NO_WRITE],
  ['a write with a bad schema', WITH_BAD_SCHEMA],
] as const)('a body that is %s', (_group, cases: readonly RefusedBody[]) => {
  it.each(cases)('%s: 400', async (_why, body, path, detail) => {
    const answer = await refusal(await inlet.post(REFUSED, body), 400);
    expect(answer.code).toBe('invalid_request');
    expect(answer.errors?.[0]?.path).toBe(path);
    expect(answer.detail).toMatch(detail);
  });

  it('is refused for the same reason where it is large', async () => {
    for (const [why, body, path] of cases) {
      const answer = await refusal(await inlet.post(REFUSED, `${body}${' '.repeat(LARGE)}`), 400);
      expect(answer.errors?.[0]?.path, why).toBe(path);
    }
  });
});

it.each(BAD_SCHEMAS)('%s is refused by itself too: 400 with the place', async (_why, schema, path) => {
  const body = `{"schema":${schema}}`;
  for (const [method, rest] of [
    ['PUT', 'settings'],
    ['POST', 'requests/upload-url'],
  ] as const) {
    const answer = await refusal(await inlet.fetch(`/v1/data/${REFUSED}/${rest}`, { method, body }), 400);
    expect(answer.errors?.[0]?.path).toBe(`/schema${path}`);
  }
});

describe.each([
  ['a long number', LONG_NUMBERS],
  ['a bad string', BAD_STRINGS],
  ['deep nesting', DEEP_VALUES],
] as const)('%s', (_group, cases) => {
  it.each(cases)('%s: 400 with the place', async (_why, value, path, message) => {
    const pad = ' '.repeat(LARGE);
    for (const padding of ['', pad]) {
      const list = `{"data":[{"id":"neighbour"},{"id":"bad","v":${value}}]${padding}}`;
      const ofList = await refusal(await inlet.post(REFUSED, list), 400);
      expect(ofList.errors?.map((error) => [error.path, error.message])).toEqual([
        [shown(`/data/1/v${path}`), expect.stringMatching(message)],
      ]);
      const single = await refusal(
        await inlet.post(REFUSED, `{"data":{"v":${value},"id":"bad"}${padding}}`),
        400,
      );
      expect(single.errors?.map((error) => error.path)).toEqual([shown(`/data/v${path}`)]);
    }
  });

  it('is refused with all of its places', async () => {
    const data = cases.slice(0, 20).map(([, value], i) => `{"id":"o${i}","v":${value}}`);
    const answer = await refusal(await inlet.post(REFUSED, `{"data":[${data}]}`), 400);
    expect(answer.errors?.map(({ path }) => path)).toEqual(
      cases.slice(0, 20).map(([, , path], i) => shown(`/data/${i}/v${path}`)),
    );
  });
});

/** A path as it is shown: of a very long one the beginning. */
function shown(path: string): string {
  const limit = 2_500;
  return (path.length > limit ? `${path.slice(0, limit)}…` : path).toWellFormed();
}

describe('bytes', () => {
  it.each(NO_UTF8)('that are no UTF-8, %s: 400', async (_why, body) => {
    const answer = await refusal(await inlet.post(REFUSED, body), 400);
    expect(answer.detail).toContain('UTF-8');
    expect(answer.errors).toBeUndefined();
  });

  it.each(BADLY_COMPRESSED)('badly compressed, %s (%s): 400', async (_why, encoding, body) => {
    const answer = await refusal(await inlet.post(REFUSED, body, { 'content-encoding': encoding }), 400);
    expect(answer.code).toBe('invalid_request');
  });

  it.each(WELL_COMPRESSED)('compressed, %s (%s): 202', async (_why, encoding, body) => {
    await stored('zipped', body, { 'content-encoding': encoding });
    expect(await dataText('zipped', 'zipped')).toBe('{"id": "zipped"}');
  });

  it.each(ENCODINGS_NOT_SERVED)('in the encoding %s: 415', async (encoding) => {
    const response = await inlet.post(REFUSED, '{"data":{"id":"a"}}', { 'content-encoding': encoding });
    await refusal(response, 415);
    expect(response.headers.get('accept-encoding')).toContain('gzip');
  });

  it.each(TYPES_NOT_SERVED)('of the type %s: 415', async (type) => {
    await refusal(await inlet.post(REFUSED, '{"data":{"id":"a"}}', { 'content-type': type }), 415);
  });

  it.each(TYPES_SERVED)('of the type %s: 202', async (type) => {
    await stored('types', '{"data":{"id":"a"}}', { 'content-type': type });
  });
});

describe('a namespace', () => {
  it.each(BAD_NAMESPACES)('with %s: 400', async (_why, inPath) => {
    await refusal(await inlet.post(inPath, '{"data":{"id":"a"}}'), 400);
    for (const rest of ['objects', 'objects/a', 'requests', 'settings', 'failed']) {
      await refusal(await inlet.fetch(`/v1/data/${inPath}/${rest}`), 400);
    }
  });

  it.each(GOOD_NAMESPACES)('that is %s is one', async (_why, namespace) => {
    await stored(namespace, '{"data":{"id":"a","v":1}}');
    expect(await dataText(namespace, 'a')).toBe('{"v": 1, "id": "a"}');
    expect((await inlet.fetch(`/v1/data/${namespace}/requests`)).status).toBe(200);
  });
});

describe('query parameters', () => {
  it.each(BAD_QUERIES)('of %s?%s: 400, which names the one', async (list, parameters, name) => {
    const answer = await refusal(await inlet.fetch(`/v1/data/queries/${list}?${parameters}`), 400);
    expect(answer.detail).toContain(`query parameter ${name}`);
  });

  it.each(GOOD_QUERIES)('of %s?%s: 200', async (list, parameters) => {
    const response = await inlet.fetch(`/v1/data/queries/${list}?${parameters}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ data: [], next_cursor: null });
  });
});

describe('a request on the wire', () => {
  it.each(RAW_REQUESTS)('%s', async (_why, bytes, status) => {
    const client = new RawClient(inlet.url);
    try {
      client.send(Buffer.from(bytes.replace('KEY', KEY), 'latin1'));
      const answer = await eventually(async () => {
        const final = client.text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
        return final.includes('\r\n\r\n') ? final : undefined;
      });
      expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    } finally {
      client.close();
    }
  });
});

describe.each([
  ['a number', NUMBERS],
  ['a string', STRINGS],
  ['a structure', STRUCTURES],
] as const)('%s that is taken', (_group, cases) => {
  it.each(cases)('%s', async (_why, value, read) => {
    const id = randomUUID();
    await stored('values', `{"data":{"id":"${id}","v":${value}}}`);
    expect(await dataText('values', id)).toBe(`{"v": ${read}, "id": "${id}"}`);
  });

  it('comes back the same out of a large body', async () => {
    const id = randomUUID();
    const data = cases.map(([, value], i) => `{"id":"${id}-${i}","v":${value}}`);
    await stored('values', `{"data":[${data}]${' '.repeat(LARGE)}}`);
    for (const [i, [why, , read]] of cases.entries()) {
      expect(await dataText('values', `${id}-${i}`), why).toBe(`{"v": ${read}, "id": "${id}-${i}"}`);
    }
  });
});

describe('a body that is taken', () => {
  it.each(BODIES)('%s', async (_why, body, objects) => {
    for (const [n, padding] of ['', ' '.repeat(LARGE)].entries()) {
      const namespace = `bodies-${n}`;
      const requestId = await inlet.write(namespace, body + padding);
      const { data } = await inlet.done(namespace, requestId);
      expect(data.map(({ id }) => id)).toEqual(objects.map(([id]) => id));
      for (const [id, text] of objects) expect(await dataText(namespace, id)).toBe(text);
    }
  });

  it('leaves nothing there that was not meant', async () => {
    const ids = new Set(BODIES.flatMap(([, , objects]) => objects.map(([id]) => id)));
    const rows = await query(databaseUrl, `SELECT id FROM inlet.objects WHERE namespace LIKE 'bodies-%'`);
    expect(rows.filter(({ id }) => !ids.has(id as string))).toEqual([]);
    expect(rows).toHaveLength(2 * ids.size);
  });
});

it.each(IDS)('the id that is %s is read back by path', async (_why, id) => {
  await stored('ids', JSON.stringify({ data: { id, mark: id } }));
  expect(await inlet.object('ids', id)).toMatchObject({ id, data: { id, mark: id } });
  const listed = await inlet.fetch(`/v1/data/ids/objects?id=${encodeURIComponent(id)}`);
  expect(await listed.json()).toMatchObject({ data: [{ id }] });
});

it('lines of files: the bad ones are kept with their reason, and the good ones are stored', async () => {
  const lines = BAD_LINES.flatMap(([, line], i) => [Buffer.from(line), Buffer.from(`{"id":"between-${i}"}`)]);
  const good = GOOD_LINES.map(([, line]) => Buffer.from(line));
  const file = [...lines, ...good].map((line) => Buffer.concat([line, Buffer.from('\n')]));
  // The first line may begin with a byte order mark, so it isn't one of the cases.
  const all = Buffer.concat([Buffer.from('{"id":"first"}\n'), ...file]);
  const requestId = await importFile(inlet, 'lines', new Uint8Array(all));
  const request = await inlet.done('lines', requestId);
  expect(request.errors).toEqual(
    BAD_LINES.map(([, , id, message], i) => ({
      index: 2 * i + 2,
      id,
      message: expect.stringMatching(message),
    })),
  );
  expect(request.data.map(({ id }) => id)).toEqual([
    'first',
    ...BAD_LINES.map((_, i) => `between-${i}`),
    ...GOOD_LINES.map(([, , id]) => id),
  ]);
  for (const [why, , id, data] of GOOD_LINES) expect(await dataText('lines', id), why).toBe(data);
});

it('nothing of what was refused is anywhere', async () => {
  const [counts] = await query(
    databaseUrl,
    `SELECT (SELECT count(*)::int FROM inlet.objects WHERE namespace = '${REFUSED}') AS objects,
            (SELECT count(*)::int FROM inlet.requests WHERE namespace = '${REFUSED}') AS requests,
            (SELECT count(*)::int FROM inlet.settings WHERE namespace = '${REFUSED}') AS settings,
            (SELECT count(*)::int FROM inlet.failed_objects WHERE namespace <> 'lines') AS failed`,
  );
  expect(counts).toEqual({ objects: 0, requests: 0, settings: 0, failed: 0 });
  const requests = await inlet.fetch(`/v1/data/${REFUSED}/requests`);
  expect(await requests.json()).toEqual({ data: [], next_cursor: null });
});
