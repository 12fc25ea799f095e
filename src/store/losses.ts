/** What the database knows of the queue, and the losses that this has shown. */
import type { QueueMarks, StampRange } from '../queue/queue.ts';
import type { Database, Queryable } from './database.ts';

/** Acknowledged writes that may be lost: those with stamps of a range. */
export interface Loss extends StampRange {
  readonly cause: 'queue emptied' | 'older queue' | 'older database';
}

/** A loss that no operator has accepted yet. */
export interface OpenLoss extends Loss {
  readonly id: string;
  readonly noticedAt: Date;
  /** Requests that processes remembered to have acknowledged, and that were not stored when it was noticed. */
  readonly requestIds: readonly string[];
}

/** What the database knows of the queue: stamps, null before there are any. */
export interface KnownQueue {
  readonly id: string;
  readonly born: number | null;
  readonly acknowledged: number | null;
  readonly drained: number | null;
  readonly stored: number | null;
}

/** What a process has seen of the queue since it last told. Stamps, 0 where there are none. */
export interface SeenQueue {
  readonly marks: QueueMarks;
  readonly acknowledged: number;
  /** What of that it has told the database before. */
  readonly told: number;
  readonly drained: number;
  readonly stored: number;
  /** What it has noticed by itself. */
  readonly losses: readonly Loss[];
}

type KnownRow = { id: string } & Record<Exclude<keyof KnownQueue, 'id'>, string | null>;

const KNOWN = 'SELECT id, born, acknowledged, drained, stored FROM inlet.queue';

/** Reads what the database knows of the queue. */
export async function readKnownQueue(on: Queryable, lock = ''): Promise<KnownQueue> {
  const [row] = await on.query<KnownRow>({ text: `${KNOWN} ${lock}` });
  if (!row) throw new Error('inlet.queue has no row');
  const stamp = (text: string | null): number | null => (text === null ? null : Number(text));
  return {
    id: row.id,
    born: stamp(row.born),
    acknowledged: stamp(row.acknowledged),
    drained: stamp(row.drained),
    stored: stamp(row.stored),
  };
}

/** What is lost, from what the database knew before and what is seen now. */
export function lossesOf(known: KnownQueue, { marks, told }: Pick<SeenQueue, 'marks' | 'told'>): Loss[] {
  const losses: Loss[] = [];
  // All that was acknowledged until then is stored.
  const from = known.drained ?? 0;
  const isNew = known.born !== null && marks.born > Math.max(known.born, from);
  if (isNew && (known.acknowledged ?? 0) > from) {
    losses.push({ cause: 'queue emptied', from, to: marks.born });
  }
  // Whatever is stored is noted here before it is in the queue. What is noted may be a second behind what was stored.
  if (marks.stored > Math.max(known.stored ?? 0, from)) {
    losses.push({ cause: 'older database', from, to: marks.last });
  }
  // It has forgotten what it was told. A queue that lies in the database is restored with it.
  if (told > (known.acknowledged ?? 0)) {
    losses.push({ cause: marks.born === 0 ? 'older queue' : 'older database', from, to: marks.last });
  }
  return losses;
}

/** Notes what a process has seen, and the losses that this shows. @returns what was known before */
export function noteQueue(database: Database, seen: SeenQueue): Promise<KnownQueue> {
  return database.transaction(async (transaction) => {
    const known = await readKnownQueue(transaction, 'FOR UPDATE');
    const { marks, acknowledged, drained, stored } = seen;
    await transaction.write({
      text: `UPDATE inlet.queue SET born = $1::bigint, acknowledged = greatest(acknowledged, nullif($2::bigint, 0)),
               drained = greatest(drained, nullif($3::bigint, 0)), stored = greatest(stored, nullif($4::bigint, 0))`,
      values: [marks.born, acknowledged, drained, Math.max(stored, marks.stored)],
    });
    for (const loss of [...seen.losses, ...lossesOf(known, seen)]) await insertLoss(transaction, loss);
    return known;
  });
}

/** One that several processes notice is one. */
const INSERT_LOSS = `
  WITH known AS (
    UPDATE inlet.losses SET from_stamp = least(from_stamp, $2::bigint), to_stamp = greatest(to_stamp, $3::bigint)
    WHERE accepted_at IS NULL AND cause = $1 AND from_stamp <= $3 AND to_stamp >= $2
    RETURNING id
  )
  INSERT INTO inlet.losses (cause, from_stamp, to_stamp) SELECT $1, $2::bigint, $3::bigint WHERE NOT EXISTS (SELECT FROM known)`;

async function insertLoss(on: Queryable, { cause, from, to }: Loss): Promise<void> {
  await on.write({ text: INSERT_LOSS, values: [cause, from, to] });
}

/** The losses that no operator has accepted, the oldest first. @param named with the requests of each */
export async function openLosses(on: Queryable, named = false): Promise<OpenLoss[]> {
  const rows = await on.query<Record<string, string> & { noticed_at: Date; request_ids: string[] }>({
    text: `SELECT id::text, cause, from_stamp, to_stamp, noticed_at, ${named ? 'request_ids' : "'{}'::text[] AS request_ids"}
           FROM inlet.losses WHERE accepted_at IS NULL ORDER BY inlet.losses.id`,
  });
  return rows.map(({ id, cause, from_stamp, to_stamp, noticed_at, request_ids }) => ({
    ...{ id: id ?? '', cause: cause as Loss['cause'], noticedAt: noticed_at, requestIds: request_ids },
    ...{ from: Number(from_stamp), to: Number(to_stamp) },
  }));
}

/** Adds requests to a loss. */
export async function nameRequests(
  on: Queryable,
  lossId: string,
  requestIds: readonly string[],
): Promise<void> {
  await on.write({
    text: `UPDATE inlet.losses
           SET request_ids = ARRAY(SELECT DISTINCT unnest(request_ids || $2::text[]) ORDER BY 1) WHERE id = $1`,
    values: [lossId, requestIds],
  });
}

/** Those of requests that are not stored: imports of which anything is missing too. */
export async function notStored(on: Queryable, requestIds: readonly string[]): Promise<string[]> {
  const rows = await on.query<{ id: string }>({
    text: `SELECT id FROM unnest($1::text[]) AS id
           WHERE NOT EXISTS (
             SELECT FROM inlet.requests r
             WHERE r.request_id = id AND (r.completed_at IS NOT NULL
               OR NOT EXISTS (SELECT FROM inlet.imports i WHERE i.request_id = id)))
           ORDER BY id`,
    values: [requestIds],
  });
  return rows.map(({ id }) => id);
}

/** Accepts losses: nobody is told of them any more. @returns how many */
export function acceptLosses(on: Queryable, ids: readonly string[]): Promise<number> {
  return on.write({
    text: 'UPDATE inlet.losses SET accepted_at = now() WHERE accepted_at IS NULL AND id = ANY($1::bigint[])',
    values: [ids],
  });
}

/**
 * Makes a queue this database's that was another one's: that of a database which this one takes the place of. What that
 * one had stored counts as missing here.
 */
export async function adoptQueue(on: Queryable, id: string): Promise<void> {
  await on.write({ text: 'UPDATE inlet.queue SET id = $1, born = NULL', values: [id] });
}
