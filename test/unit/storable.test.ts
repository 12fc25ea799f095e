import { describe, expect, it } from 'vitest';
import {
  digitsWrittenOut,
  findUnstorable,
  Issues,
  MAX_DEPTH,
  MAX_DIGITS,
} from '../../src/domain/storable.ts';
import { rounds } from '../support/rounds.ts';
import { createRandom, SEED } from './random-json.ts';

const NUL = 'string holds U+0000, which Postgres cannot store';
const SURROGATE = 'string holds a lone surrogate, which is not valid Unicode';
const DIGITS = 'number takes more than 1000 digits to write out';
const DEPTH = 'nesting is deeper than 1000 levels';

/** Lists nested `levels` deep. */
const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

/** The paths of what is found; `text` must be valid JSON. */
function issues(text: string, outerLevels = 0): string[] {
  JSON.parse(text);
  const found = new Issues();
  findUnstorable(text, outerLevels, found);
  return found.first.map(({ path, message }) => `${path}: ${message}`);
}

describe('digitsWrittenOut', () => {
  // The second column is what PostgreSQL 18 shows for `'…'::jsonb`, its length without sign and point.
  it.each<[string, number]>([
    ['9007199254740993', 16],
    ['-9007199254740993', 16],
    ['123456789012345678901234567890', 30],
    ['12345678901234567890.12345678901234567890', 40],
    ['0.00000000000000000001', 21],
    ['-0.00000000000000000001', 21],
    ['1.0000000000000000', 17],
    ['0e0', 1],
    ['0e5000', 1],
    ['0.0e9', 1],
    ['0.00e1', 2],
    ['0e-20', 21],
    ['1e0', 1],
    ['1E+5', 6],
    ['1e05', 6],
    ['1e-7', 8],
    ['1e-07', 8],
    ['-1E-7', 8],
    ['0.0012e2', 3],
    ['1.000e2', 4],
    ['12.5e-1', 3],
    ['1.5e-30', 32],
    ['0.001e30', 28],
    ['0.001e1000', 998],
    ['1e400', 401],
    ['-1e400', 401],
    ['1.5e-900', 902],
    ['1e999', 1000],
    ['1e1000', 1001],
    ['1e-999', 1000],
    ['1e-1000', 1001],
    ['1.5e-999', 1001],
    ['0e-5000', 5001],
    ['1e400000', 400_001],
    ['1e-400000', 400_001],
  ])('counts the digits of %s as %d', (number, digits) => {
    expect(digitsWrittenOut(number)).toBe(digits);
  });

  it.each(['0', '-0', '1', '1.0', '-1.5', '123456789012345', '-0.12345678901'])(
    'never counts more than the characters of %s, which is short',
    (number) => {
      expect(digitsWrittenOut(number)).toBeGreaterThanOrEqual(number.replace(/[-.]/g, '').length);
      expect(digitsWrittenOut(number)).toBeLessThanOrEqual(number.length);
    },
  );

  it('counts all digits of a number without exponent, however long', () => {
    for (const length of [15, 16, 17, 999, 1000, 1001, 100_000]) {
      expect(digitsWrittenOut('9'.repeat(length))).toBe(length);
      expect(digitsWrittenOut(`-${'9'.repeat(length)}`)).toBeGreaterThanOrEqual(length);
      expect(digitsWrittenOut(`0.${'9'.repeat(length + 5)}`)).toBe(length + 6);
    }
  });

  it('counts an exponent of any length as too many, also where it overflows a double', () => {
    const huge = '9'.repeat(400);
    for (const number of [`1e${huge}`, `1e-${huge}`, `1.5E+${huge}`, `0.01e${huge}`, `0e-${huge}`]) {
      expect(digitsWrittenOut(number), number).toBeGreaterThan(MAX_DIGITS);
    }
  });

  it(`agrees with numbers that are really written out (TEST_SEED=${SEED})`, () => {
    const random = createRandom(SEED);
    const digits = (length: number): string =>
      Array.from({ length }, () => Math.floor(random() * 3) * 4).join('');
    for (let round = 0; round < rounds(2_000); round += 1) {
      const whole = String(BigInt(digits(1 + Math.floor(random() * 4))));
      const fraction = random() < 0.5 ? '' : `.${digits(1 + Math.floor(random() * 5))}`;
      const exponent = Math.floor(random() * 24) - 12;
      const number = `${random() < 0.5 ? '-' : ''}${whole}${fraction}e${exponent}`;
      const expected = writtenOut(whole, fraction.slice(1), exponent);
      expect(digitsWrittenOut(number), `seed ${SEED}: ${number} is ${expected}`).toBe(
        expected.replace('.', '').length,
      );
    }
  });
});

/** A decimal with its exponent applied: leading zeros go, trailing ones stay. */
function writtenOut(whole: string, fraction: string, exponent: number): string {
  const digits = whole + fraction;
  const scale = fraction.length - exponent;
  if (scale <= 0) return String(BigInt(digits + '0'.repeat(-scale)));
  const padded = digits.padStart(scale + 1, '0');
  return `${BigInt(padded.slice(0, -scale))}.${padded.slice(-scale)}`;
}

describe('findUnstorable', () => {
  it.each([
    '{}',
    '[]',
    '{"id":"a","n":[1,1.0,-0,1e-7,9007199254740993,true,false,null],"s":""}',
    '{"__proto__":{"constructor":1},"":"\\n\\t\\"\\\\\\/"}',
    '{"s":"é漢😀\u2028\ufffe\uffff"}',
  ])('finds nothing in %s', (text) => {
    expect(issues(text)).toEqual([]);
  });

  describe('of strings', () => {
    it('refuses U+0000 wherever it stands in a string', () => {
      expect(issues('{"a":"\\u0000"}')).toEqual([`/a: ${NUL}`]);
      expect(issues('{"a":[0,"x\\u0000y"]}')).toEqual([`/a/1: ${NUL}`]);
      expect(issues('{"a":{"b":"\\\\\\u0000"}}')).toEqual([`/a/b: ${NUL}`]);
    });

    it('lets the text \\u0000 pass, which is an escaped backslash and five characters', () => {
      expect(issues('{"a":"\\\\u0000","\\\\u0000":"\\\\\\\\u0000","b":"\\\\ud800"}')).toEqual([]);
    });

    it('lets other control characters pass', () => {
      expect(issues('{"a":"\\u0001\\u001f\\u007f\\u0080"}')).toEqual([]);
    });

    it.each(['\\ud83d\\ude00', '\\uD83D\\uDE00', '😀', '\\ud800\\udc00', '\\udbff\\udfff'])(
      'lets the surrogate pair %s pass',
      (pair) => {
        expect(issues(`{"a":"${pair}","${pair}":1,"b":"\\u0061"}`)).toEqual([]);
      },
    );

    it.each([
      ['a high one', '\\ud83d'],
      ['a low one', '\\ude00'],
      ['a pair in the wrong order', '\\ude00\\ud83d'],
      ['a high one before another character', '\\ud83dx'],
      ['a high one before a pair', '\\ud83d\\ud83d\\ude00'],
      ['a low one after a pair', '\\ud83d\\ude00\\ude00'],
      ['the first of them', '\\uD800'],
      ['the last of them', '\\uDFFF'],
    ])('refuses a surrogate that stands alone: %s', (_, text) => {
      expect(issues(`{"a":["${text}"]}`)).toEqual([`/a/0: ${SURROGATE}`]);
    });

    it('refuses both also in member names, and names the member', () => {
      expect(issues('{"ok":{"x\\u0000":1}}')).toEqual([`/ok/x\0: ${NUL}`]);
      expect(issues('{"\\ud800":{"b":1}}')).toEqual([`/\ud800: ${SURROGATE}`]);
    });
  });

  describe('of numbers', () => {
    it.each(['', ' ', '\t', '\r\n'])(
      'finds them wherever a number may stand, also behind white space (%j)',
      (space) => {
        for (const number of ['1e5000', '-1E+5000', '1.5e5000', '-0.1e-5000']) {
          const expected = expect.stringContaining('digits');
          const value = `${space}${number}${space}`;
          for (const text of [
            value,
            `[${value}]`,
            `[1,${value},2]`,
            `{"a":${value}}`,
            `{"a":"3e9c","b":${value}}`,
          ])
            expect(issues(text), text).toEqual([expected]);
        }
      },
    );

    it.each(['1e999', '-1e999', '1e-999', '0.001e1000', '0e5000'])(
      'lets %s pass, which takes at most 1,000 digits',
      (number) => {
        expect(issues(`{"a":${number}}`)).toEqual([]);
      },
    );

    it.each(['1e1000', '-1e1000', '1e-1000', '1.5e-999', '1e400000', '0e-5000'])(
      'refuses %s, which takes more',
      (number) => {
        expect(issues(`{"a":[0,{"b":${number}}]}`)).toEqual([`/a/1/b: ${DIGITS}`]);
      },
    );

    it('counts 1,000 digits without the sign and the point', () => {
      expect(issues(`[-${'1'.repeat(1000)}, -1.${'1'.repeat(999)}]`)).toEqual([]);
      expect(issues(`[-${'1'.repeat(1001)}, -1.${'1'.repeat(1000)}]`)).toEqual([
        `/0: ${DIGITS}`,
        `/1: ${DIGITS}`,
      ]);
    });

    it('refuses a zero whose exponent is more than Postgres reads', () => {
      // PostgreSQL 18: `'0e500000000'::jsonb` is 0, `'0e2000000000'::jsonb` "overflows numeric format".
      expect(issues('{"a":0e1000000}')).toEqual([]);
      expect(issues('{"a":0e2000000000}')).toEqual([expect.stringMatching(/^\/a: /)]);
      expect(issues('{"a":-0.0E+99999999999}')).toEqual([expect.stringMatching(/^\/a: /)]);
    });

    it('takes text that looks like a number for text', () => {
      expect(issues('{"a":"1e400000","1e400000":[" -1e9999"]}')).toEqual([]);
    });
  });

  describe('of nesting', () => {
    it(`lets ${MAX_DEPTH} levels pass, the object itself being the first`, () => {
      expect(issues(nested(1000))).toEqual([]);
      expect(issues(`{"a":${nested(999)},"b":${'{"c":'.repeat(999)}1${'}'.repeat(999)}}`)).toEqual([]);
    });

    it('refuses one level more, and names the first that is too deep', () => {
      expect(issues(nested(1001))).toEqual([`${'/0'.repeat(1000)}: ${DEPTH}`]);
      expect(issues(`{"a":${nested(1000)}}`)).toEqual([`/a${'/0'.repeat(999)}: ${DEPTH}`]);
      expect(issues(`${'{"a":'.repeat(1001)}1${'}'.repeat(1001)}`)).toEqual([
        `${'/a'.repeat(1000)}: ${DEPTH}`,
      ]);
    });

    it('does not count the outer levels', () => {
      expect(issues(nested(1001), 1)).toEqual([]);
      expect(issues(nested(1002), 1)).toEqual([`${'/0'.repeat(1001)}: ${DEPTH}`]);
    });

    it('reports a branch once, however much deeper it goes, and each branch', () => {
      expect(issues(nested(50_000))).toHaveLength(1);
      expect(issues(`[${nested(1100)},${nested(999)},${nested(1000)}]`)).toEqual([
        `/0${'/0'.repeat(999)}: ${DEPTH}`,
        `/2${'/0'.repeat(999)}: ${DEPTH}`,
      ]);
      expect(issues(`${'['.repeat(1000)}[],[[]]${']'.repeat(1000)}`)).toHaveLength(2);
    });

    it('counts no brackets that stand in strings', () => {
      expect(issues(`{"a":"${'['.repeat(2000)}","${'{'.repeat(2000)}":1}`)).toEqual([]);
    });
  });

  it('lists everything in the order of the text', () => {
    expect(issues('{"a":1e1000,"b\\u0000":["\\ud800",{"c":-1e1000}],"d":"\\u0000"}')).toEqual([
      `/a: ${DIGITS}`,
      `/b\0: ${NUL}`,
      `/b\0/0: ${SURROGATE}`,
      `/b\0/1/c: ${DIGITS}`,
      `/d: ${NUL}`,
    ]);
  });
});
