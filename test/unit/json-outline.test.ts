import { describe, expect, it } from 'vitest';
import { outline as outlineSliced, requireJson } from '../../src/domain/json-outline.ts';
import { readObject, readWrite } from '../../src/domain/objects.ts';
import { atOnce } from '../../src/domain/slices.ts';
import { rounds } from '../support/rounds.ts';
import { createRandom, randomDocument, SEED } from './random-json.ts';

/** Space that makes any text a large one. */
const SPACE = ' '.repeat(256 * 1024);

function outline(text: string, most = 100): unknown {
  atOnce(requireJson(text));
  return atOnce(outlineSliced(text, most));
}

/** What a call returns, or what it throws. */
async function outcome(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return { ...(error as Error), name: (error as Error).name };
  }
}

describe('outline', () => {
  it.each([
    ['{"id":"a","x":[1]}', { id: 'a' }],
    ['{"x":{"id":"inner"}}', {}],
    ['{"id":"a","id":"b"}', { id: 'b' }],
    ['{"\\u0069d":"\\u0061\\"" }', { id: 'a"' }],
    ['{"id":"a","id":7}', { id: 0 }],
    ['{"id":["a"]}', { id: 0 }],
    ['{"id":null}', { id: 0 }],
    ['{}', {}],
    ['[]', []],
    ['[ \n ]', []],
    [
      '[{"id":"a"},{"id":"b","x":[{"id":"c"},2]} , 3, "x", null, [{"id":"d"}], {}]',
      [{ id: 'a' }, { id: 'b' }, null, null, null, null, {}],
    ],
    ['"text"', null],
    ['12', null],
  ])('reads of a large %s what objects are known by', (text, expected) => {
    expect(outline(text)).toEqual(expected);
  });

  it('looks at no more elements than it is told, and counts the others', () => {
    const list = outline(`[${Array(1_000).fill('{"id":"a"}').join()}]`, 2) as unknown[];
    expect(list).toHaveLength(1_000);
    expect(list.slice(0, 3)).toEqual([{ id: 'a' }, { id: 'a' }, undefined]);
    expect(outline('[]', 0)).toEqual([]);
    expect(outline('[1]', 0)).toHaveLength(1);
  });

  it('refuses what is no JSON, and says where', () => {
    expect(() => outline('{"id":"a"')).toThrow('Unexpected end of JSON input');
    expect(() => outline('{"id":a}')).toThrow('Unexpected character in JSON at position 6');
  });
});

it(`a large body is read like a small one (seed ${SEED})`, async () => {
  const random = createRandom(SEED);
  for (let i = 0; i < rounds(30); i += 1) {
    const kind = random() < 0.3 ? 'object' : 'array';
    const { text: data } = randomDocument(random, kind);
    const list = `[${data},{"id":"a","x":1.0},${data}]`;
    for (const value of [data, list, '{"id":"b","v":[1e3]}', '[{"id":"c"},{"id":"d"}]']) {
      const schema = random() < 0.3 ? ',"schema":{"a":{"content_type":"card"}}' : '';
      const body = `{"data":${value}${schema}}`;
      const large = `${body}${SPACE}`;
      expect(await outcome(() => readWrite(large, 1_000)), body).toEqual(
        await outcome(() => readWrite(body, 1_000)),
      );
    }
    expect(await outcome(() => readObject(data + SPACE)), data).toEqual(
      await outcome(() => readObject(data)),
    );
  }
});

it('a large body says what is wrong with it as a small one does', async () => {
  for (const body of [
    '[]',
    'null',
    '{}',
    '{"data":1}',
    '{"data":[]}',
    '{"data":[{"id":"a"},{"id":""}]}',
    '"data"',
  ]) {
    expect(await outcome(() => readWrite(body + SPACE, 10))).toEqual(
      await outcome(() => readWrite(body, 10)),
    );
  }
  const many = `{"data":[${Array(11).fill('{"id":"a"}').join()}]}`;
  expect(() => readWrite(many + SPACE, 10)).toThrow('the request has 11 objects, and the limit is 10');
  expect(() => readWrite(`{"data":${SPACE}`, 10)).toThrow('the body is not valid JSON: Unexpected end');
});

it('refuses a schema that is longer than any needs to be', async () => {
  const schema = `{"a":{}${SPACE.repeat(4)}}`;
  expect(await outcome(() => readWrite(`{"data":{"id":"a"},"schema":${schema}}`, 10))).toMatchObject({
    issues: [{ path: '/schema', message: 'is longer than 1048576 characters' }],
  });
});
