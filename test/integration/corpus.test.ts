/**
 * Bad input, and good input that looks bad: each case of test/corpus with its answer. In the end nothing is there of what was
 * refused, and everything of what was taken, exactly.
 */
import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
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
import { inletTest } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';

/** Where all goes that is to be refused. */
const REFUSED = 'refused';

/** From this length on bodies are read in another way, without building what they say. */
const LARGE = 263_000;

const test = inletTest();

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
  inlet: TestInlet,
  namespace: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<void> {
  const { status } = await inlet.done(namespace, await inlet.write(namespace, body, headers));
  expect(status).toBe('succeeded');
}

/** The text of an object's data. */
async function dataText(inlet: TestInlet, namespace: string, id: string): Promise<string | undefined> {
  const text = await inlet.objectText(namespace, id);
  return /^\{"namespace":"[^"]*","id":"(?:[^"\\]|\\.)*","data":(.*),"revision":\d+,/s.exec(text ?? '')?.[1];
}

describe.each([
  ['no JSON', NO_JSON],
  ['no write', NO_WRITE],
  ['a write with a bad schema', WITH_BAD_SCHEMA],
] as const)('a body that is %s', { concurrent: true }, (_group, cases: readonly RefusedBody[]) => {
  test.for(cases)('%s: 400', async ([_why, body, path, detail], { inlet }) => {
    const answer = await refusal(await inlet.post(REFUSED, body), 400);
    expect(answer.code).toBe('invalid_request');
    expect(answer.errors?.[0]?.path).toBe(path);
    expect(answer.detail).toMatch(detail);
  });

  test('is refused for the same reason where it is large', async ({ inlet }) => {
    // A large body is read in turns with everything else that goes on.
    for (let from = 0; from < cases.length; from += 10) {
      await Promise.all(
        cases.slice(from, from + 10).map(async ([why, body, path]) => {
          const answer = await refusal(await inlet.post(REFUSED, `${body}${' '.repeat(LARGE)}`), 400);
          expect(answer.errors?.[0]?.path, why).toBe(path);
        }),
      );
    }
  });
});

test.for(BAD_SCHEMAS)(
  '%s is refused by itself too: 400 with the place',
  { concurrent: true },
  async ([_why, schema, path], { inlet }) => {
    const body = `{"schema":${schema}}`;
    for (const [method, rest] of [
      ['PUT', 'settings'],
      ['POST', 'requests/upload-url'],
    ] as const) {
      const answer = await refusal(await inlet.fetch(`/v1/data/${REFUSED}/${rest}`, { method, body }), 400);
      expect(answer.errors?.[0]?.path).toBe(`/schema${path}`);
    }
  },
);

describe.each([
  ['a long number', LONG_NUMBERS],
  ['a bad string', BAD_STRINGS],
  ['deep nesting', DEEP_VALUES],
] as const)('%s', { concurrent: true }, (_group, cases) => {
  test.for(cases)('%s: 400 with the place', async ([_why, value, path, message], { inlet }) => {
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

  test('is refused with all of its places', async ({ inlet }) => {
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

describe('bytes', { concurrent: true }, () => {
  test.for(NO_UTF8)('that are no UTF-8, %s: 400', async ([_why, body], { inlet }) => {
    const answer = await refusal(await inlet.post(REFUSED, body), 400);
    expect(answer.detail).toContain('UTF-8');
    expect(answer.errors).toBeUndefined();
  });

  test.for(BADLY_COMPRESSED)('badly compressed, %s (%s): 400', async ([_why, encoding, body], { inlet }) => {
    const answer = await refusal(await inlet.post(REFUSED, body, { 'content-encoding': encoding }), 400);
    expect(answer.code).toBe('invalid_request');
  });

  test.for(WELL_COMPRESSED)('compressed, %s (%s): 202', async ([_why, encoding, body], { inlet }) => {
    await stored(inlet, 'zipped', body, { 'content-encoding': encoding });
    expect(await dataText(inlet, 'zipped', 'zipped')).toBe('{"id": "zipped"}');
  });

  test.for(ENCODINGS_NOT_SERVED)('in the encoding %s: 415', async (encoding, { inlet }) => {
    const response = await inlet.post(REFUSED, '{"data":{"id":"a"}}', { 'content-encoding': encoding });
    await refusal(response, 415);
    expect(response.headers.get('accept-encoding')).toContain('gzip');
  });

  test.for(TYPES_NOT_SERVED)('of the type %s: 415', async (type, { inlet }) => {
    await refusal(await inlet.post(REFUSED, '{"data":{"id":"a"}}', { 'content-type': type }), 415);
  });

  test.for(TYPES_SERVED)('of the type %s: 202', async (type, { inlet }) => {
    await stored(inlet, 'types', '{"data":{"id":"a"}}', { 'content-type': type });
  });
});

describe('a namespace', { concurrent: true }, () => {
  test.for(BAD_NAMESPACES)('with %s: 400', async ([_why, inPath], { inlet }) => {
    await refusal(await inlet.post(inPath, '{"data":{"id":"a"}}'), 400);
    for (const rest of ['objects', 'objects/a', 'requests', 'settings', 'failed']) {
      await refusal(await inlet.fetch(`/v1/data/${inPath}/${rest}`), 400);
    }
  });

  test.for(GOOD_NAMESPACES)('that is %s is one', async ([_why, namespace], { inlet }) => {
    await stored(inlet, namespace, '{"data":{"id":"a","v":1}}');
    expect(await dataText(inlet, namespace, 'a')).toBe('{"v": 1, "id": "a"}');
    expect((await inlet.fetch(`/v1/data/${namespace}/requests`)).status).toBe(200);
  });
});

describe('query parameters', { concurrent: true }, () => {
  test.for(BAD_QUERIES)('of %s?%s: 400, which names the one', async ([list, parameters, name], { inlet }) => {
    const answer = await refusal(await inlet.fetch(`/v1/data/queries/${list}?${parameters}`), 400);
    expect(answer.detail).toContain(`query parameter ${name}`);
  });

  test.for(GOOD_QUERIES)('of %s?%s: 200', async ([list, parameters], { inlet }) => {
    const response = await inlet.fetch(`/v1/data/queries/${list}?${parameters}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ data: [], next_cursor: null });
  });
});

describe('a request on the wire', { concurrent: true }, () => {
  test.for(RAW_REQUESTS)('%s', async ([_why, bytes, status], { inlet, onTestFinished }) => {
    const client = new RawClient(inlet.url);
    onTestFinished(() => client.close());
    client.send(Buffer.from(bytes.replace('KEY', KEY), 'latin1'));
    const answer = await waitFor('an answer', () => {
      const final = client.text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
      return final.includes('\r\n\r\n') && final;
    });
    expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
  });
});

describe.each([
  ['a number', NUMBERS],
  ['a string', STRINGS],
  ['a structure', STRUCTURES],
] as const)('%s that is taken', { concurrent: true }, (_group, cases) => {
  test.for(cases)('%s', async ([_why, value, read], { inlet }) => {
    const id = randomUUID();
    await stored(inlet, 'values', `{"data":{"id":"${id}","v":${value}}}`);
    expect(await dataText(inlet, 'values', id)).toBe(`{"v": ${read}, "id": "${id}"}`);
  });

  test('comes back the same out of a large body', async ({ inlet }) => {
    const id = randomUUID();
    const data = cases.map(([, value], i) => `{"id":"${id}-${i}","v":${value}}`);
    await stored(inlet, 'values', `{"data":[${data}]${' '.repeat(LARGE)}}`);
    for (const [i, [why, , read]] of cases.entries()) {
      expect(await dataText(inlet, 'values', `${id}-${i}`), why).toBe(`{"v": ${read}, "id": "${id}-${i}"}`);
    }
  });
});

describe('a body that is taken', { concurrent: true }, () => {
  test.for(BODIES)('%s', async ([_why, body, objects], { inlet }) => {
    for (const [n, padding] of ['', ' '.repeat(LARGE)].entries()) {
      const namespace = `bodies-${n}`;
      const requestId = await inlet.write(namespace, body + padding);
      const { data } = await inlet.done(namespace, requestId);
      expect(data.map(({ id }) => id)).toEqual(objects.map(([id]) => id));
      for (const [id, text] of objects) expect(await dataText(inlet, namespace, id)).toBe(text);
    }
  });

  test('leaves nothing there that was not meant', { concurrent: false }, async ({ databaseUrl }) => {
    const ids = new Set(BODIES.flatMap(([, , objects]) => objects.map(([id]) => id)));
    const rows = await query(databaseUrl, `SELECT id FROM inlet.objects WHERE namespace LIKE 'bodies-%'`);
    expect(rows.filter(({ id }) => !ids.has(id as string))).toEqual([]);
    expect(rows).toHaveLength(2 * ids.size);
  });
});

test.for(IDS)(
  'the id that is %s is read back by path',
  { concurrent: true },
  async ([_why, id], { inlet }) => {
    await stored(inlet, 'ids', JSON.stringify({ data: { id, mark: id } }));
    expect(await inlet.object('ids', id)).toMatchObject({ id, data: { id, mark: id } });
    const listed = await inlet.fetch(`/v1/data/ids/objects?id=${encodeURIComponent(id)}`);
    expect(await listed.json()).toMatchObject({ data: [{ id }] });
  },
);

test('lines of files: the bad ones are kept with their reason, and the good ones are stored', async ({
  inlet,
}) => {
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
  for (const [why, , id, data] of GOOD_LINES) expect(await dataText(inlet, 'lines', id), why).toBe(data);
});

test('nothing of what was refused is anywhere', async ({ databaseUrl, inlet }) => {
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
