/** An API that is to stop says so first, and takes requests until load balancers have noticed. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';

let databaseUrl: string;
let drop: () => Promise<void>;

beforeAll(async () => {
  ({ url: databaseUrl, drop } = await createTestDatabase());
});

afterAll(async () => {
  await drop?.();
});

async function readiness(inlet: TestInlet): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(`${inlet.url}/readyz`);
  return { code: response.status, body: (await response.json()) as Record<string, unknown> };
}

it('takes writes for INLET_DRAIN_TIME though it is not ready any more, and closes connections', async () => {
  const inlet = await TestInlet.start(testConfig({ databaseUrl }, { drainTime: 3_000 }));
  expect((await readiness(inlet)).code).toBe(200);
  expect((await inlet.post('drain', '{"data":{"id":"a"}}')).headers.get('connection')).toBe('keep-alive');
  const begun = performance.now();
  const closed = inlet.close();
  const told = await eventually(async () => {
    const found = await readiness(inlet);
    return found.code === 503 ? found : undefined;
  });
  expect(told.body).toMatchObject({ status: 'not_ready', queue: 'up', store: 'up' });
  expect(told.body['warnings']).toContain('the process is about to stop');
  for (const id of ['b', 'c']) {
    const response = await inlet.post('drain', `{"data":{"id":"${id}"}}`);
    expect(response.status).toBe(202);
    expect(response.headers.get('connection')).toBe('close');
  }
  await closed;
  expect(performance.now() - begun).toBeGreaterThan(3_000);
  await expect(readiness(inlet)).rejects.toThrow();
});

it('stops at once where no time is set', async () => {
  const inlet = await TestInlet.start(testConfig({ databaseUrl }), { workers: 0 });
  const begun = performance.now();
  await inlet.close();
  expect(performance.now() - begun).toBeLessThan(2_000);
});
