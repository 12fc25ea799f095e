/**
 * One request at a time on a server that has nothing else to do: how long until the answer, and how long until the
 * object can be read in Postgres. It is looked for there every millisecond.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Writes } from '../objects.ts';
import { idOf, objectText } from '../objects.ts';
import { quantile } from '../statistics.ts';
import { Connection } from './connection.ts';
import { printResult, programOptions } from './program.ts';

export interface OneByOneOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly databaseUrl: string;
  readonly table: string;
  readonly namespace: string;
  readonly requests: number;
  readonly writes: Writes;
}

/** All times run from when the request was sent. */
export interface OneByOneResult {
  readonly accepted: number;
  readonly answerP50Ms: number;
  readonly answerP99Ms: number;
  readonly storedP50Ms: number;
  readonly storedP99Ms: number;
}

/** Before each request, at random up to this: not in step with any timer of the server. */
const PAUSE_MS = 20;
const GIVE_UP_MS = 10_000;

const { url, apiKey, databaseUrl, table, namespace, requests, writes } = programOptions<OneByOneOptions>();
const connection = await Connection.open(url, apiKey);
const client = new pg.Client({ connectionString: databaseUrl });
await client.connect();

const answers: number[] = [];
const stored: number[] = [];
for (let i = 0; i < requests; i += 1) {
  await delay(Math.random() * PAUSE_MS);
  const key = writes.firstKey + i;
  const body = `{"data":${objectText(writes.kind, key, writes.firstN + i)}}`;
  const sent = performance.now();
  const status = await new Promise<number>((resolve) => connection.post(body, resolve));
  if (status !== 202) continue;
  answers.push(performance.now() - sent);
  while (!(await isStored(idOf(key)))) {
    if (performance.now() - sent > GIVE_UP_MS) throw new Error('an object that was accepted is not stored');
    await delay(1);
  }
  stored.push(performance.now() - sent);
}
connection.close();
await client.end();
for (const times of [answers, stored]) times.sort((a, b) => a - b);
printResult({
  accepted: answers.length,
  ...{ answerP50Ms: quantile(answers, 0.5), answerP99Ms: quantile(answers, 0.99) },
  ...{ storedP50Ms: quantile(stored, 0.5), storedP99Ms: quantile(stored, 0.99) },
} satisfies OneByOneResult);

async function isStored(id: string): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'find',
    text: `SELECT FROM ${table} WHERE namespace = $1 AND id = $2`,
    values: [namespace, id],
  });
  return rowCount === 1;
}
