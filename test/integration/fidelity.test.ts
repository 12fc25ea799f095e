/** What was sent is what is stored, to the digit; and what can't be stored is refused before it is accepted. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ProblemAnswer } from '../support/inlet.ts';
import { TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';

let inlet: TestInlet;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createTestDatabase();
  drop = database.drop;
  inlet = await TestInlet.start(
    testConfig({ databaseUrl: database.url, redisUrl: inject('redisUrl') ?? undefined }),
  );
});

afterAll(async () => {
  await inlet?.close();
  await drop?.();
});

/** Writes an object with one member `v` given as JSON text, and returns the text under which it is read. */
async function roundTrip(value: string): Promise<string> {
  const id = randomUUID();
  const requestId = await inlet.write('fidelity', `{"data":{"id":"${id}","v":${value}}}`);
  const { status } = await inlet.done('fidelity', requestId);
  expect(status).toBe('succeeded');
  const text = (await inlet.objectText('fidelity', id)) ?? '';
  return /"data":\{"v": (.*), "id": /s.exec(text)?.[1] ?? text;
}

async function refused(body: string | Uint8Array<ArrayBuffer>, status = 400): Promise<ProblemAnswer> {
  const response = await inlet.post('fidelity', body);
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  return (await response.json()) as ProblemAnswer;
}

describe('numbers', () => {
  it.each([
    ['9007199254740993', '9007199254740993'],
    ['123456789012345678901234567890', '123456789012345678901234567890'],
    ['-0.123456789012345678901234567890', '-0.123456789012345678901234567890'],
    ['1.0', '1.0'],
    ['1', '1'],
    ['100.00', '100.00'],
    ['-0', '0'],
    ['1e-7', '0.0000001'],
    ['1E+2', '100'],
    ['1e400', `1${'0'.repeat(400)}`],
    [`0.${'3'.repeat(999)}`, `0.${'3'.repeat(999)}`],
  ])('%.40s is read as %.40s', async (sent, read) => {
    expect(await roundTrip(sent)).toBe(read);
  });

  it.each(['1e400000', '1e100000000', '9e99999999', '1e-1000', `${'1'.repeat(1001)}`])(
    '%.20s takes more than 1,000 digits and is refused with its path',
    async (number) => {
      const problem = await refused(`{"data":[{"id":"a"},{"id":"b","v":{"w":[1,${number}]}}]}`);
      expect(problem.errors).toEqual([
        { path: '/data/1/v/w/1', message: expect.stringContaining('1000 digits') },
      ]);
    },
  );
});

describe('strings', () => {
  it.each(['""', '"\\\\u0000"', '"a\\"b\\\\c/d"', '"\\ud83d\\ude00"', '"😀 é 漢字 \u200f"', '"\\u001f\\n"'])(
    '%s is read as the same string',
    async (sent) => {
      expect(JSON.parse(await roundTrip(sent))).toBe(JSON.parse(sent));
    },
  );

  it.each([
    ['"a\\u0000b"', 'U+0000'],
    ['"\\ud800"', 'lone surrogate'],
    ['"\\ude00\\ud83d"', 'lone surrogate'],
  ])('%s is refused with its path', async (text, message) => {
    const value = await refused(`{"data":{"id":"a","v":[${text}]}}`);
    expect(value.errors).toEqual([{ path: '/data/v/0', message: expect.stringContaining(message) }]);
    const name = await refused(`{"data":{"id":"a","v":{${text}:1}}}`);
    expect(name.errors?.[0]?.message).toContain(message);
    const id = await refused(`{"data":{"id":${text}}}`);
    expect(id.errors?.[0]?.path).toBe('/data/id');
  });

  it('bytes that are not UTF-8 are refused', async () => {
    const body = Buffer.concat([
      Buffer.from('{"data":{"id":"a","v":"'),
      Buffer.from([0xff]),
      Buffer.from('"}}'),
    ]);
    expect((await refused(new Uint8Array(body))).detail).toContain('UTF-8');
  });
});

describe('objects', () => {
  it('members named __proto__ and constructor, and empty names, are data like any other', async () => {
    const sent = '{"": 0, "__proto__": {"x": 1}, "constructor": {"prototype": null}}';
    expect(await roundTrip(sent)).toBe(sent);
  });

  it('of a repeated member the last stays', async () => {
    expect(await roundTrip('{"a": 1, "a": 2}')).toBe('{"a": 2}');
  });

  it('nesting of 1,000 levels is stored and of 1,001 is refused', async () => {
    // The object itself is the first level.
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(await roundTrip(nested(999))).toBe(nested(999));
    const problem = await refused(`{"data":{"id":"a","v":${nested(1000)}}}`);
    expect(problem.errors).toHaveLength(1);
    expect(problem.detail).toContain('1000 levels');
    await refused(`{"data":{"id":"a","v":${nested(100_000)}}}`);
  });
});

describe('lists', () => {
  it('of one id twice in a list the last wins', async () => {
    const id = randomUUID();
    const requestId = await inlet.write(
      'fidelity',
      JSON.stringify({ data: [{ id, n: 1 }, { id: `${id}-other` }, { id, n: 2 }] }),
    );
    const answer = await inlet.done('fidelity', requestId);
    expect(answer.counts).toEqual({ objects: 3, stored: 3, failed: 0 });
    expect(answer.data.map((entry) => entry.id)).toEqual([id, `${id}-other`]);
    const stored = await inlet.object('fidelity', id);
    expect(stored?.data['n']).toBe(2);
    expect(stored?.revision).toBe(1);
  });

  it('10,000 objects are taken, and 10,001 are refused as a whole', async () => {
    const namespace = `many-${randomUUID()}`;
    const objects = Array.from({ length: 10_001 }, (_, i) => ({ id: `o${i}` }));
    expect((await refused(JSON.stringify({ data: objects }), 413)).detail).toContain('10000');
    const requestId = await inlet.write(namespace, JSON.stringify({ data: objects.slice(0, 10_000) }));
    const answer = await inlet.done(namespace, requestId);
    expect(answer.counts).toEqual({ objects: 10_000, stored: 10_000, failed: 0 });
    expect(answer.data).toHaveLength(10_000);
    expect(await inlet.objectText(namespace, 'o9999')).toBeDefined();
  });

  it.each(['[]', '3', 'null', '"x"', 'true'])('data that is %s is refused', async (data) => {
    expect((await refused(`{"data":${data}}`)).errors?.[0]?.path).toBe('/data');
  });
});

describe('ids', () => {
  it.each(['a/b', 'a b', '"quoted"', "it's", '😀', 'ü', '%2F', '?#&=', '..a', '\t', '1', ' '])(
    '%j is read back by path',
    async (id) => {
      const requestId = await inlet.write('ids', JSON.stringify({ data: { id, mark: requestMark } }));
      await inlet.done('ids', requestId);
      const object = await inlet.object('ids', id);
      expect(object).toMatchObject({
        namespace: 'ids',
        id,
        data: { id, mark: requestMark },
        request_id: requestId,
      });
    },
  );

  it.each(['x', '😀'])(
    'of 512 characters (%s) are read back by path, and of 513 are refused',
    async (character) => {
      const id = character.repeat(512);
      await inlet.done('ids', await inlet.write('ids', JSON.stringify({ data: { id } })));
      expect((await inlet.object('ids', id))?.id).toBe(id);
      const problem = await refused(JSON.stringify({ data: [{ id: id + character }] }));
      expect(problem.errors).toEqual([{ path: '/data/0/id', message: expect.stringContaining('512') }]);
    },
  );

  it('differ where their case differs', async () => {
    await inlet.done('ids', await inlet.write('ids', '{"data":[{"id":"Case","n":1},{"id":"case","n":2}]}'));
    expect((await inlet.object('ids', 'Case'))?.data['n']).toBe(1);
    expect((await inlet.object('ids', 'case'))?.data['n']).toBe(2);
  });
});

const requestMark = randomUUID();
