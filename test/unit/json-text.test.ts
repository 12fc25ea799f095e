import { describe, expect, it } from 'vitest';
import { memberSpan, splitList, walk, walkPaths } from '../../src/domain/json-text.ts';
import { atOnce } from '../../src/domain/slices.ts';
import { rounds } from '../support/rounds.ts';
import type { Place } from './random-json.ts';
import { createRandom, randomDocument, SEED } from './random-json.ts';

/** The pointer of what begins at `offset`, as the walk tells it. */
function pointerAt(text: string, offset: number): string {
  let found: string | undefined;
  const work = walkPaths(text, ({ start, pointer }) => {
    if (start === offset) found = pointer();
  });
  atOnce(work);
  return found ?? 'nothing begins there';
}

/** The text of a member's value. */
function member(text: string, name = 'data'): string | undefined {
  const span = memberSpan(text, name);
  return span && text.slice(span.start, span.end);
}

/** The pointer of the place marked with `@`, which is taken out of the text. */
function pointerOfMark(marked: string): string {
  const offset = marked.indexOf('@');
  const text = marked.replace('@', '');
  JSON.parse(text);
  return pointerAt(text, offset);
}

function toPointer(path: readonly string[]): string {
  return path.map((step) => `/${step.replace(/~/g, '~0').replace(/\//g, '~1')}`).join('');
}

describe('memberSpan', () => {
  it.each([
    ['an object', '{"data":{"id":"a"}}', '{"id":"a"}'],
    ['a list', '{"data":[{"id":"a"},{"id":"b"}]}', '[{"id":"a"},{"id":"b"}]'],
    ['a string', '{"data":"x"}', '"x"'],
    ['a number, to the digit', '{"data":1.0e2}', '1.0e2'],
    ['a literal', '{"data":null}', 'null'],
    ['an empty object', '{"data":{}}', '{}'],
    ['the first of several members', '{"data":1,"b":2,"c":3}', '1'],
    ['one in the middle', '{"a":1,"data":2,"c":3}', '2'],
    ['the last of several members', '{"a":[1],"b":{"c":2},"data":3}', '3'],
  ])('finds %s', (_, text, expected) => {
    expect(member(text)).toBe(expected);
  });

  it('leaves out white space around the value and keeps the white space within', () => {
    expect(member(' \t\r\n{ "a" : 1 ,\n"data"\r\n:\t { "id" : "a" } \n} ')).toBe('{ "id" : "a" }');
    expect(member('{"data" : [ 1 , 2 ]\n, "b" : 2}')).toBe('[ 1 , 2 ]');
  });

  it.each(['{"d\\u0061ta":1}', '{"\\u0064\\u0061\\u0074\\u0061":1}', '{"dat\\u0061" :1}'])(
    'finds the member in %s, whose name is escaped',
    (text) => {
      expect(member(text)).toBe('1');
    },
  );

  it('tells names apart that only look alike', () => {
    const text = '{"\\\\u0064ata":1,"data\\u0000":2,"Data":3," data":4,"data\\"":5,"dat":6,"dataa":7}';
    expect(member(text)).toBeUndefined();
  });

  it('finds names that hold quotes and backslashes', () => {
    expect(member('{"\\"":1,"\\\\":2}', '"')).toBe('1');
    expect(member('{"\\"":1,"\\\\":2}', '\\')).toBe('2');
    expect(member('{"a":1,"":2}', '')).toBe('2');
    expect(member('{"__proto__":3}', '__proto__')).toBe('3');
  });

  it('takes the last of repeated members, however each is written', () => {
    expect(member('{"data":1,"data":2}')).toBe('2');
    expect(member('{"data":{"a":1},"d\\u0061ta":[2]}')).toBe('[2]');
    expect(member('{"d\\u0061ta":[1],"x":0,"data":null,"y":0}')).toBe('null');
  });

  it('passes over members of the same name further in', () => {
    expect(member('{"a":{"data":1},"b":[{"data":2}]}')).toBeUndefined();
    expect(member('{"data":{"data":1}}')).toBe('{"data":1}');
    expect(member('{"data":1,"a":{"data":2},"b":[[{"data":3}]]}')).toBe('1');
  });

  it('is not misled by strings that look like structure', () => {
    expect(member('{"a":"\\"data\\":1}","data":2}')).toBe('2');
    expect(member('{"a":"}{][,:","data":"}]\\\\"}')).toBe('"}]\\\\"');
    expect(member('{"a":"\\\\","data":"\\\\\\"","b":"\\\\\\\\"}')).toBe('"\\\\\\""');
    expect(member('{"a":"data"}')).toBeUndefined();
    expect(member('{"a":["data",":",1]}')).toBeUndefined();
  });

  it.each(['{}', '{"a":1}', '[]', '[{"data":1}]', '["data",1]', '"data"', 'null', '12'])(
    'finds nothing in %s',
    (text) => {
      expect(member(text)).toBeUndefined();
    },
  );

  it('goes any depth without running out of stack', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    expect(member(`{"a":${deep},"data":1}`)).toBe('1');
  });
});

describe('splitList', () => {
  it.each<[string, string, string[]]>([
    ['nothing', '', []],
    ['only white space', ' \n\t ', []],
    ['one value', '{"id":"a"}', ['{"id":"a"}']],
    ['several values', '1,"b",null', ['1', '"b"', 'null']],
    ['values with white space around them', ' {"id": "a"} ,\n[1, 2]\t', ['{"id": "a"}', '[1, 2]']],
    [
      'values that hold commas',
      '[1,2],{"a":1,"b":[3,{"c":4,"d":5}]},6',
      ['[1,2]', '{"a":1,"b":[3,{"c":4,"d":5}]}', '6'],
    ],
    ['strings with commas', '"a,b",","', ['"a,b"', '","']],
    ['strings with escaped quotes', '"\\",\\"",1', ['"\\",\\""', '1']],
    ['strings that end in backslashes', '"\\\\","\\\\\\\\",2', ['"\\\\"', '"\\\\\\\\"', '2']],
    ['strings with brackets', '"[{","}]",{"]":"["}', ['"[{"', '"}]"', '{"]":"["}']],
    ['empty strings, lists and objects', '"",[],{}', ['""', '[]', '{}']],
    ['numbers, to the digit', '1.0,-0,1e-7,9007199254740993', ['1.0', '-0', '1e-7', '9007199254740993']],
  ])('cuts %s', (_, text, expected) => {
    expect(splitList(text)).toEqual(expected);
  });
});

describe('walkPaths', () => {
  it.each([
    ['@{"a":1}', ''],
    ['@"a"', ''],
    ['{"a":@1}', '/a'],
    ['{"a":@"x"}', '/a'],
    ['{"a":@{"b":1}}', '/a'],
    ['{"a":@[1]}', '/a'],
    ['[@1,2]', '/0'],
    ['[1,@2]', '/1'],
    ['[[1,2],[3,@4]]', '/1/1'],
    ['[[1,2],{"a":[]},@"x"]', '/2'],
    ['[{"a":1,"b":2},{"a":1,"b":@2}]', '/1/b'],
    ['{"a":{"b":[1,{"c":2}],"d":0},"e":{"f":[0,0,@"x"]}}', '/e/f/2'],
    ['{"a":[[],[],{}],"b":@1}', '/b'],
    ['{"a":"}],","b":@1}', '/b'],
    ['[true,false,null,@1]', '/3'],
    ['[-1.5e3,-2,@-3]', '/2'],
  ])('names the value marked in %s', (marked, pointer) => {
    expect(pointerOfMark(marked)).toBe(pointer);
  });

  it('names a member name by the path of its value', () => {
    expect(pointerOfMark('{@"a":1}')).toBe('/a');
    expect(pointerOfMark('{"a":1,@"b":[1]}')).toBe('/b');
    expect(pointerOfMark('[0,{"a":{"x":1,@"b" : 1}}]')).toBe('/1/a/b');
  });

  it('escapes ~ and / in names as RFC 6901 says', () => {
    expect(pointerOfMark('{"a/b":{"m~n":{"~1":@1}}}')).toBe('/a~1b/m~0n/~01');
    expect(pointerOfMark('{"\\/":@1}')).toBe('/~1');
  });

  it('keeps empty names, and names that need escapes in JSON', () => {
    expect(pointerOfMark('{"":@1}')).toBe('/');
    expect(pointerOfMark('{"":{"":@1}}')).toBe('//');
    expect(pointerOfMark('{"d\\u0061ta":{"\\"":@1}}')).toBe('/data/"');
    expect(pointerOfMark('{" ":{"%41":{"é😀":@1}}}')).toBe('/ /%41/é😀');
  });

  it('names a repeated member where it stands', () => {
    expect(pointerOfMark('{"a":[1],"a":[2,@3]}')).toBe('/a/1');
  });

  it('goes any depth, and names the first 2,500 characters of the way', () => {
    const depth = 50_000;
    const text = `${'[{"a":'.repeat(depth)}7${'}]'.repeat(depth)}`;
    expect(pointerAt(text, text.indexOf('7'))).toBe(`${'/0/a'.repeat(625)}/0`);
  });
});

describe('walk', () => {
  it('tells of every token once, with its place and depth', () => {
    const text = ' {"a" : [1, -2.5E+3, "x"], "b": {} , "c":null}';
    const seen: string[] = [];
    walk(text, {
      open: (offset, depth) => seen.push(`${text[offset]}${depth}`),
      string: (start, end) => seen.push(text.slice(start, end)),
      number: (start, end) => seen.push(text.slice(start, end)),
      mark: (offset, code, depth) => {
        expect(text.charCodeAt(offset)).toBe(code);
        seen.push(`${text[offset]}${depth}`);
      },
    });
    expect(seen.join(' ')).toBe('{1 "a" :1 [2 1 ,2 -2.5E+3 ,2 "x" ]2 ,1 "b" :1 {2 }2 ,1 "c" :1 }1');
  });
});

describe(`with random documents (TEST_SEED=${SEED})`, () => {
  const ROUNDS = rounds(600);

  it('memberSpan finds what JSON.parse finds, as the text that was written', () => {
    const random = createRandom(SEED);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { text, places } = randomDocument(random, 'object');
      const parsed = JSON.parse(text) as Record<string, unknown>;
      const lastOf = new Map<string, Place>(
        places
          .filter(({ kind, path }) => kind !== 'name' && path.length === 1)
          .map((place) => [place.path[0] ?? '', place]),
      );
      const seen = `seed ${SEED}, round ${round}: ${text}`;
      expect([...lastOf.keys()].sort(), seen).toEqual(Object.keys(parsed).sort());
      for (const [name, place] of lastOf) {
        const found = member(text, name);
        expect(found, seen).toBe(text.slice(place.start, place.end));
        expect(JSON.parse(found ?? ''), seen).toEqual(Object.getOwnPropertyDescriptor(parsed, name)?.value);
      }
      expect(memberSpan(text, 'no such name'), seen).toBeUndefined();
    }
  });

  it('splitList cuts a list into what JSON.parse finds in it, as the text that was written', () => {
    const random = createRandom(SEED + 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const { text, places } = randomDocument(random, 'array');
      const parts = splitList(text.trim().slice(1, -1));
      const seen = `seed ${SEED}, round ${round}: ${text}`;
      const written = places
        .filter(({ path }) => path.length === 1)
        .map(({ start, end }) => text.slice(start, end));
      expect(parts, seen).toEqual(written);
      expect(
        parts.map((part) => JSON.parse(part) as unknown),
        seen,
      ).toEqual(JSON.parse(text));
    }
  });

  it('walkPaths names every string, number, list, object and member name by the way to it', () => {
    const random = createRandom(SEED + 2);
    for (let round = 0; round < ROUNDS / 2; round += 1) {
      const { text, places } = randomDocument(random, round % 2 === 0 ? 'object' : 'array');
      for (const { kind, start, path } of places) {
        if (kind === 'literal') continue;
        expect(pointerAt(text, start), `seed ${SEED}, round ${round}, offset ${start}: ${text}`).toBe(
          toPointer(path),
        );
      }
    }
  });
});
