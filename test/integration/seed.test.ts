/** `npm run seed`: what it makes, and what it says where it can't. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runSeed } from '../../scripts/seed/command.ts';
import { failedIndexes, listFailed } from '../support/failed.ts';
import { inletTest } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import type { Ended } from '../support/process.ts';

interface List<Item> {
  readonly data: readonly Item[];
}

const test = inletTest();

async function seed(args: readonly string[], env: Record<string, string>): Promise<Ended> {
  const written = { stdout: '', stderr: '' };
  const screen = (name: keyof typeof written) => ({
    write(text: string): void {
      written[name] += text;
    },
  });
  const code = await runSeed(args, { env, stdout: screen('stdout'), stderr: screen('stderr') });
  return { code, ...written };
}

async function get<T>(inlet: TestInlet, path: string): Promise<T> {
  return (await (await inlet.fetch(path)).json()) as T;
}

async function revisionsOf(inlet: TestInlet, namespace: string, id: string) {
  const path = `/v1/data/${namespace}/objects/${id}/revisions`;
  return (await get<List<{ deleted: boolean; data: Record<string, unknown> | null }>>(inlet, path)).data;
}

test('it makes objects with history, failures and deliveries, also a second time', async ({ inlet }) => {
  for (const run of [1, 2]) {
    const { code, stdout, stderr } = await seed(['--url', inlet.url], { INLET_API_KEY: KEY });
    expect(stderr).toContain('orders: 2,992 lines imported, 8 failed');
    expect(code).toBe(0);
    expect(stdout).toContain(`${inlet.url}/v1/data/products/objects/prod_0001`);
    expect(stdout).not.toContain(KEY);

    const products = await get<List<{ id: string }>>(inlet, '/v1/data/products/objects?limit=500');
    expect(products.data).toHaveLength(195);
    const prices = (await revisionsOf(inlet, 'products', 'prod_0001')).map(({ data }) => data?.['price']);
    expect(prices).toHaveLength(3 * run);
    expect(prices.slice(0, 3)).toEqual(prices.slice(-3));
    expect((await inlet.object('orders', 'order_000001'))?.data['status']).toBe('shipped');
    expect((await inlet.object('orders', 'order_100001'))?.data['status']).toBe('delivered');
    expect(await inlet.object('customers', 'cust_0120')).toBeUndefined();
    expect((await revisionsOf(inlet, 'customers', 'cust_0120'))[0]?.deleted).toBe(true);

    const settings = await get<{ schema: Record<string, unknown> }>(inlet, '/v1/data/products/settings');
    expect(settings.schema['name']).toEqual({ display_hint: { type: 'title', order: 1 } });
    expect(await failedIndexes(inlet, 'orders')).toHaveLength(8 * run);
    const endpoints = await get<List<{ id: string }>>(inlet, '/v1/webhooks/endpoints');
    expect(endpoints.data).toHaveLength(1);
    const pending = await get<List<{ type: string }>>(inlet, '/v1/webhooks/deliveries?status=pending');
    expect(pending.data[0]).toMatchObject({ namespace: 'customers', type: 'workflow.succeeded' });
  }
  const { data: failures } = await listFailed(inlet, 'orders');
  expect(new Set(failures.map(({ message }) => message)).size).toBe(8);
});

test('it says in one line why it can not, and ends with 1, or 2 for wrong usage', async ({ inlet }) => {
  const none = { INLET_DATA_DIR: join(tmpdir(), 'none') };
  expect((await seed(['--help'], none)).stdout).toMatch(/^Usage: npm run seed/);
  expect((await seed(['--bogus'], none)).code).toBe(2);
  for (const [url, key, said] of [
    ['http://127.0.0.1:1', KEY, 'Cannot reach http://127.0.0.1:1: '],
    [inlet.url, 'wrong', 'the server answered 401: '],
    [inlet.url, '', 'INLET_API_KEY is not set, and there is no key in '],
  ] as const) {
    const { code, stdout, stderr } = await seed([], { ...none, INLET_URL: url, INLET_API_KEY: key });
    expect(stderr).toMatch(/^seed: .* Start Inlet with "npm run dev"; .*\n$/);
    expect(stderr).toContain(said);
    expect([code, stdout]).toEqual([1, '']);
  }
});
