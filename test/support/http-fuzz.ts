/** What is sent to `POST /v1/data/{namespace}` when nothing about it is certain: paths, headers, bodies, and bytes. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';

/** A request as it is put on the wire, by hand, so that nothing corrects it. */
export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

const id = fc.oneof(
  { weight: 20, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }) },
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '',
    '.',
    '..',
    '__proto__',
    'constructor',
    '\u0000',
    '\ud800',
    'x'.repeat(513),
    '😀'.repeat(512),
  ),
);

const number = fc.constantFrom(
  '0',
  '-0',
  '1e5',
  '1e400',
  '1e131071',
  '1e999999999',
  '0.1',
  '9007199254740993',
  '01',
  'NaN',
);

const value: fc.Arbitrary<string> = fc.oneof(
  { weight: 20, arbitrary: fc.jsonValue().map((json) => JSON.stringify(json)) },
  number,
  fc.string({ unit: 'binary', maxLength: 10 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"\\ud800"',
    '"\\u0000"',
    'null',
    '{"a":1,"a":2}',
    '{"":0}',
    '"\u2028"',
    '\u0007',
    "'a'",
    '[,]',
  ),
  fc.integer({ min: 1, max: 1_500 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
);

const object = fc
  .record({
    id: fc.oneof(
      { weight: 20, arbitrary: id.map((text) => JSON.stringify(text)) },
      { weight: 1, arbitrary: value },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
    members: fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 5 }), value), { maxLength: 4 }),
  })
  .map(({ id: idText, members }) => {
    const parts = members.map(([name, text]) => `${JSON.stringify(name)}:${text}`);
    return `{${[...(idText === undefined ? [] : [`"id":${idText}`]), ...parts].join()}}`;
  });

const data = fc.oneof(
  { weight: 4, arbitrary: object },
  { weight: 4, arbitrary: fc.array(object, { maxLength: 6 }).map((objects) => `[${objects.join()}]`) },
  { weight: 1, arbitrary: value },
);

const schema = fc.oneof(
  fc.constantFrom(
    '{"f":{"content_type":"card"}}',
    '{"f":{"content_type":"none"}}',
    '[]',
    '{"__proto__":{}}',
    'null',
  ),
  value,
);

const bodyText = fc.oneof(
  { weight: 8, arbitrary: data.map((text) => `{"data":${text}}`) },
  { weight: 2, arbitrary: fc.tuple(data, schema).map(([text, s]) => `{"schema":${s},"data":${text}}`) },
  { weight: 1, arbitrary: fc.tuple(data, data).map(([a, b]) => `{"data":${a},"x":1,"data":${b}}`) },
  { weight: 1, arbitrary: value },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 50 }) },
);

/** Bytes replaced, removed or put in at some places. */
function mutated(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
  return fc.tuple(bytes, fc.array(change, { maxLength: 3 })).map(([whole, changes]) =>
    changes.reduce((current, { at, remove, insert }) => {
      const place = current.length === 0 ? 0 : at % current.length;
      return Buffer.concat([current.subarray(0, place), insert, current.subarray(place + remove)]);
    }, whole),
  );
}

const COMPRESSED: readonly (readonly [encoding: string, compress: (body: Buffer) => Buffer])[] = [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['GZIP', gzipSync],
  // What it says is not what it is.
  ['zstd', (body) => body],
  ['gzip', (body) => body],
  ['br', gzipSync],
  ['identity', (body) => body],
  ['compress', (body) => body],
  ['gzip, gzip', (body) => gzipSync(gzipSync(body))],
];

interface Encoded {
  readonly body: Buffer;
  readonly encoding: string | undefined;
}

const encoded: fc.Arbitrary<Encoded> = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: bodyText.map((text) => Buffer.from(text)) },
      { weight: 1, arbitrary: mutated(bodyText.map((text) => Buffer.from(text))) },
    ),
    fc.option(fc.constantFrom(...COMPRESSED), { freq: 2, nil: undefined }),
    fc.boolean(),
  )
  .chain(([body, how, alsoMutate]): fc.Arbitrary<Encoded> => {
    if (!how) return fc.constant({ body, encoding: undefined });
    const compressed = fc.constant(how[1](body));
    return (alsoMutate ? mutated(compressed) : compressed).map((bytes) => ({
      body: bytes,
      encoding: how[0],
    }));
  });

/** Without line ends, which would begin another header. */
const headerValue = fc
  .string({ unit: 'binary-ascii', maxLength: 30 })
  .map((text) => text.replace(/[\r\n]/g, ''));

const path = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('fuzz', 'Fuzz-2', '_', 'x'.repeat(128)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'x'.repeat(129),
      '%00',
      '%',
      '%zz',
      'a.b',
      'a%2Fb',
      '',
      '..',
      '%F0%9F',
      'a b'.slice(0, 1),
    ),
  },
  { weight: 1, arbitrary: fc.webPath().map((text) => text.slice(1)) },
);

/** Requests, most of them nearly right. @param key one that is let in */
export function fuzzRequest(key: string): fc.Arbitrary<FuzzRequest> {
  return fc
    .record({
      method: fc.oneof(
        { weight: 20, arbitrary: fc.constant('POST') },
        fc.constantFrom('GET', 'PUT', 'QUERY', 'post'),
      ),
      path,
      query: fc.option(fc.webQueryParameters(), { freq: 6, nil: undefined }),
      type: fc.oneof(
        { weight: 12, arbitrary: fc.constant('application/json') },
        fc.constantFrom(
          'Application/JSON; charset="UTF-8"',
          'text/plain',
          'application/json;charset=utf-16',
          '',
        ),
        headerValue,
      ),
      authorization: fc.oneof(
        { weight: 20, arbitrary: fc.constant(`Bearer ${key}`) },
        fc.constantFrom(undefined, 'Bearer', 'Basic eDp5', `bearer ${key}`, `Bearer ${key}${key}`),
        headerValue,
      ),
      payload: encoded,
      length: fc.oneof(
        { weight: 12, arbitrary: fc.constant('right' as const) },
        fc.constantFrom('chunked' as const, 'missing' as const, 'nonsense' as const, 'both' as const),
      ),
      more: fc.oneof(
        { weight: 8, arbitrary: fc.constant([]) },
        fc.array(
          fc.tuple(
            fc.constantFrom(
              'Accept',
              'Accept-Encoding',
              'X-Request-Id',
              'Expect',
              'Traceparent',
              'X-Forwarded-For',
              'Upgrade',
              'Connection',
              'Range',
            ),
            headerValue,
          ),
          { maxLength: 3 },
        ),
      ),
    })
    .map(({ method, path: last, query, type, authorization, payload, length, more }) => {
      const { body, encoding } = payload;
      const headers: (readonly [string, string])[] = [['Host', 'inlet'], ...more];
      if (type !== '') headers.push(['Content-Type', type]);
      if (authorization !== undefined) headers.push(['Authorization', authorization]);
      if (encoding !== undefined) headers.push(['Content-Encoding', encoding]);
      if (length === 'right' || length === 'both') headers.push(['Content-Length', String(body.length)]);
      if (length === 'nonsense') headers.push(['Content-Length', '-1']);
      if (length === 'chunked' || length === 'both') headers.push(['Transfer-Encoding', 'chunked']);
      const chunked = Buffer.concat([
        ...(body.length > 0
          ? [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]
          : []),
        Buffer.from('0\r\n\r\n'),
      ]);
      return {
        method,
        path: `/v1/data/${last}${query === undefined ? '' : `?${query}`}`,
        headers,
        body: length === 'chunked' ? chunked : body,
      };
    });
}

/** The bytes of a request. */
export function wireBytes({ method, path: target, headers, body }: FuzzRequest): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, text]) => `${name}: ${text}`)];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
}

/** The bytes of a request with some of them changed, wherever they are. */
export function fuzzBytes(key: string): fc.Arbitrary<Buffer> {
  return mutated(fuzzRequest(key).map(wireBytes));
}
