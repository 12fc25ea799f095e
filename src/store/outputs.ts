/** The outputs of the evaluator: the latest for each object, beside the object's own row. */
import type { Queryable } from './database.ts';
import { walk } from './walk.ts';

export interface ObjectKey {
  readonly namespace: string;
  readonly id: string;
}

/** An object as it is now, for the evaluator. */
export interface CurrentVersion extends ObjectKey {
  /** Deleted, evaluated in this revision already, or neither. */
  readonly state: 'deleted' | 'evaluated' | 'waiting';
  /** The request that has written it. */
  readonly requestId: string;
  readonly revision: number;
  /** JSON text, of one that waits only. */
  readonly data: string | null;
  /** JSON text of the version that was evaluated last; null where there is none, or the history has it no more. */
  readonly previous: string | null;
}

/** An output that is to be kept, or why there is none. */
export interface NewOutput extends ObjectKey {
  readonly revision: number;
  /** JSON text. */
  readonly output: string | null;
  readonly error: string | null;
}

/** What is kept of an object: an output as JSON text, or why there is none. */
export type KeptOutput = Pick<NewOutput, 'output' | 'error'>;

/** About how much text of objects one page has, in bytes. */
const PAGE_BYTES = 2 * 1024 * 1024;

/** Rows that stand for `namespaces` and `ids`, which are parameters. */
const WANTED = (position: string): string =>
  `(SELECT ($1::text[])[${position}] AS namespace, ($2::text[])[${position}] AS id) AS wanted`;

const CURRENT = `
  ${walk({
    count: 'cardinality($1::text[])',
    columns: {
      state: 'text',
      request_id: 'text COLLATE "C"',
      revision: 'bigint',
      data: 'text',
      previous: 'text',
    },
    row: (position) => `
      SELECT evaluated.state, object.request_id, object.revision,
             CASE evaluated.state WHEN 'waiting' THEN object.data::text END AS data,
             CASE evaluated.state WHEN 'waiting' THEN former.data::text END AS previous
      FROM ${WANTED(position)}
      LEFT JOIN inlet.objects AS object USING (namespace, id)
      LEFT JOIN inlet.outputs AS kept USING (namespace, id)
      LEFT JOIN inlet.revisions AS former
        ON former.namespace = object.namespace AND former.id = object.id AND former.revision = kept.revision
      CROSS JOIN LATERAL (
        SELECT CASE WHEN object.data IS NULL THEN 'deleted'
                    WHEN kept.revision = object.revision THEN 'evaluated'
                    ELSE 'waiting' END AS state
      ) AS evaluated`,
    measured: ['data', 'previous'],
    limit: '$3',
  })}
  SELECT state, request_id, revision, data, previous FROM page WHERE position > 0 ORDER BY position`;

/**
 * Reads objects as they are now, for `keys` in their order from the first on until they come to about 2 MiB: at least one.
 */
export async function readCurrent(on: Queryable, keys: readonly ObjectKey[]): Promise<CurrentVersion[]> {
  const rows = await on.query<{
    state: CurrentVersion['state'];
    request_id: string | null;
    revision: string | null;
    data: string | null;
    previous: string | null;
  }>({ name: 'read-current', text: CURRENT, values: [...columns(keys), PAGE_BYTES] });
  return keys.slice(0, rows.length).map((key, i) => {
    const { state = 'deleted', request_id, revision, data = null, previous = null } = rows[i] ?? {};
    return {
      ...{ namespace: key.namespace, id: key.id, state, data, previous },
      requestId: request_id ?? '',
      revision: Number(revision ?? 0),
    };
  });
}

/**
 * Keeps outputs; never in place of one of a higher revision, and none of an object that was deleted meanwhile. Rows come
 * in the order of their key, so that two workers never wait for each other in a circle.
 */
export async function keepOutputs(on: Queryable, outputs: readonly NewOutput[]): Promise<void> {
  if (outputs.length === 0) return;
  await on.write({
    name: 'keep-outputs',
    text: `
      INSERT INTO inlet.outputs AS kept (namespace, id, revision, output, error)
      SELECT new.namespace, new.id, new.revision, new.output::jsonb, new.error
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
             AS new (namespace, id, revision, output, error)
      JOIN inlet.objects AS object USING (namespace, id)
      WHERE object.data IS NOT NULL
      ORDER BY object.namespace, object.id
      ON CONFLICT (namespace, id) DO UPDATE SET
        revision = excluded.revision, output = excluded.output, error = excluded.error, evaluated_at = now()
      WHERE kept.revision < excluded.revision`,
    values: [
      ...columns(outputs),
      outputs.map(({ revision }) => revision),
      outputs.map(({ output }) => output),
      outputs.map(({ error }) => error),
    ],
  });
}

const KEPT = `
  ${walk({
    count: 'cardinality($1::text[])',
    columns: { output: 'text', error: 'text' },
    row: (position) => `
      SELECT kept.output::text AS output, kept.error
      FROM ${WANTED(position)}
      LEFT JOIN inlet.objects AS object
        ON object.namespace = wanted.namespace AND object.id = wanted.id AND object.data IS NOT NULL
      LEFT JOIN inlet.outputs AS kept ON kept.namespace = object.namespace AND kept.id = object.id`,
    measured: ['output', 'error'],
    limit: '$3',
  })}
  SELECT output, error FROM page WHERE position > 0 ORDER BY position`;

/**
 * Reads what is kept of objects, for `keys` in their order from the first on until it comes to `maxBytes`: of at least one.
 * @returns undefined for one that has nothing, or was deleted
 */
export async function readOutputs(
  on: Queryable,
  keys: readonly ObjectKey[],
  maxBytes: number,
): Promise<(KeptOutput | undefined)[]> {
  const rows = await on.query<KeptOutput>({
    name: 'read-outputs',
    text: KEPT,
    values: [...columns(keys), maxBytes],
  });
  return rows.map((row) => (row.output === null && row.error === null ? undefined : row));
}

/** Whether there is any. */
export async function hasOutputs(on: Queryable): Promise<boolean> {
  const rows = await on.query({ name: 'has-outputs', text: 'SELECT FROM inlet.outputs LIMIT 1' });
  return rows.length > 0;
}

/** Deletes the outputs of those of these objects that are deleted; in the order in which {@link keepOutputs} comes. */
export async function deleteOutputs(on: Queryable, keys: readonly ObjectKey[]): Promise<void> {
  await on.write({
    name: 'delete-outputs',
    text: `
      WITH locked AS (
        SELECT kept.namespace, kept.id
        FROM unnest($1::text[], $2::text[]) AS gone (namespace, id)
        JOIN inlet.outputs AS kept USING (namespace, id)
        JOIN inlet.objects AS object USING (namespace, id)
        WHERE object.data IS NULL
        ORDER BY kept.namespace, kept.id
        FOR UPDATE OF kept
      )
      DELETE FROM inlet.outputs AS kept USING locked
      WHERE kept.namespace = locked.namespace AND kept.id = locked.id`,
    values: columns(keys),
  });
}

function columns(keys: readonly ObjectKey[]): [string[], string[]] {
  return [keys.map(({ namespace }) => namespace), keys.map(({ id }) => id)];
}
