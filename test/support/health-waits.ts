/** How long others wait for their answers while somebody's body is read. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Bodies } from './adversarial-texts.ts';
import { newImport, upload } from './imports.ts';
import type { TestInlet } from './inlet.ts';

const ASK_EVERY_MS = 20;

/** The longest wait, in milliseconds of CPU time. */
const BOUND_MS = 100;

const TRIES = 3;

/** What endpoints and settings take, in bytes. */
const ENDPOINT_LIMIT = 256 * 1024;
const SETTINGS_LIMIT = 1024 * 1024;

/** Sends each of the bodies wherever bodies are taken, and expects others to be answered meanwhile. */
export async function expectNoWaits(inlet: TestInlet, bodies: Bodies): Promise<void> {
  // What is loaded and compiled with the first calls is not the question here.
  for (const send of await calls(inlet, Buffer.from('{}'))) await (await send()).arrayBuffer();
  for (const [name, make] of Object.entries(bodies)) {
    for (const send of await calls(inlet, Buffer.from(make()))) {
      expect(await leastOf(TRIES, () => longestWait(inlet.url, send())), name).toBeLessThan(BOUND_MS);
    }
  }
}

/** Tries again what seems too long: a collection of garbage may have come in between, or the compiler. */
async function leastOf(tries: number, measure: () => Promise<number>): Promise<number> {
  const measured = await measure();
  if (measured < BOUND_MS || tries === 1) return measured;
  return Math.min(measured, await leastOf(tries - 1, measure));
}

async function calls(inlet: TestInlet, body: Buffer<ArrayBuffer>): Promise<(() => Promise<Response>)[]> {
  const send = (method: string, path: string, bytes: Buffer<ArrayBuffer>) => () =>
    inlet.fetch(path, { method, body: bytes, headers: { 'content-type': 'application/json' } });
  const { upload_url } = await newImport(inlet, 'busy');
  return [
    send('POST', '/v1/data/busy', body),
    () => upload(upload_url, body),
    send('POST', '/v1/webhooks/endpoints', body.subarray(0, ENDPOINT_LIMIT)),
    send('PUT', '/v1/data/busy/settings', body.subarray(0, SETTINGS_LIMIT)),
  ];
}

/** Asks for `/healthz` again and again until a call is answered. @returns the longest wait, in milliseconds */
async function longestWait(url: string, call: Promise<Response>): Promise<number> {
  let longest = 0;
  let isOver = false;
  const over = call
    .then((response) => response.arrayBuffer())
    .finally(() => {
      isOver = true;
    });
  while (!isOver) {
    const [began, spent] = [performance.now(), cpuMs()];
    await delay(ASK_EVERY_MS);
    const health = await fetch(`${url}/healthz`);
    await health.arrayBuffer();
    const wait = performance.now() - began - ASK_EVERY_MS;
    longest = Math.max(longest, Math.min(wait, cpuMs() - spent));
  }
  await over;
  return longest;
}

/** What this thread has spent. Time on the clock, where the system doesn't tell. */
function cpuMs(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return performance.now();
  }
}
