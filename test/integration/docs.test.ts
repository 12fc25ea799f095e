/** The pages of the API's document: served from here alone. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

let inlet: TestInlet;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createTestDatabase();
  drop = database.drop;
  const config = testConfig({ databaseUrl: database.url, redisUrl: inject('redisUrl') ?? undefined });
  inlet = await TestInlet.start(config, { workers: 0 });
});

afterAll(async () => {
  await inlet?.close();
  await drop?.();
});

/** What a page or style sheet loads: the addresses in its attributes and `url()`. */
function loadedBy(text: string): string[] {
  return [...text.matchAll(/(?:src|href)="([^"]*)"|url\(["']?([^"')]*)/g)].map(
    ([, attribute, url]) => attribute ?? url ?? '',
  );
}

it.each(['/docs', '/docs/'])('%s leads to the pages, without a key', async (path) => {
  const response = await fetch(inlet.url + path);
  expect(response.status).toBe(200);
  expect(response.url).toBe(`${inlet.url}/docs/`);
  expect(await response.text()).toContain('id="swagger-ui"');
});

it('is found relative to where it is, also behind a proxy that serves it under another path', async () => {
  const response = await fetch(`${inlet.url}/docs`, { redirect: 'manual' });
  expect(response.status).toBe(308);
  expect(response.headers.get('location')).toBe('docs/');
});

it('loads what it needs from this server, all of which is there, and may load nothing else', async () => {
  const page = await fetch(`${inlet.url}/docs/`);
  const loaded = loadedBy(await page.text());
  expect(loaded.length).toBeGreaterThan(4);
  for (const path of [...loaded, './json', './yaml']) {
    expect(path).toMatch(/^\.\//);
    const part = await fetch(new URL(path, `${inlet.url}/docs/`));
    expect(part.status, path).toBe(200);
    expect(part.headers.get('content-security-policy'), path).toBe(POLICY);
    if (!path.endsWith('.css')) continue;
    for (const url of loadedBy(await part.text())) expect(url).toMatch(/^data:/);
  }
  expect(page.headers.get('content-security-policy')).toBe(POLICY);
});

it('shows the document, with calls that go to the server of the page', async () => {
  const served = (await (await fetch(`${inlet.url}/openapi.json`)).json()) as object;
  const shown = (await (await fetch(`${inlet.url}/docs/json`)).json()) as object;
  expect(shown).toEqual({ ...served, servers: [expect.objectContaining({ url: '..' })] });
});

it.each(['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui.css'])(
  '%s answers other methods with 405',
  async (path) => {
    const response = await fetch(inlet.url + path, { method: 'POST', body: '{}' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  },
);

it('answers what is not there with 404', async () => {
  for (const path of ['/docs/none', '/docs/static/none.js', '/docs/static/..%2f..%2fpackage.json']) {
    const response = await fetch(inlet.url + path);
    expect(response.status, path).toBe(404);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  }
});
