/** Bodies that go wrong below JSON: bytes that are no UTF-8, and compression that is not as it says. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

/** The bytes stand where `*` is in a write. */
function around(...bytes: readonly number[]): Uint8Array<ArrayBuffer> {
  const [before = '', after = ''] = '{"data":[{"id":"a"},{"id":"b","v":"*"}]}'.split('*');
  return new Uint8Array(Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]));
}

export const NO_UTF8: readonly (readonly [why: string, body: Uint8Array<ArrayBuffer>])[] = [
  ['a byte that never is', around(0xff)],
  ['another one', around(0xfe)],
  ['é in Latin-1', around(0xe9)],
  ['a euro sign in Windows-1252', around(0x80)],
  ['a byte that only goes on', around(0xbf)],
  ['two bytes of which the second is missing', around(0xc3)],
  ['three bytes of which the third is missing', around(0xe2, 0x82)],
  ['four bytes of which the fourth is missing', around(0xf0, 0x9f, 0x98)],
  ['one byte in two', around(0xc0, 0xaf)],
  ['U+0000 in two bytes, as Java writes it', around(0xc0, 0x80)],
  ['a quote in two bytes', around(0xc0, 0xa2)],
  ['one byte in three', around(0xe0, 0x80, 0xaf)],
  ['one byte in four', around(0xf0, 0x80, 0x80, 0xaf)],
  ['a surrogate', around(0xed, 0xa0, 0x80)],
  ['a pair of surrogates, as CESU-8 has it', around(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80)],
  ['beyond the last character', around(0xf4, 0x90, 0x80, 0x80)],
  ['five bytes', around(0xf8, 0x88, 0x80, 0x80, 0x80)],
  ['six bytes', around(0xfc, 0x84, 0x80, 0x80, 0x80, 0x80)],
  ['UTF-16, little end first', new Uint8Array(Buffer.from('\ufeff{"data":{"id":"a"}}', 'utf16le'))],
  ['UTF-16, big end first', new Uint8Array(Buffer.from('\ufeff{"data":{"id":"a"}}', 'utf16le').swap16())],
  ['a body in Latin-1', new Uint8Array(Buffer.from('{"data":{"id":"é"}}', 'latin1'))],
];

const WRITE = '{"data":{"id":"zipped"}}';
const bytes = (buffer: Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(buffer);

function altered(buffer: Buffer, at: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(buffer);
  const place = (at + copy.length) % copy.length;
  copy[place] = (copy[place] ?? 0) ^ 0xff;
  return copy;
}

type Encoded = readonly [why: string, encoding: string, body: string | Uint8Array<ArrayBuffer>];

/** Refused with 400. */
export const BADLY_COMPRESSED: readonly Encoded[] = [
  ['nothing', 'gzip', ''],
  ['plain text', 'gzip', WRITE],
  ['plain text', 'br', WRITE],
  ['plain text', 'deflate', WRITE],
  ['another encoding than it says', 'gzip', bytes(deflateSync(WRITE))],
  ['another encoding than it says', 'br', bytes(gzipSync(WRITE))],
  ['another encoding than it says', 'deflate', bytes(brotliCompressSync(WRITE))],
  ['compressed twice', 'gzip', bytes(gzipSync(gzipSync(WRITE)))],
  ['cut off in its head', 'gzip', bytes(gzipSync(WRITE).subarray(0, 8))],
  ['cut off in the middle', 'gzip', bytes(gzipSync(WRITE).subarray(0, 20))],
  ['cut off before its check sum', 'gzip', bytes(gzipSync(WRITE).subarray(0, -8))],
  ['cut off by a byte', 'gzip', bytes(gzipSync(WRITE).subarray(0, -1))],
  ['cut off by a byte', 'deflate', bytes(deflateSync(WRITE).subarray(0, -1))],
  ['cut off by a byte', 'br', bytes(brotliCompressSync(WRITE).subarray(0, -1))],
  ['a wrong magic number', 'gzip', altered(gzipSync(WRITE), 0)],
  ['an unknown method', 'gzip', altered(gzipSync(WRITE), 2)],
  ['a wrong check sum', 'gzip', altered(gzipSync(WRITE), -6)],
  ['a wrong length', 'gzip', altered(gzipSync(WRITE), -2)],
  ['a wrong check sum', 'deflate', altered(deflateSync(WRITE), -1)],
  ['nothing, compressed', 'gzip', bytes(gzipSync(''))],
  ['no JSON, compressed', 'gzip', bytes(gzipSync('{"data":'))],
  ['no UTF-8, compressed', 'gzip', bytes(gzipSync(around(0xff)))],
  ['a write that breaks a rule, compressed', 'br', bytes(brotliCompressSync('{"data":{"id":""}}'))],
];

/** Refused with 415: encodings that are not served, however they are written. */
export const ENCODINGS_NOT_SERVED: readonly string[] = [
  'compress',
  'gzip, br',
  'lzma',
  'snappy',
  'aws-chunked',
  'utf-8',
  'gzip;q=1',
  'gzip,gzip',
  'identity, gzip',
  'x-deflate',
  '*',
  'none',
];

/** Taken. */
export const WELL_COMPRESSED: readonly Encoded[] = [
  ['identity says that it is not', 'identity', WRITE],
  ['in capitals', 'IDENTITY', WRITE],
  ['as usual', 'gzip', bytes(gzipSync(WRITE))],
  ['in capitals', 'GZIP', bytes(gzipSync(WRITE))],
  ['with its head', 'deflate', bytes(deflateSync(WRITE))],
  ['without its head', 'deflate', bytes(deflateRawSync(WRITE))],
  ['as usual', 'br', bytes(brotliCompressSync(WRITE))],
  ['an old name', 'x-gzip', bytes(gzipSync(WRITE))],
  ['hardly compressed', 'gzip', bytes(gzipSync(WRITE, { level: 0 }))],
  ['a byte order mark within', 'gzip', bytes(gzipSync(`\ufeff${WRITE}`))],
];
