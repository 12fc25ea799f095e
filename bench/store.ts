/**
 * The table that a system writes into, from outside: emptied and filled before a measurement, and looked at after
 * it. Nothing is asked of it while the load runs.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { ObjectKind } from './objects.ts';
import { idSql, objectText, restOf } from './objects.ts';

/** The namespace of all objects. */
export const NAMESPACE = 'bench';

/** What a table looks like before a measurement: empty, with the objects that are to be overwritten, or with many others. */
export type TableState = 'empty' | 'existing' | 'full';

/** How the rows of a schema are made: Inlet's own, or a table with nothing but the objects. */
export type Schema = 'inlet' | 'plain';

const SCHEMAS = {
  inlet: {
    // All that a write leaves behind. (Empty ones are passed over quickly.)
    written: 'inlet.requests, inlet.revisions, inlet.imports, inlet.import_chunks',
    extra: { columns: ', accepted_at, request_id', values: ", now() - interval '1 day', 'req_filled'" },
  },
  plain: { written: undefined, extra: { columns: '', values: '' } },
} as const;

/** What is found of the writes of a measurement. */
export interface Found {
  readonly rows: number;
  /** When the last of them was committed, in milliseconds since 1970; NaN where there are none. */
  readonly lastCommitMs: number;
}

/** How often Postgres is asked whether it is still busy, and how long it has to be quiet, in milliseconds. */
const LOOK_MS = 100;
const QUIET_MS = 700;
/** WAL that a quiet server may write within that. */
const QUIET_BYTES = 32_768;
/** Busy all that time, it is counted anyhow. */
const COUNT_ANYHOW_MS = 10_000;
/** No further row for this long means that the rest will never come. */
const STUCK_MS = 30_000;

export class Store {
  readonly table: string;
  readonly url: string;
  readonly #pool: pg.Pool;
  readonly #schema: Schema;
  #isFull = false;

  constructor(url: string, schema: Schema) {
    this.url = url;
    this.#schema = schema;
    this.table = `${schema}.objects`;
    this.#pool = new pg.Pool({ connectionString: url, max: 1 });
    // The next call tells it.
    this.#pool.on('error', () => undefined);
  }

  /** Makes the table that is `full`: all its objects have keys from 0 on. */
  async fillLargeTable(kind: ObjectKind, rows: number): Promise<void> {
    const full = `${this.table}_full`;
    await this.#pool.query(`CREATE TABLE ${full} (LIKE ${this.table} INCLUDING ALL)`);
    const triggers = await this.#pool.query<{ sql: string }>(
      'SELECT pg_get_triggerdef(oid) AS sql FROM pg_trigger WHERE tgrelid = $1::regclass',
      [this.table],
    );
    for (const { sql } of triggers.rows)
      await this.#pool.query(sql.replace(` ON ${this.table} `, ` ON ${full} `));
    await this.#fill(full, kind, rows);
  }

  /** Brings the tables into a state. @param existing with `existing`, how many objects of which kind */
  async prepare(state: TableState, existing: { kind: ObjectKind; rows: number }): Promise<void> {
    await this.clean();
    if (state === 'full') await this.#swap(true);
    if (state === 'existing') await this.#fill(this.table, existing.kind, existing.rows);
    await this.#pool.query('CHECKPOINT');
  }

  /** Leaves nothing that Postgres would begin to tidy up during somebody else's measurement. */
  async clean(): Promise<void> {
    await this.#swap(false);
    const { written } = SCHEMAS[this.#schema];
    await this.#pool.query(`TRUNCATE ${this.table}${written ? `, ${written}` : ''}`);
  }

  /**
   * Waits until everything is stored.
   * @param expected how many rows there have to be at least
   * @param onQuiet is told when Postgres has nothing to do any more, before the rows are counted
   * @returns what is there in the end, also where that is less
   */
  async drained(
    firstN: number,
    sinceMs: number,
    expected: number,
    onQuiet: () => void = () => undefined,
  ): Promise<Found> {
    let progress = { rows: -1, at: performance.now() };
    for (;;) {
      await this.#quiet();
      onQuiet();
      const found = await this.find(firstN, sinceMs);
      const now = performance.now();
      if (found.rows > progress.rows) progress = { rows: found.rows, at: now };
      if (found.rows >= expected || now - progress.at > STUCK_MS) return found;
    }
  }

  /** Looks for the rows that writes with an `n` from `firstN` on have made since a time. */
  async find(firstN: number, sinceMs: number): Promise<Found> {
    const { rows } = await this.#pool.query<{ rows: string; last: string | null }>(
      `SELECT count(*) AS rows, extract(epoch FROM max(pg_xact_commit_timestamp(xmin))) * 1000 AS last
       FROM ${this.table} WHERE updated_at >= to_timestamp($2::float8 / 1000) AND (data ->> 'n')::bigint >= $1`,
      [firstN, Math.floor(sinceMs)],
    );
    return { rows: Number(rows[0]?.rows), lastCommitMs: Number(rows[0]?.last ?? Number.NaN) };
  }

  /** When each of the writes from `firstN` on was committed, in milliseconds since 1970, by its distance from `firstN`. */
  async commitTimes(firstN: number): Promise<ReadonlyMap<number, number>> {
    const { rows } = await this.#pool.query<{ n: string; at: string }>(
      `SELECT (data ->> 'n')::bigint - $1 AS n, extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 AS at
       FROM ${this.table} WHERE (data ->> 'n')::bigint >= $1`,
      [firstN],
    );
    return new Map(rows.map(({ n, at }) => [Number(n), Number(at)]));
  }

  /** How many of up to 1,000 rows of a measurement don't hold what was sent. */
  async wrongRows(kind: ObjectKind, firstKey: number, firstN: number): Promise<number> {
    const { rows } = await this.#pool.query<{ id: string; n: string; data: string }>(
      `SELECT id, data ->> 'n' AS n, data::text AS data FROM ${this.table}
       WHERE namespace = $1 AND (data ->> 'n')::bigint >= $2 LIMIT 1000`,
      [NAMESPACE, firstN],
    );
    const sent = rows.map(({ n }) => objectText(kind, firstKey + Number(n) - firstN, Number(n)));
    const result = await this.#pool.query<{ wrong: number }>(
      `SELECT count(*)::int AS wrong FROM unnest($1::jsonb[], $2::jsonb[], $3::text[]) AS r (sent, stored, id)
       WHERE sent IS DISTINCT FROM stored OR sent ->> 'id' IS DISTINCT FROM id`,
      [sent, rows.map(({ data }) => data), rows.map(({ id }) => id)],
    );
    return result.rows[0]?.wrong ?? 0;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #fill(table: string, kind: ObjectKind, rows: number): Promise<void> {
    const { extra } = SCHEMAS[this.#schema];
    await this.#pool.query(
      `INSERT INTO ${table} (namespace, id, data${extra.columns})
       SELECT '${NAMESPACE}', id, ('{"id":"' || id || '","n":' || k || $2)::jsonb${extra.values}
       FROM (SELECT k, ${idSql('k')} AS id FROM generate_series(0, $1::bigint - 1) AS k) AS object`,
      [rows, `,${restOf(kind)}}`],
    );
    await this.#pool.query(`VACUUM (ANALYZE) ${table}`);
  }

  /** Statements that are prepared name their tables anew after this, so the systems notice nothing. */
  async #swap(toFull: boolean): Promise<void> {
    if (this.#isFull === toFull) return;
    const rename = (from: string, to: string): string =>
      `ALTER TABLE ${this.table}${from} RENAME TO objects${to}`;
    const steps = toFull
      ? [rename('', '_other'), rename('_full', '')]
      : [rename('', '_full'), rename('_other', '')];
    await this.#pool.query(steps.join('; '));
    this.#isFull = toFull;
  }

  /** Waits until hardly anything is written any more. */
  async #quiet(): Promise<void> {
    const started = performance.now();
    let since = { at: started, wal: await this.#walBytes() };
    while (performance.now() - since.at < QUIET_MS && performance.now() - started < COUNT_ANYHOW_MS) {
      await delay(LOOK_MS);
      const wal = await this.#walBytes();
      if (wal - since.wal > QUIET_BYTES) since = { at: performance.now(), wal };
    }
  }

  async #walBytes(): Promise<number> {
    const { rows } = await this.#pool.query<{ bytes: string }>(
      "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS bytes",
    );
    return Number(rows[0]?.bytes);
  }
}
