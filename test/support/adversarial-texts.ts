/** Bodies that ask for much work: each kind of what JSON is made of, as often as a body of some size has room for. */

/** A body by what is special about it. */
export type Bodies = Readonly<Record<string, () => string>>;

/** @param size of each body, in bytes, of which there are a few less */
export function adversarialBodies(size: number): Bodies {
  const fill = (unit: string, share = 1): string =>
    unit.repeat(Math.floor(((size - 200) * share) / unit.length));
  const nested = (open: string, close: string, inside = '1'): string => {
    const depth = Math.floor((size - 200 - inside.length) / (open.length + close.length));
    return open.repeat(depth) + inside + close.repeat(depth);
  };
  const object = (members: string): string => `{"data":{"id":"x",${members}}}`;
  const list = (items: string): string => `{"data":[${items}]}`;
  const values = (unit: string): string => object(`"a":[${fill(`${unit},`)}0]`);
  const bad = Array(100).fill('"\\u0000"').join();
  const runs = [9, 99, 250, 499, 500, 999].map((length): [string, () => string] => [
    `runs of ${length} digits`,
    () => values('1'.repeat(length)),
  ]);
  const longNames = Math.floor(size / 500) - 10;
  return {
    ...Object.fromEntries(runs),
    'a long name above many mistakes': () => object(`"${fill('~')}":[${bad}]`),
    'a long name of escapes above many mistakes': () => object(`"${fill('\\u007e')}":[${bad}]`),
    'long names at 500 levels': () =>
      object(`${`"${'~'.repeat(longNames)}":{`.repeat(500)}"a":[${bad}]${'}'.repeat(500)}`),
    'a long name beside as many mistakes': () => object(`"${fill('~', 0.5)}":[${fill('"\\u0000",', 0.5)}0]`),
    'a long name in a schema': () => `{"data":{"id":"x"},"schema":{"a":{"${fill('/')}":${bad.slice(0, 8)}}}}`,
    'unknown members of a schema': () =>
      `{"data":{"id":"x"},"schema":{"a":{${Array.from({ length: size / 12 }, (_, i) => `"${i}":0`).join()}}}}`,
    'lists in lists': () => object(`"a":${nested('[', ']')}`),
    'objects in objects': () => object(`"a":${nested('{"a":', '}')}`),
    'lists too deep': () => object(`"a":[${fill(`${'['.repeat(1_100)}${']'.repeat(1_100)},`)}0]`),
    'lists that never close': () => list(fill('[')),
    'empty objects': () => list(`${fill('{},')}{}`),
    'empty lists': () => values('[]'),
    'objects without ids': () =>
      list(`${`{"id":1,"a":"${'a'.repeat(Math.max(1, size / 10_000 - 30))}"},`.repeat(9_999)}{}`),
    'the same id again and again': () => `{"data":{${fill('"\\u0069d":"x",')}"id":"y"}}`,
    'long ids': () =>
      list(`${`{"id":"${'\\u0061'.repeat(Math.max(1, size / 60_000 - 5))}"},`.repeat(9_999)}{}`),
    'members of the body': () => `{"data":{"id":"x"},${fill('"a":1,')}"b":1}`,
    'data again and again': () => `{${fill('"data":1,')}"data":{"id":"x"}}`,
    digits: () => values('1'),
    exponents: () => values('1e1'),
    'a number of a million digits': () => object(`"a":${fill('1')}`),
    'a zero with a million decimals': () => object(`"a":0.${fill('0')}`),
    'an exponent of a million digits': () => object(`"a":1e${fill('0')}1`),
    'digits in a string': () => object(`"a":"${fill(`${'1'.repeat(499)},`)}"`),
    'empty strings': () => values('""'),
    'one string': () => object(`"a":"${fill('a')}"`),
    'one string of many bytes': () => object(`"a":"${fill('\u{1f600}', 0.5)}"`),
    backslashes: () => object(`"a":"${fill('\\\\')}"`),
    'escaped quotes': () => object(`"a":"${fill('\\"')}"`),
    'backslashes before quotes': () => object(`"a":"${fill(`${'\\\\'.repeat(1_000)}\\"`)}"`),
    'escaped characters': () => values('"\\u0041"'),
    surrogates: () => object(`"a":"${fill('\\ud83d\\ude00')}"`),
    'lone surrogates': () => values('"\\ud800"'),
    'one string of lone surrogates': () => object(`"a":"${fill('\\ude00')}"`),
    'white space between names and colons': () => object(`${fill(`"a"${' '.repeat(1_000)}:0,`)}"b":0`),
    'white space': () => `{"data":{"id":"x"}${fill(' ')}}`,
    'white space at the end': () => `{"data":{"id":"x"}}${fill(' ')}`,
    'white space and then no JSON': () => `${fill(' ')}x`,
    'a mistake at the end': () => list(`${fill('{"id":"x"},')}x`),
    'no JSON': () => fill('a'),
    'line ends': () => fill('\n'),
  };
}

/** Files of lines that are all kept as failed: too many to send 10 MB of them. @param size as above */
export function adversarialLines(size: number): Bodies {
  const fill = (unit: string): string => unit.repeat(size / unit.length);
  return {
    'short lines': () => fill('{}\n'),
    'lines that are no JSON': () => fill('no JSON, nor anything like it\n'),
  };
}
