import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../src/domain/chunks.ts';
import { ChunkBuilder, readLine } from '../../src/domain/chunks.ts';
import type { Line } from '../../src/domain/lines.ts';

function line(number: number, text: string, mistake?: string): Line {
  return { number, text, bytes: Buffer.byteLength(text), mistake };
}

async function chunksOf(lines: readonly Line[]): Promise<Chunk[]> {
  const builder = new ChunkBuilder();
  const chunks: (Chunk | undefined)[] = [];
  for (const one of lines) chunks.push(builder.add(one, await readLine(one)));
  return [...chunks, builder.take()].filter((chunk) => chunk !== undefined);
}

describe('ChunkBuilder', () => {
  it('gathers objects with their ids, line numbers and text', async () => {
    expect(await chunksOf([line(2, '{"id":"a", "n":1.0}'), line(5, '{"id":"b"}')])).toEqual([
      { ids: ['a', 'b'], lines: [2, 5], objects: '{"id":"a", "n":1.0},{"id":"b"}', rejected: [] },
    ]);
    expect(await chunksOf([])).toEqual([]);
  });

  it('ends a chunk after 1,000 lines, good and bad together', async () => {
    const lines = Array.from({ length: 2_500 }, (_, i) => line(i + 1, i % 2 ? 'bad' : `{"id":"${i}"}`));
    const chunks = await chunksOf(lines);
    expect(chunks.map(({ ids, rejected }) => ids.length + rejected.length)).toEqual([1_000, 1_000, 500]);
    expect(chunks.flatMap(({ lines: numbers }) => numbers)).toEqual(
      lines.filter((_, i) => i % 2 === 0).map(({ number }) => number),
    );
  });

  it('ends a chunk before it gets larger than 1 MiB, and leaves a larger line alone', async () => {
    const text = (id: string, bytes: number) => `{"id":"${id}","v":"${'x'.repeat(bytes)}"}`;
    const sizes = [600_000, 400_000, 100_000, 3_000_000, 10];
    const chunks = await chunksOf(sizes.map((bytes, i) => line(i + 1, text(String(i), bytes))));
    expect(chunks.map(({ lines }) => lines)).toEqual([[1, 2], [3], [4], [5]]);
  });

  it('rejects what is no object that can be stored, with the beginning of its text', async () => {
    const long = `{"id":"x","v":"\\u0000${'y'.repeat(10_000)}"}`;
    const [chunk] = await chunksOf([
      line(1, 'nul \0'),
      line(2, long),
      line(3, 'cut', 'is longer than 9 bytes'),
    ]);
    expect(chunk?.rejected).toEqual([
      { line: 1, id: '', text: 'nul \uFFFD', message: expect.stringMatching(/^is not valid JSON/) },
      { line: 2, id: 'x', text: long.slice(0, 4_096), message: expect.stringMatching(/^\/v: .*U\+0000/) },
      { line: 3, id: '', text: 'cut', message: 'is longer than 9 bytes' },
    ]);
    expect(chunk?.rejected[0]?.message).not.toContain('\0');
  });
});
