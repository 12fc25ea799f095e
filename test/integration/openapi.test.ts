/** The API's document: that it has all routes and no others, and how it is served. */
import type { RouteOptions } from 'fastify';
import { describe, expect } from 'vitest';
import { OPERATIONS } from '../../src/http/openapi/document.ts';
import type { Operation } from '../../src/http/openapi/operation.ts';
import { isScope } from '../../src/http/openapi/operation.ts';
import { runCommand } from '../support/command.ts';
import { inletTest } from '../support/fixtures.ts';
import { TestInlet } from '../support/inlet.ts';
import { routesMadeBy } from '../support/routes.ts';

const test = inletTest({ workers: 0 }).extend(
  'served',
  { scope: 'file' },
  async ({ config }, { onCleanup }) => {
    const { result, routes } = await routesMadeBy(() => TestInlet.start(config, { workers: 0 }));
    onCleanup(() => result.close());
    return served(routes);
  },
);

/** Every route but those that refuse methods, that Fastify adds (HEAD), and that the pages of the document consist of. */
function served(routes: readonly RouteOptions[]): Map<string, RouteOptions> {
  const found = new Map<string, RouteOptions>();
  for (const route of routes) {
    const methods = [route.method].flat();
    if (route.config?.refusesMethods || /^\/docs(?:\/|$)/.test(route.url)) continue;
    const path = route.url.replace(/:(\w+)/g, '{$1}');
    for (const method of methods) if (method !== 'HEAD') found.set(`${method} ${path}`, route);
  }
  return found;
}

describe('the document', () => {
  test('has an operation for every route, and a route for every operation', ({ served }) => {
    expect([...served.keys()].sort()).toEqual(Object.keys(OPERATIONS).sort());
  });

  test('says who may call each of them', ({ served }) => {
    const asked = [...served].map(([key, { config }]) => [key, config?.access?.scope ?? 'nothing']);
    const said = Object.entries<Operation>(OPERATIONS).map(([key, { access }]) => [
      key,
      isScope(access) ? access : 'nothing',
    ]);
    expect(Object.fromEntries(asked)).toEqual(Object.fromEntries(said));
  });

  test('has a 404 where a key is told of no namespace that it may not see', ({ served }) => {
    for (const [key, { config }] of served) {
      const { problems } = OPERATIONS[key as keyof typeof OPERATIONS] as Operation;
      if (config?.access?.unseen) expect(problems, key).toHaveProperty('not_found');
    }
  });

  test('calls no two operations the same', () => {
    const ids = Object.values<Operation>(OPERATIONS).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('GET /openapi.json', () => {
  test('needs no key, and names this server', async ({ inlet }) => {
    const response = await fetch(`${inlet.url}/openapi.json`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toMatchObject({
      openapi: '3.1.1',
      servers: [{ url: inlet.url }],
      paths: { '/v1/data/{namespace}': { post: { operationId: 'writeData' } } },
    });
  });

  test('answers 304 to who has it already', async ({ inlet }) => {
    const url = `${inlet.url}/openapi.json`;
    const etag = (await fetch(url)).headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const response = await fetch(url, { headers: { 'if-none-match': known } });
      expect(response.status, known).toBe(304);
      expect(await response.text()).toBe('');
      expect(response.headers.get('etag')).toBe(etag);
    }
    expect((await fetch(url, { headers: { 'if-none-match': '"x"' } })).status).toBe(200);
  });
});

describe('inlet openapi', () => {
  test('prints the same without a database', async ({ inlet }) => {
    const served = (await (await fetch(`${inlet.url}/openapi.json`)).json()) as unknown;
    const { code, stdout, stderr } = await runCommand(['openapi'], { INLET_PUBLIC_URL: inlet.url });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(served);
  });

  test('names the server that the settings tell of', async () => {
    const { stdout } = await runCommand(['openapi'], { HOST: '0.0.0.0', PORT: '9000' });
    expect(JSON.parse(stdout)).toMatchObject({ servers: [{ url: 'http://localhost:9000' }] });
  });
});
