/** The pages of the API's document: served from here alone. */
import { expect, onTestFinished } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import { RawClient } from '../support/raw-client.ts';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const test = inletTest({ workers: 0 });

/** What a page or style sheet loads: the addresses in its attributes and `url()`. */
function loadedBy(text: string): string[] {
  return [...text.matchAll(/(?:src|href)="([^"]*)"|url\(["']?([^"')]*)/g)].map(
    ([, attribute, url]) => attribute ?? url ?? '',
  );
}

test.for(['/docs', '/docs/'])('%s leads to the pages, without a key', async (path, { inlet }) => {
  const response = await fetch(inlet.url + path);
  expect(response.status).toBe(200);
  expect(response.url).toBe(`${inlet.url}/docs/`);
  expect(await response.text()).toContain('id="swagger-ui"');
});

test('is found relative to where it is, also behind a proxy that serves it under another path', async ({
  inlet,
}) => {
  const response = await fetch(`${inlet.url}/docs`, { redirect: 'manual' });
  expect(response.status).toBe(308);
  expect(response.headers.get('location')).toBe('docs/');
  await response.arrayBuffer();
});

test('loads what it needs from this server, all of which is there, and may load nothing else', async ({
  inlet,
}) => {
  const page = await fetch(`${inlet.url}/docs/`);
  const loaded = loadedBy(await page.text());
  expect(loaded.length).toBeGreaterThan(4);
  for (const path of [...loaded, './json', './yaml']) {
    expect(path).toMatch(/^\.\//);
    const part = await fetch(new URL(path, `${inlet.url}/docs/`));
    expect(part.status, path).toBe(200);
    expect(part.headers.get('content-security-policy'), path).toBe(POLICY);
    // Also where it isn't looked into: what isn't read holds up the server's end.
    const text = await part.text();
    if (!path.endsWith('.css')) continue;
    for (const url of loadedBy(text)) expect(url).toMatch(/^data:/);
  }
  expect(page.headers.get('content-security-policy')).toBe(POLICY);
});

test('shows the document, with calls that go to the server of the page', async ({ inlet }) => {
  const served = (await (await fetch(`${inlet.url}/openapi.json`)).json()) as object;
  const shown = (await (await fetch(`${inlet.url}/docs/json`)).json()) as object;
  expect(shown).toEqual({ ...served, servers: [expect.objectContaining({ url: '..' })] });
});

test.for(['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui.css'])(
  '%s answers other methods with 405',
  async (path, { inlet }) => {
    const response = await fetch(inlet.url + path, { method: 'POST', body: '{}' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    await response.arrayBuffer();
  },
);

test('answers what is not there with 404', async ({ inlet }) => {
  for (const path of ['/docs/none', '/docs/static/none.js', '/docs/static/..%2f..%2fpackage.json']) {
    const response = await fetch(inlet.url + path);
    expect(response.status, path).toBe(404);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    await response.arrayBuffer();
  }
});

test.for([
  ['/docs/static/../../../../etc/passwd', 403],
  ['/docs/static/%00', 400],
  ['/docs/static/%ff', 400],
  ['/docs/static/nothing', 404],
] as const)('%s is a mistake of the client, with %i', async ([path, status], { inlet }) => {
  // (`fetch` would not send the first as it is.)
  const client = new RawClient(inlet.url);
  onTestFinished(() => client.close());
  const answer = await client.request(`GET ${path}`, { connection: 'close' }).send('\r\n').closed();
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain(`"status":${status}`);
});
