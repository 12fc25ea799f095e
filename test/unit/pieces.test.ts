import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Pieces } from '../../src/domain/pieces.ts';

/** Bytes of the heap that are in use, without garbage. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

/** Bytes in pieces of so many each, of which no two neighbours are alike. */
function piecesOf(total: number, size: number): Buffer[] {
  const all = Buffer.from(Uint8Array.from({ length: total }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => all.subarray(i * size, (i + 1) * size));
}

describe('Pieces', () => {
  it.each([
    [0, 1],
    [1, 1],
    [5_000, 1],
    [5_000, 1_000],
    [100_000, 1_023],
    [100_000, 1_024],
    [262_143, 65_536],
    [262_144, 65_536],
    [262_144, 262_144],
    [262_145, 1],
    [1_000_000, 1_000_000],
    [1_000_000, 777],
  ])('gives back %i bytes that came %i at a time', (total, size) => {
    const pieces = new Pieces(total);
    const sent = piecesOf(total, size);
    for (const piece of sent) pieces.push(piece);
    expect(pieces.length).toBe(total);
    expect(pieces.join().equals(Buffer.concat(sent))).toBe(true);
  });

  it('can be used again when it was cleared', () => {
    const pieces = new Pieces(1_000_000);
    for (const total of [10, 500_000, 20, 1_000_000]) {
      pieces.clear();
      expect(pieces.join()).toHaveLength(0);
      for (const piece of piecesOf(total, 300)) pieces.push(piece);
      expect(pieces.join().equals(Buffer.concat(piecesOf(total, 300)))).toBe(true);
    }
  });

  it('takes no more memory for many small pieces than for few large ones', () => {
    const pieces = new Pieces(250_000);
    const before = heapUsed();
    for (let i = 0; i < 250_000; i += 1) pieces.push(Buffer.from(new Uint8Array([i & 0xff])));
    // One piece for each byte would take 50 MB and more.
    expect(heapUsed() - before).toBeLessThan(5_000_000);
    expect(pieces.join()).toHaveLength(250_000);
  });

  it('gives the memory of what is large back at once', () => {
    const pieces = new Pieces(50_000_000);
    const piece = Buffer.alloc(1_000_000, 'x');
    for (let i = 0; i < 50; i += 1) pieces.push(piece);
    // What the process holds is measured where a server has a process for itself; here others share it.
    const memory = pieces.join().buffer;
    expect(memory.byteLength).toBe(50_000_000);
    pieces.clear();
    expect(memory.byteLength).toBe(0);
  });
});
