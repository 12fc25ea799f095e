/** What comes around a body: namespaces, query parameters, types, and the bytes of a request's head. */
import { many } from './cases.ts';

/** Paths of a namespace that is none, as they stand in the URL: 400. */
export const BAD_NAMESPACES: readonly (readonly [why: string, inPath: string])[] = [
  ['a dot', 'a.b'],
  ['a colon', 'a:b'],
  ['an at sign', 'a@b'],
  ['a plus', 'a+b'],
  ['a tilde', 'a~b'],
  ['an asterisk', 'a*b'],
  ['a dollar', '$a'],
  ['a comma', 'a,b'],
  ['a semicolon', 'a;b'],
  ['an encoded slash', 'a%2Fb'],
  ['an encoded backslash', 'a%5Cb'],
  ['an encoded line end', 'a%0Ab'],
  ['an encoded U+0000', 'a%00'],
  ['an encoded percent', '%2525'],
  ['encoded dots', '%2E%2Ea'],
  ['a blank', 'a%20b'],
  ['a blank alone', '%20'],
  ['a percent sign before letters', '%zz'],
  ['a blank at the end', 'a%20'],
  ['a zero-width blank', 'a%E2%80%8B'],
  ['an accent', 'caf%C3%A9'],
  ['a letter of another script', '%D0%B0'],
  ['a full-width letter', '%EF%BD%81'],
  ['an emoji', '%F0%9F%98%80'],
  ['129 characters', many('a', 129)],
  ['no UTF-8', '%FF'],
  ['UTF-8 that is cut', '%E2%82'],
  ['U+0000 in two bytes', '%C0%80'],
  ['a percent sign alone', 'a%'],
  ['a percent sign before no digits', '%g0'],
];

/** Namespaces that there may be, though they look odd. */
export const GOOD_NAMESPACES: readonly (readonly [why: string, namespace: string])[] = [
  ['one character', 'a'],
  ['a dash', '-'],
  ['an underscore', '_'],
  ['digits', '0'],
  ['128 characters', many('Z', 128)],
  ['a name of JavaScript’s', '__proto__'],
  ['another one', 'constructor'],
  ['what looks like null', 'null'],
  ['what looks like an option', '--help'],
];

/** Query parameters that are refused with 400, and the one that is named. */
export const BAD_QUERIES: readonly (readonly [list: string, query: string, name: string])[] = [
  ['objects', 'limit=', 'limit'],
  ['objects', 'limit=0', 'limit'],
  ['objects', 'limit=-1', 'limit'],
  ['objects', 'limit=501', 'limit'],
  ['objects', 'limit=1.5', 'limit'],
  ['objects', 'limit=1e1', 'limit'],
  ['objects', 'limit=0x10', 'limit'],
  ['objects', 'limit=0b1', 'limit'],
  ['objects', 'limit=%205', 'limit'],
  ['objects', 'limit=+5', 'limit'],
  ['objects', 'limit=5%20', 'limit'],
  ['objects', 'limit=05', 'limit'],
  ['objects', 'limit=1_0', 'limit'],
  ['objects', 'limit=ten', 'limit'],
  ['objects', 'limit=true', 'limit'],
  ['objects', 'limit=null', 'limit'],
  ['objects', 'limit=NaN', 'limit'],
  ['objects', 'limit=Infinity', 'limit'],
  ['objects', 'limit=99999999999999999999', 'limit'],
  ['objects', 'limit=%D9%A5', 'limit'],
  ['objects', 'limit=5&limit=5', 'limit'],
  ['objects', 'cursor=', 'cursor'],
  ['objects', 'cursor=!', 'cursor'],
  ['objects', 'cursor=YQ%3D%3D', 'cursor'],
  ['objects', 'cursor=YR', 'cursor'],
  ['objects', 'cursor=AA', 'cursor'],
  ['objects', 'cursor=_w', 'cursor'],
  ['objects', 'cursor=YQ&cursor=YQ', 'cursor'],
  ['objects', `cursor=${many('YWFh', 2_049)}`, 'cursor'],
  ['objects', many('id=a&', 101), 'id'],
  ['requests', 'status=', 'status'],
  ['requests', 'status=done', 'status'],
  ['requests', 'status=FAILED', 'status'],
  ['requests', 'status=failed,queued', 'status'],
  ['requests', 'status=failed&status=queued', 'status'],
  ['requests', 'cursor=YQ', 'cursor'],
  ['requests', 'limit=0', 'limit'],
  ['failed', 'request=', 'request'],
  ['failed', 'request=req_1', 'request'],
  ['failed', 'replayable=1', 'replayable'],
  ['failed', 'failed_since=2026-01-01', 'failed_since'],
  ['failed', 'failed_since=1', 'failed_since'],
  ['failed', 'failed_before=2026-13-01T00:00:00Z', 'failed_before'],
  ['failed', 'failed_before=2026-01-01T00:00:00', 'failed_before'],
  ['failed', 'cursor=YQ', 'cursor'],
  ['objects/known/revisions', 'cursor=YQ', 'cursor'],
  ['objects/known/revisions', 'limit=0', 'limit'],
];

/** Query parameters that are taken. */
export const GOOD_QUERIES: readonly (readonly [list: string, query: string])[] = [
  ['objects', ''],
  ['objects', 'limit=1'],
  ['objects', 'limit=500'],
  ['objects', 'cursor=YQ'],
  ['objects', 'unknown=1&limit=5'],
  ['objects', 'LIMIT=0'],
  ['objects', 'id='],
  ['objects', 'id=%00'],
  ['objects', 'id=%FF'],
  ['objects', `id=${many('x', 1_000)}`],
  ['objects', many('id=a&', 100)],
  ['requests', 'status=queued&limit=500'],
  ['failed', 'failed_since=2026-01-01T00:00:00.123456%2B02:00'],
  ['failed', 'failed_before=9999-12-31T23:59:59Z'],
];

/** Content types that are refused with 415. */
export const TYPES_NOT_SERVED: readonly string[] = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/jsonx',
  'x',
  'text/json',
  'application/ld+json',
  'application/x-json',
  'application/x-ndjson',
  'application/jsonlines',
  'application/octet-stream',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-16',
  'application/json; charset=iso-8859-1',
  'application/json; charset=',
  'application/json, text/plain',
  'application/json application/json',
  'json',
  '*/*',
];

/** Content types that are served. */
export const TYPES_SERVED: readonly string[] = [
  'application/json',
  'APPLICATION/JSON',
  'application/json;charset=UTF-8',
  'application/json; charset="utf-8"',
  'application/json;charset=utf8',
];

const WRITE = '{"data":{"id":"raw"}}';
const HEAD = ['Host: inlet', 'Authorization: Bearer KEY', 'Content-Type: application/json'];

/** Requests as they go over the wire, with `KEY` for the key; and the status that the answer has. */
export const RAW_REQUESTS: readonly (readonly [why: string, bytes: string, status: number])[] = [
  ['as it should be', post([`Content-Length: ${WRITE.length}`], WRITE), 202],
  [
    'in one chunk',
    post(['Transfer-Encoding: chunked'], `${WRITE.length.toString(16)}\r\n${WRITE}\r\n0\r\n\r\n`),
    202,
  ],
  [
    'in chunks of a byte',
    post(['Transfer-Encoding: chunked'], `${[...WRITE].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`),
    202,
  ],
  [
    'in a chunk with an extension',
    post(['Transfer-Encoding: chunked'], `${WRITE.length.toString(16)};a=b\r\n${WRITE}\r\n0\r\n\r\n`),
    202,
  ],
  [
    'with a trailer',
    post(['Transfer-Encoding: chunked'], `${WRITE.length.toString(16)}\r\n${WRITE}\r\n0\r\nX-A: b\r\n\r\n`),
    202,
  ],
  ['names of headers in capitals', post([`CONTENT-LENGTH: ${WRITE.length}`], WRITE), 202],
  ['blanks around a value', post([`Content-Length:   ${WRITE.length}  `], WRITE), 202],
  ['no body at all', post([], ''), 400],
  ['an empty body', post(['Content-Length: 0'], ''), 400],
  ['a chunk whose size is none', post(['Transfer-Encoding: chunked'], `x\r\n${WRITE}\r\n0\r\n\r\n`), 400],
  [
    'a chunk whose size is below zero',
    post(['Transfer-Encoding: chunked'], `-1\r\n${WRITE}\r\n0\r\n\r\n`),
    400,
  ],
  [
    'a chunk that is longer than its size',
    post(['Transfer-Encoding: chunked'], `5\r\n${WRITE}\r\n0\r\n\r\n`),
    400,
  ],
  [
    'a chunk whose size is beyond 64 bits',
    post(['Transfer-Encoding: chunked'], `fffffffffffffffff\r\n${WRITE}`),
    400,
  ],
  ['a length that is no number', post(['Content-Length: x'], WRITE), 400],
  ['a length below zero', post(['Content-Length: -1'], WRITE), 400],
  ['a length with a plus', post([`Content-Length: +${WRITE.length}`], WRITE), 400],
  ['a hexadecimal length', post(['Content-Length: 0x15'], WRITE), 400],
  ['two lengths', post([`Content-Length: ${WRITE.length}`, 'Content-Length: 0'], WRITE), 400],
  [
    'the same length twice',
    post([`Content-Length: ${WRITE.length}`, `Content-Length: ${WRITE.length}`], WRITE),
    400,
  ],
  [
    'a length and chunks',
    post([`Content-Length: ${WRITE.length}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${WRITE}`),
    400,
  ],
  ['a transfer encoding that is not served', post(['Transfer-Encoding: gzip'], WRITE), 400],
  ['chunked, and something behind it', post(['Transfer-Encoding: chunked, gzip'], WRITE), 400],
  ['a header without a colon', post(['Nonsense', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['a header without a name', post([': x', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['a blank before the colon', post(['X-A : b', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['a header folded into two lines', post(['X-A: b', ' c', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['U+0000 in a value', post(['X-A: \0', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['U+0000 in a name', post(['X-\0: a', `Content-Length: ${WRITE.length}`], WRITE), 400],
  ['headers of 20 KB', post([`X-A: ${many('x', 20_000)}`, `Content-Length: ${WRITE.length}`], WRITE), 431],
  ['a path of 20 KB', `GET /${many('x', 20_000)} HTTP/1.1\r\n${HEAD.join('\r\n')}\r\n\r\n`, 431],
  ['no host', `GET /healthz HTTP/1.1\r\n\r\n`, 400],
  ['a method in small letters', line('get /healthz HTTP/1.1'), 400],
  ['a method that there is not', line('FETCH /healthz HTTP/1.1'), 400],
  ['a version that there is not', line('GET /healthz HTTP/3.7'), 400],
  ['no version: HTTP/0.9, which had no headers', line('GET /healthz'), 200],
  ['two blanks, which a server may put up with', line('GET  /healthz HTTP/1.1'), 200],
  ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['the beginning of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['a path without a slash', line('GET healthz HTTP/1.1'), 400],
  ['a whole URL, which a server has to take', line('GET http://inlet/healthz HTTP/1.1'), 200],
  ['a slash too many', line('GET //v1/data/a/objects HTTP/1.1'), 404],
  ['a slash in the middle too many', line('GET /v1//data/a/objects HTTP/1.1'), 404],
  ['a slash at the end', line('GET /v1/data/a/objects/a/revisions/ HTTP/1.1'), 404],
  ['another case', line('GET /V1/data/a/objects HTTP/1.1'), 404],
  ['dots that lead out', line('GET /v1/data/../../etc/passwd HTTP/1.1'), 404],
  ['encoded dots that lead out', line('GET /v1/data/%2e%2e/%2e%2e/etc/passwd HTTP/1.1'), 404],
  ['a namespace of two dots', line('GET /v1/data/../objects HTTP/1.1'), 400],
  ['no namespace', line('GET /v1/data//objects HTTP/1.1'), 400],
  [
    'a body to who wants none',
    `GET /v1/data/a/objects HTTP/1.1\r\n${HEAD.join('\r\n')}\r\nContent-Length: 3\r\n\r\nxyz`,
    200,
  ],
  [
    'an expectation that is served',
    post(['Expect: 100-continue', `Content-Length: ${WRITE.length}`], WRITE),
    202,
  ],
  [
    'an expectation that is not known',
    post(['Expect: wonders', `Content-Length: ${WRITE.length}`], WRITE),
    202,
  ],
];

function post(headers: readonly string[], body: string): string {
  return `POST /v1/data/raw HTTP/1.1\r\n${[...HEAD, ...headers].join('\r\n')}\r\n\r\n${body}`;
}

function line(first: string): string {
  return `${first}\r\n${HEAD.join('\r\n')}\r\n\r\n`;
}
