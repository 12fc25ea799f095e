/** Requests full of what must not get out of Inlet, be it into its log or elsewhere. */
import { expect } from 'vitest';
import { KEY } from './inlet.ts';
import { query } from './postgres.ts';
import { waitFor } from './wait-for.ts';

/** Stands in whatever must not get out. */
export const MARKER = 'xyzzy';

/** Makes the database refuse objects, with errors that quote them. */
async function refuseAndQuote(databaseUrl: string): Promise<void> {
  await query(
    databaseUrl,
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'refused %', new.data::text USING ERRCODE = new.data ->> 'refuse', DETAIL = new.data::text; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON inlet.objects FOR EACH ROW
       WHEN (new.data ? 'refuse') EXECUTE FUNCTION refuse();
     ALTER TABLE inlet.objects ADD CONSTRAINT no_secrets
       CHECK (NOT data ? 'secret' OR (data ->> 'secret')::int > 0)`,
  );
}

/** Asks for a URL for an import into `files`. */
export async function newUploadUrl(url: string): Promise<string> {
  const headers = { authorization: `Bearer ${KEY}` };
  const made = await fetch(`${url}/v1/data/files/import`, { method: 'POST', headers });
  return ((await made.json()) as { upload_url: string }).upload_url;
}

/** What of a signed URL is secret. */
export function signatureOf(signedUrl: string): string[] {
  return new URL(signedUrl).search.split(/[=&?]/).filter((part) => part.length > 16);
}

/**
 * Sends requests with {@link MARKER} wherever a client can put something. A worker has to run.
 * @returns what must be found nowhere, and nothing of it is empty
 */
export async function sendSecrets(url: string, databaseUrl: string): Promise<string[]> {
  await refuseAndQuote(databaseUrl);
  const key = { authorization: `Bearer ${KEY}` };
  const status = async (path: string, init: RequestInit = {}): Promise<number> =>
    (await fetch(path.startsWith('http') ? path : url + path, init)).status;
  const post = (namespace: string, body: string, headers: Record<string, string> = {}): Promise<number> =>
    status(`/v1/data/${namespace}`, {
      method: 'POST',
      headers: { ...key, 'content-type': 'application/json', ...headers },
      body,
    });

  expect(await post('ok', `{"data": {"id": "${MARKER}-1", "${MARKER}": "${MARKER}"}}`)).toBe(202);
  expect(await post('ok', `{"data": {"id": "2", "refuse": "P0001", "x": "${MARKER}"}}`)).toBe(202);
  expect(await post('ok', `{"data": {"id": "3", "secret": "${MARKER}"}}`)).toBe(202);
  // What is neither the data's fault nor that of the infrastructure is logged as an error, and tried again.
  expect(await post('ok', `{"data": {"id": "4", "refuse": "ZZ001", "x": "${MARKER}"}}`)).toBe(202);
  expect(await post('ok', `{"data": {"id": "5"}} ${MARKER}`)).toBe(400);
  expect(await post('ok', `{"${MARKER}": 1}`)).toBe(400);
  expect(await post(`${MARKER}!`, '{"data": {"id": "6"}}')).toBe(400);
  expect(await post('ok', '{}', { authorization: `Bearer ${MARKER}` })).toBe(401);
  expect(await post('ok', '{}', { authorization: `Basic ${MARKER}` })).toBe(401);
  expect(await post('ok', MARKER, { 'content-type': `text/${MARKER}` })).toBe(415);
  expect(await post('ok', MARKER, { 'content-encoding': MARKER })).toBe(415);
  const found = `/v1/data/ok/objects/${MARKER}-1?${MARKER}=${MARKER}`;
  await waitFor('the object to be stored', async () => (await status(found, { headers: key })) === 200);
  expect(await status(found, { headers: key, method: 'DELETE' })).toBe(202);
  expect(await status(`/${MARKER}?${MARKER}`)).toBe(404);
  expect(await status(`/v1/data/ok/objects/%${MARKER}`, { headers: key })).toBe(400);
  const upload = { method: 'PUT', headers: { 'content-type': 'application/x-ndjson' } };
  const file = `{"id": "${MARKER}-7", "refuse": "22000"}\n${MARKER}\n{"id": "8"}\n`;
  const uploadUrl = await newUploadUrl(url);
  expect(await status(uploadUrl, { ...upload, body: file })).toBe(200);
  expect(await status(`${uploadUrl}${MARKER}`, { ...upload, body: file })).toBe(403);
  const { password } = new URL(databaseUrl);
  return [MARKER, KEY, ...signatureOf(uploadUrl), ...(password === '' ? [] : [password])];
}

/** Whether a worker's log tells of all that has become of what {@link sendSecrets} has sent. */
export function tellsOfSecrets(lines: readonly Readonly<Record<string, unknown>>[]): boolean {
  const says = (part: string): boolean => lines.some(({ msg }) => String(msg).includes(part));
  return (
    says('Postgres refused objects of a batch') &&
    lines.some(({ lane, failed }) => lane === 'imports' && failed === 2)
  );
}
