/** Objects of one id, many objects, and ids that differ in little. What values and ids come back exactly is in the corpus. */
import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';

const test = inletTest();

async function refused(inlet: TestInlet, body: string, status: number): Promise<ProblemAnswer> {
  const response = await inlet.post('fidelity', body);
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  return (await response.json()) as ProblemAnswer;
}

describe('lists', () => {
  test('of one id twice in a list the last wins', async ({ inlet }) => {
    const id = randomUUID();
    const requestId = await inlet.write(
      'fidelity',
      JSON.stringify({ data: [{ id, n: 1 }, { id: `${id}-other` }, { id, n: 2 }] }),
    );
    const answer = await inlet.done('fidelity', requestId);
    expect(answer.counts).toEqual({ objects: 3, stored: 3, failed: 0 });
    expect(answer.data.map((entry) => entry.id)).toEqual([id, `${id}-other`]);
    const stored = await inlet.object('fidelity', id);
    expect(stored?.data['n']).toBe(2);
    expect(stored?.revision).toBe(1);
  });

  test('10,000 objects are taken, and 10,001 are refused as a whole', async ({ inlet }) => {
    const namespace = `many-${randomUUID()}`;
    const objects = Array.from({ length: 10_001 }, (_, i) => ({ id: `o${i}` }));
    expect((await refused(inlet, JSON.stringify({ data: objects }), 413)).detail).toContain('10000');
    const requestId = await inlet.write(namespace, JSON.stringify({ data: objects.slice(0, 10_000) }));
    const answer = await inlet.done(namespace, requestId);
    expect(answer.counts).toEqual({ objects: 10_000, stored: 10_000, failed: 0 });
    expect(answer.data).toHaveLength(10_000);
    expect(await inlet.objectText(namespace, 'o9999')).toBeDefined();
  });
});

describe('ids', () => {
  test('differ where their case differs', async ({ inlet }) => {
    await inlet.done('ids', await inlet.write('ids', '{"data":[{"id":"Case","n":1},{"id":"case","n":2}]}'));
    expect((await inlet.object('ids', 'Case'))?.data['n']).toBe(1);
    expect((await inlet.object('ids', 'case'))?.data['n']).toBe(2);
  });
});
