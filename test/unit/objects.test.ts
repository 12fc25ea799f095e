import { describe, expect, it } from 'vitest';
import { splitList } from '../../src/domain/json-text.ts';
import {
  InvalidWriteError,
  isNamespace,
  MAX_ID_LENGTH,
  readWrite,
  TooManyObjectsError,
} from '../../src/domain/objects.ts';
import { MAX_ISSUES } from '../../src/domain/storable.ts';

const LIMIT = 1_000_000;

/** Reads a body that must be refused. */
function refused(text: string, maxObjects = LIMIT): InvalidWriteError {
  try {
    readWrite(text, maxObjects);
  } catch (error) {
    if (error instanceof InvalidWriteError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${text.slice(0, 200)}`);
}

/** The pointers of what is wrong with a body. */
function paths(text: string): string[] {
  return refused(text).issues.map(({ path }) => path);
}

describe('readWrite takes', () => {
  it('a single object', () => {
    expect(readWrite('{"data":{"id":"a","n":1}}', 1)).toEqual({
      ids: ['a'],
      objects: '{"id":"a","n":1}',
    });
  });

  it('a list of objects, in its order', () => {
    const { ids, objects } = readWrite('{"data":[{"id":"b"},{"n":[1,2],"id":"a"},{"id":"b"}]}', 3);
    expect(ids).toEqual(['b', 'a', 'b']);
    expect(splitList(objects)).toEqual(['{"id":"b"}', '{"n":[1,2],"id":"a"}', '{"id":"b"}']);
  });

  it('a list of one object', () => {
    expect(readWrite('{"data":[{"id":"a"}]}', 1)).toEqual({ ids: ['a'], objects: '{"id":"a"}' });
  });

  it('white space anywhere', () => {
    const { ids, objects } = readWrite(' \r\n{ "data" : [ { "id" : "a" } ,\t{"id":"b"} ] } \n', 2);
    expect(ids).toEqual(['a', 'b']);
    expect(splitList(objects)).toEqual(['{ "id" : "a" }', '{"id":"b"}']);
  });

  it.each([
    '{"id":"a","n":9007199254740993}',
    '{"id":"a","n":123456789012345678901234567890.10}',
    '{"id":"a","n":[1.0,1,1e-7,-0,1E+2,0.10]}',
    '{"id":"a","":{"":""},"__proto__":{"constructor":1},"constructor":null,"toString":[]}',
    '{"id":"a","s":"\\u0061\\/\\ud83d\\ude00😀\u2028"}',
    '{ "id":\t"a" , "z":1, "a":2, "z":3 }',
  ])('%s and keeps it as it was sent, to the digit', (object) => {
    expect(readWrite(`{"data":${object}}`, 1).objects).toBe(object);
    expect(splitList(readWrite(`{"data":[${object},${object}]}`, 2).objects)).toEqual([object, object]);
  });

  it('bodies with other members, which count for nothing', () => {
    const text = '{"x":[{"id":1}],"\\u0000":"\\ud800","n":1e400000,"data":{"id":"a"},"data2":[]}';
    expect(readWrite(text, 1)).toEqual({ ids: ['a'], objects: '{"id":"a"}' });
  });

  it('the schema that comes along, as the text that was sent', () => {
    const schema = '{ "data" : {"display_hint":{"order":1.0}}, "schema":{"content_type":"card"}}';
    expect(readWrite(`{"schema":${schema},"data":{"id":"a","schema":7}}`, 1).schema).toBe(schema);
    expect(readWrite(`{"data":[{"id":"a"}],"schema": ${schema} }`, 1).schema).toBe(schema);
    expect(readWrite('{"data":{"id":"a","schema":{}}}', 1).schema).toBeUndefined();
  });

  it('the last of several members "data", however it is written', () => {
    expect(readWrite('{"data":7,"d\\u0061ta":{"id":"b"}}', 1)).toEqual({
      ids: ['b'],
      objects: '{"id":"b"}',
    });
    expect(readWrite('{"data":[{"id":"a"},{"id":"b"}],"data":[{"id":"c"}]}', 1).ids).toEqual(['c']);
  });

  it('the last of several members "id", as jsonb does', () => {
    expect(readWrite('{"data":{"id":1,"i\\u0064":"b"}}', 1).ids).toEqual(['b']);
  });

  it.each([
    ['with one character', 'x'],
    ['with a space', ' '],
    ['that looks like a path', '../a/b?c=d#e%20'],
    ['named like a part of JavaScript', '__proto__'],
    ['of 512 characters', 'x'.repeat(MAX_ID_LENGTH)],
    ['of 512 characters of two bytes', 'é'.repeat(MAX_ID_LENGTH)],
    ['of 512 emoji, which are 1,024 UTF-16 code units', '😀'.repeat(MAX_ID_LENGTH)],
  ])('an id %s', (_, id) => {
    expect(readWrite(JSON.stringify({ data: { id } }), 1).ids).toEqual([id]);
    expect(readWrite(JSON.stringify({ data: [{ id }] }), 1).ids).toEqual([id]);
  });

  it('an id that is written with escapes', () => {
    expect(readWrite('{"data":{"id":"\\u0061\\n\\"\\ud83d\\ude00"}}', 1).ids).toEqual(['a\n"😀']);
  });

  it('as many objects as the limit allows', () => {
    const data = Array.from({ length: 50 }, (_, i) => ({ id: String(i) }));
    expect(readWrite(JSON.stringify({ data }), 50).ids).toHaveLength(50);
  });

  it('nesting of 1,000 levels, the object being the first, alone or in a list', () => {
    const object = `{"id":"a","x":${'['.repeat(999)}${']'.repeat(999)}}`;
    expect(readWrite(`{"data":${object}}`, 1).objects).toBe(object);
    expect(readWrite(`{"data":[${object}]}`, 1).objects).toBe(object);
  });
});

describe('readWrite refuses', () => {
  it.each([
    ['nothing', ''],
    ['white space only', ' \n\t'],
    ['text that is not JSON', 'id=a&n=1'],
    ['JSON that is cut off', '{"data":{"id":"a"'],
    ['more than one value', '{"data":{"id":"a"}}{"data":{"id":"b"}}'],
    ['JSON lines', '{"id":"a"}\n{"id":"b"}'],
    ['a trailing comma', '{"data":[{"id":"a"},]}'],
    ['single quotes', "{'data':{'id':'a'}}"],
    ['NaN', '{"data":{"id":"a","n":NaN}}'],
    ['a number with a leading zero', '{"data":{"id":"a","n":01}}'],
    ['a control character in a string', '{"data":{"id":"a\u0000"}}'],
    ['a byte order mark', '\uFEFF{"data":{"id":"a"}}'],
    ['a list', '[{"id":"a"}]'],
    ['a string', '"data"'],
    ['a number', '12'],
    ['null', 'null'],
    ['true', 'true'],
  ])('%s as a body, and points at the whole of it', (_, text) => {
    const error = refused(text);
    expect(error.issues).toEqual([{ path: '', message: error.message }]);
    expect(error.total).toBe(1);
  });

  it.each([
    ['no member "data"', '{}'],
    ['"data" only further in', '{"body":{"data":{"id":"a"}}}'],
    ['"data" in another case', '{"Data":{"id":"a"}}'],
    ['"data" only in "__proto__"', '{"__proto__":{"data":{"id":"a"}}}'],
    ['"data" that is null', '{"data":null}'],
    ['"data" that is a string', '{"data":"{}"}'],
    ['"data" that is a number', '{"data":1}'],
    ['"data" that is true', '{"data":true}'],
    ['an empty list', '{"data":[]}'],
    ['an empty list with white space', '{"data":[ \n ]}'],
    ['"data" whose last repetition is not one', '{"data":{"id":"a"},"data":3}'],
  ])('%s, and points at /data', (_, text) => {
    expect(paths(text)).toEqual(['/data']);
  });

  it.each([
    ['missing', '{}', 'is missing'],
    ['missing, for all that __proto__ holds', '{"__proto__":{"id":"a"}}', 'is missing'],
    ['missing in this case', '{"ID":"a"}', 'is missing'],
    ['null', '{"id":null}', 'must be a string'],
    ['a number', '{"id":12}', 'must be a string'],
    ['an object', '{"id":{"id":"a"}}', 'must be a string'],
    ['a list', '{"id":["a"]}', 'must be a string'],
    ['a boolean', '{"id":true}', 'must be a string'],
    ['not a string where it stands last', '{"id":"a","id":0}', 'must be a string'],
    ['empty', '{"id":""}', 'must not be empty'],
    ['of 513 characters', `{"id":"${'x'.repeat(513)}"}`, 'at most 512 characters'],
    ['of 513 emoji', `{"id":"${'😀'.repeat(513)}"}`, 'at most 512 characters'],
    ['of 513 characters, the last of which is an emoji', `{"id":"${'é'.repeat(512)}😀"}`, 'at most 512'],
  ])('an id that is %s', (_, object, message) => {
    expect(refused(`{"data":${object}}`).issues).toEqual([
      { path: '/data/id', message: expect.stringContaining(message) },
    ]);
    expect(refused(`{"data":[{"id":"ok"},${object}]}`).issues).toEqual([
      { path: '/data/1/id', message: expect.stringContaining(message) },
    ]);
  });

  it.each(['null', '1', '"a"', 'true', '[]', '[{"id":"a"}]'])('%s as a member of the list', (member) => {
    expect(refused(`{"data":[{"id":"a"},{"id":"b"},${member}]}`).issues).toEqual([
      { path: '/data/2', message: expect.stringContaining('must be an object') },
    ]);
  });

  it.each([
    ['U+0000 in a string', '"\\u0000"', ''],
    ['a lone surrogate', '["\\udc00"]', '/0'],
    ['U+0000 in a member name', '{"a":{"\\u0000":1}}', '/a/\0'],
    ['a number of more than 1,000 digits', '{"a/b":[0,-1.5e1000]}', '/a~1b/1'],
    ['nesting deeper than 1,000', `${'['.repeat(1000)}${']'.repeat(1000)}`, '/0'.repeat(999)],
  ])('%s, and points at the place', (_, value, path) => {
    expect(paths(`{"data":{"id":"a","x":${value}}}`)).toEqual([`/data/x${path}`]);
    expect(paths(`{"data":[{"id":"a"},{"x":${value},"id":"b"}]}`)).toEqual([`/data/1/x${path}`]);
  });

  it.each([
    ['null', ['/schema']],
    ['[]', ['/schema']],
    ['{"a":1}', ['/schema/a']],
    [
      '{"a":{"content_type":"picture"},"b":{"field_limit":0}}',
      ['/schema/a/content_type', '/schema/b/field_limit'],
    ],
  ])('the schema %s that comes along, and points at the place', (schema, expected) => {
    expect(paths(`{"data":{"id":"a"},"schema":${schema}}`)).toEqual(expected);
    expect(paths(`{"schema":${schema},"data":[{"id":7}]}`)).toEqual(['/data/0/id', ...expected]);
  });

  it('what cannot be stored in an id', () => {
    expect(paths('{"data":{"id":"a\\u0000"}}')).toEqual(['/data/id']);
    expect(paths('{"data":[{"id":"\\ud800"}]}')).toEqual(['/data/0/id']);
  });

  it('what cannot be stored in a repeated member, though the last one stays', () => {
    expect(paths('{"data":{"id":"a","x":"\\u0000","x":1}}')).toEqual(['/data/x']);
  });

  it('a body nested a million levels deep, without running out of stack', () => {
    const deep = 1_000_000;
    const text = `{"data":{"id":"a","x":${'['.repeat(deep)}${']'.repeat(deep)}}}`;
    expect(paths(text)).toEqual([`/data/x${'/0'.repeat(999)}`]);
  });

  it('everything that is wrong at once', () => {
    const error = refused('{"data":[{"id":1},{"id":"ok"},5,{"n":1e1000,"s":"\\u0000"}]}');
    expect(error.issues.map(({ path }) => path).sort()).toEqual([
      '/data/0/id',
      '/data/2',
      '/data/3/id',
      '/data/3/n',
      '/data/3/s',
    ]);
    expect(error.total).toBe(5);
    expect(error.message).toContain(error.issues[0]?.path);
    expect(error.message).toContain('(and 4 more)');
  });

  it(`more than ${MAX_ISSUES} mistakes by naming the first ${MAX_ISSUES} and counting all`, () => {
    const bad = (count: number): string => `{"data":[${Array(count).fill('{}').join()}]}`;
    expect(refused(bad(100)).issues).toHaveLength(100);
    expect(refused(bad(100)).total).toBe(100);
    const { issues, total } = refused(bad(257));
    expect(issues.map(({ path }) => path)).toEqual(Array.from({ length: 100 }, (_, i) => `/data/${i}/id`));
    expect(total).toBe(257);
  });

  // Twice as long a body may take twice as long to refuse, not four times: at the body limit that is the
  // difference between a second and a day, during which the process answers nobody.
  it('a body full of mistakes in one pass over its text', { timeout: 1_000 }, () => {
    const numbers = 6_000;
    expect(refused(`{"data":{"id":"a","x":[${Array(numbers).fill('1e1000').join()}]}}`).total).toBe(numbers);
  });

  it('more objects than the limit, with the number of both', () => {
    const data = Array.from({ length: 51 }, (_, i) => ({ id: String(i) }));
    const read = () => readWrite(JSON.stringify({ data }), 50);
    expect(read).toThrow(TooManyObjectsError);
    expect(read).toThrow(/51 objects.* 50/);
  });

  it('too many objects before it looks at each of them', () => {
    expect(() => readWrite('{"data":[1,2,3]}', 2)).toThrow(TooManyObjectsError);
  });
});

describe('isNamespace', () => {
  it.each(['a', 'Z', '0', '_', '-', 'products', 'A-z_09', '__proto__', 'x'.repeat(128)])(
    'takes %s',
    (text) => {
      expect(isNamespace(text)).toBe(true);
    },
  );

  it.each(['', 'x'.repeat(129), 'a b', 'a.b', 'a/b', 'a\n', '\na', 'é', 'ａ', 'a%20', '*', 'a:b', '\0'])(
    'refuses %j',
    (text) => {
      expect(isNamespace(text)).toBe(false);
    },
  );
});
