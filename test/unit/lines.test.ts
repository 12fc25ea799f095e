import { describe, expect, it } from 'vitest';
import { LineSplitter } from '../../src/domain/lines.ts';

const LIMIT = 100;

/** The lines of a file that comes in pieces of `size` bytes. */
function split(file: string | Buffer, size = 7) {
  const bytes = Buffer.from(file);
  const splitter = new LineSplitter(LIMIT);
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
}

const numbered = (file: string | Buffer, size?: number) =>
  split(file, size).map(({ number, text }) => [number, text]);

describe('LineSplitter', () => {
  it.each([1, 2, 3, 5, 8, 1_000])('cuts at line ends in pieces of %i bytes', (size) => {
    expect(numbered('a\nbé😀\r\n\n \nc', size)).toEqual([
      [1, 'a'],
      [2, 'bé😀'],
      [5, 'c'],
    ]);
  });

  it('finds nothing in nothing', () => {
    expect(split('')).toEqual([]);
    expect(split('\n\r\n \n\t')).toEqual([]);
  });

  it('takes the byte order mark at the beginning away', () => {
    expect(numbered('\uFEFF{}\n{}')).toEqual([
      [1, '{}'],
      [2, '{}'],
    ]);
  });

  it('leaves carriage returns within a line where they are', () => {
    expect(numbered('a\rb\r\n')).toEqual([[1, 'a\rb']]);
  });

  it('reads lines up to the limit, and names those beyond it', () => {
    const [fits, tooLong, next] = split(`${'x'.repeat(LIMIT)}\n${'y'.repeat(LIMIT + 1)}\nz\n`);
    expect(fits).toMatchObject({ number: 1, bytes: LIMIT, mistake: undefined });
    expect(tooLong).toMatchObject({ number: 2, bytes: LIMIT + 1, mistake: 'is longer than 100 bytes' });
    expect(next).toMatchObject({ number: 3, text: 'z', mistake: undefined });
  });

  it('keeps only the beginning of a line without an end', () => {
    const splitter = new LineSplitter(LIMIT);
    const piece = Buffer.alloc(1024 * 1024, 'x');
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 500; i += 1) expect(splitter.push(Buffer.from(piece))).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(300 * 1024 * 1024);
    const [line] = splitter.end();
    expect(line).toMatchObject({ number: 1, bytes: 500 * 1024 * 1024 });
    expect(line?.text).toHaveLength(4_096);
  });

  it('names lines that are not UTF-8, and reads the next', () => {
    const file = Buffer.concat([Buffer.from('é\n'), Buffer.from([0xe9, 0x0a]), Buffer.from('é')]);
    expect(split(file)).toMatchObject([
      { number: 1, text: 'é', mistake: undefined },
      { number: 2, mistake: 'is not valid UTF-8' },
      { number: 3, text: 'é', mistake: undefined },
    ]);
  });
});
