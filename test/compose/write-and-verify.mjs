// Writes through a running Inlet while somebody else kills parts of it, and checks afterwards that whatever
// was acknowledged is there.
//
//   node write-and-verify.mjs write LEDGER    writes until SIGTERM, then notes in the file LEDGER what was acknowledged
//   node write-and-verify.mjs verify LEDGER   waits until all of it is stored; exits with 1 where it isn't
//
// INLET_URL and INLET_API_KEY tell where. Plain fetch, so that it shares no code with what it tests.
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const WRITERS = 24;
/** Each writer has ids of its own and writes one version after the other. */
const IDS_PER_WRITER = 10;
/** Now and then a writer sends all its ids in one request. */
const ALL_IDS_EVERY = 10;
/** Between two writes of a writer, so that reading everything back doesn't take for ever. */
const PAUSE_MS = 20;
const RETRY_MS = 200;
const REQUEST_TIMEOUT_MS = 15_000;

const READERS = 32;
/** The batches of a killed worker are taken over after 30 s; this is for slow machines. */
const VERIFY_TIMEOUT_MS = 120_000;

const { INLET_URL, INLET_API_KEY } = process.env;
const [mode, path] = process.argv.slice(2);
if (!INLET_URL || !INLET_API_KEY || !path || !['write', 'verify'].includes(mode)) {
  process.stderr.write('usage: INLET_URL=… INLET_API_KEY=… node write-and-verify.mjs write|verify LEDGER\n');
  process.exit(2);
}
await (mode === 'write' ? write() : verify());

async function write() {
  const namespace = `kills-${randomUUID()}`;
  const ledger = { namespace, objects: {}, requests: [], tries: {} };
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  const writers = Array.from({ length: WRITERS }, (_, writer) => runWriter(writer, ledger, stop.signal));
  await Promise.all(writers);
  await writeFile(path, JSON.stringify(ledger));
  say(`${ledger.requests.length} writes acknowledged; tries by outcome: ${JSON.stringify(ledger.tries)}`);
}

/** Sends a write until it is acknowledged, then the next one; the same version again where the outcome is unknown. */
async function runWriter(writer, { namespace, objects, requests, tries }, stop) {
  const ids = Array.from({ length: IDS_PER_WRITER }, (_, n) => `writer ${writer}/object ${n}`);
  for (const id of ids) objects[id] = { acknowledged: 0, attempted: 0 };
  for (let round = 0; !stop.aborted; round += 1) {
    const written = round % ALL_IDS_EVERY === 0 ? ids : [ids[round % ids.length]];
    for (const id of written) objects[id].attempted += 1;
    const data = written.map((id) => ({
      id,
      version: objects[id].attempted,
      text: 'x'.repeat(round % 2_000),
    }));
    const request = await send(namespace, data, tries, stop);
    if (!request) return;
    requests.push({ id: request, objects: written.length });
    for (const id of written) objects[id].acknowledged = objects[id].attempted;
    await delay(PAUSE_MS);
  }
}

/** Resolves to the request id; to undefined where the time is up before the write is acknowledged. */
async function send(namespace, data, tries, stop) {
  for (;;) {
    const answer = await call(`/v1/data/${namespace}`, JSON.stringify({ data }));
    const outcome = answer.status ?? 'no answer';
    tries[outcome] = (tries[outcome] ?? 0) + 1;
    if (answer.status === 202) return answer.body.requestId;
    if (answer.status !== undefined && answer.status !== 503) fail('a write was answered with', answer);
    if (stop.aborted) return undefined;
    await delay(RETRY_MS);
  }
}

async function verify() {
  const { namespace, objects, requests } = JSON.parse(await readFile(path, 'utf8'));
  const deadline = performance.now() + VERIFY_TIMEOUT_MS;
  const started = performance.now();
  const problems = [];

  await forEach(requests, async ({ id, objects: count }) => {
    for (;;) {
      const answer = await call(`/v1/data/${namespace}/requests/${id}`);
      if (answer.status === 200 && answer.body.status === 'succeeded') {
        if (answer.body.counts.stored !== count) problems.push(['stored in part', id, answer.body.counts]);
        return;
      }
      // An acknowledged request is known from then on, wherever it is.
      const isUnknown = answer.status === 404;
      if (isUnknown || answer.body?.status === 'failed' || performance.now() > deadline) {
        problems.push([isUnknown ? 'unknown request' : 'not succeeded', id, answer]);
        return;
      }
      await delay(RETRY_MS);
    }
  });

  // Now nothing is on its way any more. What was tried last but not acknowledged may have been stored or not.
  await forEach(Object.entries(objects), async ([id, { acknowledged, attempted }]) => {
    if (acknowledged === 0) return;
    const answer = await call(`/v1/data/${namespace}/objects/${encodeURIComponent(id)}`);
    const version = answer.body?.data?.version;
    if (answer.status !== 200 || version < acknowledged || version > attempted) {
      problems.push(['wrong version', id, { acknowledged, attempted, found: version ?? answer }]);
    }
  });

  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const checked = `${requests.length} requests and ${Object.keys(objects).length} objects checked in ${seconds} s`;
  if (problems.length > 0)
    fail(`${checked}; ${problems.length} wrong, the first of them:`, problems.slice(0, 10));
  say(`${checked}; lost: 0`);
}

/** Calls the API; without a status where no answer came. */
async function call(route, body) {
  try {
    const response = await fetch(INLET_URL + route, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${INLET_API_KEY}`, 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    return { error: String(error.cause ?? error) };
  }
}

/** Runs `use` for every item, so many at a time. */
async function forEach(items, use) {
  const rest = items.values();
  const reader = async () => {
    for (const item of rest) await use(item);
  };
  await Promise.all(Array.from({ length: READERS }, reader));
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

function fail(what, details) {
  process.stderr.write(`${what} ${JSON.stringify(details, undefined, 1)}\n`);
  process.exit(1);
}
