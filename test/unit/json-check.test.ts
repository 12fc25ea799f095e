import { describe, expect, it } from 'vitest';
import { findJsonMistake as findSliced } from '../../src/domain/json-check.ts';
import { atOnce } from '../../src/domain/slices.ts';
import { rounds } from '../support/rounds.ts';
import type { Random } from './random-json.ts';
import { createRandom, randomDocument, SEED } from './random-json.ts';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function findJsonMistake(text: string): number | undefined {
  return atOnce(findSliced(text));
}

describe('findJsonMistake', () => {
  it.each([
    ...[
      '{}',
      '[]',
      ' [ ] ',
      '{"a":1}',
      '[1,2]',
      '[[],{},[{}]]',
      '{"a":{"b":[]},"c":null}',
      '"',
      '""',
      '"\\"',
    ],
    ...[
      '0',
      '-0',
      '00',
      '01',
      '-',
      '-1',
      '1.',
      '.1',
      '1.5',
      '1e',
      '1e5',
      '1E+5',
      '1e-',
      '1e-05',
      '+1',
      '1e5.5',
    ],
    ...['0x1', '1_0', 'NaN', 'Infinity', '-Infinity', '1 2', '1,', ',1', '12a', '1-2', '0e0', '0.0e00'],
    ...['true', 'false', 'null', 'tru', 'truex', 'True', 'nul', 'undefined', 'true false'],
    ...[
      '"\\n"',
      '"\\u00e9"',
      '"\\u00E9"',
      '"\\u00g9"',
      '"\\u12"',
      '"\\x41"',
      '"\\"',
      '"\\\\"',
      '"\\/"',
      '"\\\'',
    ],
    ...['"\t"', '"\n"', '"\u0000"', '"\u001f"', '"\u007f"', '"\u2028"', '"\ud800"', '"é漢😀"', "'a'", 'a'],
    ...[
      '{',
      '}',
      '[',
      ']',
      '[1',
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
      '[1,]',
      '[,1]',
      '[,]',
      '{,}',
    ],
    ...[
      '{a:1}',
      '{"a" 1}',
      '{"a":}',
      '{"a":1 "b":2}',
      '{1:2}',
      '[1:2]',
      '["a":1]',
      '{"a"}',
      '{"a",1}',
      '{:1}',
    ],
    ...[
      '[}',
      '{]',
      '[1}',
      '{"a":1]',
      '[[]',
      '[]]',
      '{}}',
      '[] []',
      '{}{}',
      '[1 2]',
      '[{"a":1},]',
      '{"a":[1,{}]}',
    ],
    ...[
      '',
      ' ',
      '\n',
      '\u00a01',
      '\ufeff1',
      '\v1',
      '\f1',
      '1\u2028',
      '/**/1',
      '[1//]',
      '[1]\0',
      '\r\n\t 1 \t',
    ],
  ])('says of %j what JSON.parse says', (text) => {
    expect(findJsonMistake(text) === undefined).toBe(parses(text));
  });

  it.each([
    ['[1,2', 4],
    ['{"a":tru}', 5],
    ['["a\nb"]', 3],
    ['["\\u00g0"]', 6],
    ['{"a":1,}', 7],
    ['[1]x', 3],
    ['', 0],
  ])('tells where the mistake in %j is', (text, offset) => {
    expect(findJsonMistake(text)).toBe(offset);
  });

  it(`agrees with JSON.parse on random documents, whole and damaged (seed ${SEED})`, () => {
    const random = createRandom(SEED);
    const documents = rounds(1_000);
    let invalid = 0;
    for (let i = 0; i < documents; i += 1) {
      const { text } = randomDocument(random, random() < 0.5 ? 'object' : 'array');
      expect(findJsonMistake(text), text).toBeUndefined();
      for (let j = 0; j < 5; j += 1) {
        const other = damaged(text, random);
        expect(findJsonMistake(other) === undefined, other).toBe(parses(other));
        if (!parses(other)) invalid += 1;
      }
    }
    expect(invalid).toBeGreaterThan(documents);
  });

  it('takes any depth', () => {
    const deep = 1_000_000;
    expect(findJsonMistake('['.repeat(deep) + ']'.repeat(deep))).toBeUndefined();
    expect(findJsonMistake(`${'{"a":['.repeat(deep)}${']}'.repeat(deep)}`)).toBeUndefined();
    expect(findJsonMistake('['.repeat(deep) + ']'.repeat(deep - 1))).toBe(2 * deep - 1);
  });
});

/** What may be put in anywhere. */
const SPLINTERS = [...'{}[]:,"\\ \n\t0123456789.-+eEuntf/', '\u0000', 'null', '""', '\\u', '1e', '漢'];

/** The text with a character taken out, put in, or put in another one's place. */
function damaged(text: string, random: Random): string {
  const at = Math.floor(random() * (text.length + 1));
  const splinter = SPLINTERS[Math.floor(random() * SPLINTERS.length)] ?? '';
  const kind = random();
  if (kind < 0.3) return text.slice(0, at) + text.slice(at + 1);
  return text.slice(0, at) + splinter + text.slice(kind < 0.6 ? at : at + 1);
}
