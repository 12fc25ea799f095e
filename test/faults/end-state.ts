/** Reads what is there at the end: from the database, and once more through the API. */
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../support/command.ts';
import { query } from '../support/postgres.ts';
import type { EndState, History, StoredVersion, ToldLoss, ToldRequest, VersionData } from './history.ts';
import { call } from './http-client.ts';
import type { World } from './world.ts';

/** Longest time after all faults until everything acknowledged is stored, in milliseconds. */
const SETTLE_MS = 120_000;

/** For how long an empty queue is believed to be one in which a job may still turn up, in milliseconds. */
const EMPTY_MS = 3_000;

/** Most requests that the API is asked about; of more, some of all are. */
const MAX_ASKED = 4_000;

/** Requests that are asked for at one time. */
const READERS = 8;

type Row = Record<string, unknown>;

const micros = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::bigint`;

/**
 * Waits until the queue is empty and everything acknowledged is done, or it is clear that it won't be: the checker says
 * what is missing then.
 * @returns how long it took, in milliseconds
 */
export async function settled(world: World, history: History): Promise<number> {
  const begun = performance.now();
  const ids = history.operations.flatMap(({ outcome, requestId }) =>
    outcome === 'acknowledged' ? [`'${requestId}'`] : [],
  );
  const allDone = async (): Promise<boolean> => {
    const [row] = await query(
      world.postgres.url,
      `SELECT count(*)::int AS done FROM inlet.requests
       WHERE completed_at IS NOT NULL AND request_id IN (${["''", ...ids].join()})`,
    );
    return row?.['done'] === ids.length;
  };
  let emptySince: number | undefined;
  for (const end = begun + SETTLE_MS; performance.now() < end; await delay(200)) {
    if ((await world.leftInQueue()) > 0) {
      emptySince = undefined;
      continue;
    }
    emptySince ??= performance.now();
    // Where nothing is in the queue, nothing more is to be expected.
    if ((await allDone()) || performance.now() - emptySince > EMPTY_MS) break;
  }
  return performance.now() - begun;
}

/** Versions that ordered by `accepted_at` wrote none. */
const STAMP = `greatest(stamp, ${micros('accepted_at')})`;

/** Reads a namespace. @param complaints gets answers that nobody should get */
export async function readEndState(
  world: World,
  namespace: string,
  history: History,
  complaints: string[],
): Promise<EndState> {
  const read = (sql: string): Promise<Row[]> => query(world.postgres.url, sql);
  const versions = async (table: string): Promise<StoredVersion[]> => {
    const rows = await read(
      `SELECT id, revision, data, request_id, ${micros('accepted_at')} AS accepted_at, ${STAMP} AS stamp, part
       FROM inlet.${table} WHERE namespace = '${namespace}' ORDER BY id, revision`,
    );
    return rows.map((row) => ({
      id: String(row['id']),
      revision: Number(row['revision']),
      data: row['data'] as VersionData | null,
      requestId: String(row['request_id']),
      acceptedAt: Number(row['accepted_at']),
      order: { stamp: Number(row['stamp']), part: Number(row['part']) },
    }));
  };
  const requests = await read(
    `SELECT request_id, status, objects, failed, ${micros('accepted_at')} AS accepted_at, ${STAMP} AS stamp
     FROM inlet.requests WHERE namespace = '${namespace}'`,
  );
  const failures = await read(
    `SELECT request_id, index, id, object, message FROM inlet.failed_objects WHERE namespace = '${namespace}'`,
  );
  const [api] = world.apis;
  if (!api) throw new Error('there is no API to ask');
  const ask = async (path: string): Promise<Row> => {
    const { outcome, answer, body } = await call(
      `${api.url}/v1/data/${namespace}/${path}`,
      {},
      200,
      (complaint) => complaints.push(complaint),
      60_000,
    );
    if (outcome !== 'acknowledged') complaints.push(`GET ${path} at the end: ${answer}`);
    return body;
  };
  const found = new Set(requests.map((row) => row['request_id']));
  return {
    objects: await versions('objects'),
    revisions: await versions('revisions'),
    requests: requests.map((row) => ({
      requestId: String(row['request_id']),
      status: String(row['status']),
      objects: Number(row['objects']),
      failed: Number(row['failed']),
      acceptedAt: Number(row['accepted_at']),
      order: { stamp: Number(row['stamp']), part: 0 },
    })),
    failures: failures.map((row) => ({
      requestId: String(row['request_id']),
      index: Number(row['index']),
      id: String(row['id']),
      object: String(row['object']),
      message: String(row['message']),
    })),
    told: {
      objects: await toldObjects(ask),
      requests: await toldRequests(ask, history, (id) => found.has(id)),
    },
    leftInQueue: await world.leftInQueue(),
    losses: await toldLosses(world),
  };
}

/** What `inlet queue losses` lists. */
export async function toldLosses(world: World): Promise<ToldLoss[]> {
  const { stdout, stderr } = await queueCommand(world, 'losses', '--json');
  if (stdout === '') throw new Error(stderr);
  const { data } = JSON.parse(stdout) as {
    data: { cause: string; from: string | null; to: string; request_ids: string[] }[];
  };
  const begun = Date.now() - performance.now();
  return data.map(({ cause, from, to, request_ids: requestIds }) => ({
    ...{ cause, requestIds, to: Date.parse(to) - begun },
    from: from === null ? -Infinity : Date.parse(from) - begun,
  }));
}

/** Runs `inlet queue …` as an operator does. */
export function queueCommand({ postgres }: World, ...args: readonly string[]) {
  return runCommand(['queue', ...args], { DATABASE_URL: postgres.url, INLET_DATA_DIR: '/dev/null/inlet' });
}

async function toldObjects(ask: (path: string) => Promise<Row>): Promise<StoredVersion[]> {
  const objects: StoredVersion[] = [];
  for (let cursor: unknown = ''; cursor !== null && cursor !== undefined; ) {
    const { data, next_cursor } = await ask(`objects?limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`);
    for (const object of (data ?? []) as Row[]) {
      objects.push({
        id: String(object['id']),
        revision: Number(object['revision']),
        data: object['data'] as VersionData,
        requestId: String(object['request_id']),
        acceptedAt: microsOf(String(object['accepted_at'])),
      });
    }
    cursor = next_cursor;
  }
  return objects;
}

/** @param isThere what isn't there can't be asked for */
async function toldRequests(
  ask: (path: string) => Promise<Row>,
  history: History,
  isThere: (requestId: string | undefined) => boolean,
): Promise<ToldRequest[]> {
  const acknowledged = history.operations.filter(
    ({ outcome, requestId }) => outcome === 'acknowledged' && isThere(requestId),
  );
  const step = Math.ceil(acknowledged.length / MAX_ASKED);
  const wanted = acknowledged.filter((_, i) => i % step === 0);
  const told: ToldRequest[] = [];
  await Promise.all(
    Array.from({ length: READERS }, async () => {
      for (let operation = wanted.pop(); operation; operation = wanted.pop()) {
        const answer = await ask(`requests/${operation.requestId}`);
        told.push({
          requestId: String(operation.requestId),
          status: String(answer['status']),
          counts: answer['counts'] as ToldRequest['counts'],
          ids: (answer['data'] as { id: string }[] | undefined)?.map(({ id }) => id),
          failedIndexes: ((answer['errors'] ?? []) as { index: number }[]).map(({ index }) => index),
        });
      }
    }),
  );
  return told;
}

/** Of a time like `2026-11-22T19:00:00.123456Z`. */
function microsOf(time: string): number {
  return Date.parse(`${time.slice(0, 23)}Z`) * 1_000 + Number(time.slice(23, 26));
}
