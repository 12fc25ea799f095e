import { expect, it } from 'vitest';
import { memoryLoad } from '../../src/queue/redis-memory.ts';

const MB = 1024 * 1024;

function info(used: number, max: number): string {
  return `# Memory\r\nused_memory:${used}\r\nused_memory_human:x\r\nmaxmemory:${max}\r\nmaxmemory_human:x\r\n`;
}

it('a Redis without a limit always has room', () => {
  expect(memoryLoad(info(900 * MB, 0))).toBeUndefined();
});

it.each([
  ['nine tenths of a large one', 1000 * MB, 900 * MB],
  ['all but 16 MiB of a smaller one', 100 * MB, 84 * MB],
  ['half of a very small one', 24 * MB, 12 * MB],
])('%s is the mark', (_what, max, mark) => {
  expect(memoryLoad(info(5 * MB, max))).toEqual({ usedBytes: 5 * MB, limitBytes: mark });
});
