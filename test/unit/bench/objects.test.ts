import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FIRST_N, idOf, N_STEP, objectBytes, objectText, writeObjectFile } from '../../../bench/objects.ts';

test('objects have the sizes that they are named for, and hold their id and number', () => {
  expect(objectBytes('profile')).toBeGreaterThan(430);
  expect(objectBytes('profile')).toBeLessThan(470);
  expect(objectBytes('document')).toBeGreaterThan(4_750);
  expect(objectBytes('document')).toBeLessThan(5_250);
  for (const kind of ['profile', 'document'] as const)
    expect(JSON.parse(objectText(kind, 7, FIRST_N))).toMatchObject({ id: idOf(7), n: FIRST_N });
});

test('all objects of a kind are ASCII, and of the same length to the last measurement of a long run', () => {
  for (const kind of ['profile', 'document'] as const) {
    const text = objectText(kind, 2 ** 32 - 1, FIRST_N + 1_500 * N_STEP);
    expect(text).toHaveLength(objectBytes(kind));
  }
});

test('different keys have different ids', () => {
  const keys = [...Array(10_000).keys(), 5_000_000, 2 ** 31, 2 ** 32 - 1];
  expect(new Set(keys.map(idOf)).size).toBe(keys.length);
});

test('ids that follow one another lie far apart', () => {
  const ids = Array.from({ length: 16 }, (_, key) => idOf(key).slice(0, 6));
  expect(new Set(ids).size).toBeGreaterThan(8);
});

test('a file has an object on each line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-objects-'));
  try {
    const file = join(folder, 'objects.jsonl');
    const bytes = await writeObjectFile(file, { kind: 'profile', firstKey: 5, firstN: FIRST_N }, 1_234);
    const text = await readFile(file, 'utf8');
    expect(Buffer.byteLength(text)).toBe(bytes);
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(1_234);
    expect(lines.at(-1)).toBe(objectText('profile', 5 + 1_233, FIRST_N + 1_233));
  } finally {
    await rm(folder, { recursive: true });
  }
});
