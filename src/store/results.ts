/** What a request has led to: the ids of its objects that did not fail, and what their namespace calls metadata. */
import type { Queryable } from './database.ts';
import { RequestGoneError } from './requests.ts';
import { walk } from './walk.ts';

/** Each id once, where it stands first among those that did not fail. */
const STORED = `
  SELECT object.id, min(object.position) AS position
  FROM inlet.requests AS request, jsonb_array_elements_text(request.ids) WITH ORDINALITY AS object (id, position)
  WHERE request.request_id = $1 AND NOT EXISTS (
    SELECT FROM inlet.failed_objects AS refused
    WHERE refused.request_id = $1 AND refused.index = object.position - 1
  )
  GROUP BY object.id`;

const PAGE = 2_000;

/** A row without an id where no more are left, and none where the request is gone. */
const STORED_PAGE = `
  SELECT page.* FROM inlet.requests LEFT JOIN (
    SELECT * FROM (${STORED}) AS stored WHERE position > $2 ORDER BY position LIMIT $3
  ) AS page ON true
  WHERE request_id = $1 ORDER BY page.position`;

/**
 * The ids of a request's results in its order, a page at a time. Holds no connection between pages.
 * @throws RequestGoneError where the request is deleted before the last of them
 */
export async function* storedIdPages(on: Queryable, requestId: string): AsyncGenerator<string[]> {
  let after = 0;
  for (;;) {
    const rows = await on.query<{ id: string | null; position: string }>({
      text: STORED_PAGE,
      values: [requestId, after, PAGE],
    });
    if (rows.length === 0) throw new RequestGoneError(`request ${requestId} is gone`);
    const page = rows.filter((row): row is { id: string; position: string } => row.id !== null);
    if (page.length > 0) yield page.map(({ id }) => id);
    if (page.length < PAGE) return;
    after = Number(page.at(-1)?.position);
  }
}

/** How many ids {@link storedIdPages} gives. */
export async function countStoredIds(on: Queryable, requestId: string): Promise<number> {
  const [row] = await on.query<{ count: string }>({
    text: `SELECT count(*) AS count FROM (${STORED}) AS stored`,
    values: [requestId],
  });
  return Number(row?.count ?? 0);
}

/** What is shown of an object beside its id. */
export interface ResultRow {
  /** JSON text of an object. */
  readonly metadata: string;
  /** JSON text; null where nothing was answered about it. */
  readonly output: string | null;
  /** Why it could not be evaluated. */
  readonly error: string | null;
}

/** What an evaluator has said of an object that was deleted since is nobody's business any more. */
const RESULTS = `
  ${walk({
    count: 'cardinality($2::text[])',
    columns: { metadata: 'text', output: 'text', error: 'text' },
    row: (position) => `
      SELECT coalesce(found.metadata, '{}') AS metadata, kept.output, kept.error
      FROM (SELECT ($2::text[])[${position}] AS id) AS wanted
      CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(field.name, object.data -> field.name)::text AS metadata
        FROM inlet.objects AS object JOIN unnest($3::text[]) AS field (name) ON object.data ? field.name
        WHERE object.namespace = $1 AND object.id = wanted.id
      ) AS found
      LEFT JOIN LATERAL (
        SELECT evaluated.output::text AS output, evaluated.error
        FROM inlet.outputs AS evaluated JOIN inlet.objects AS object USING (namespace, id)
        WHERE evaluated.namespace = $1 AND evaluated.id = wanted.id AND object.data IS NOT NULL
      ) AS kept ON true`,
    measured: ['metadata', 'output', 'error'],
    limit: '$4',
  })}
  SELECT metadata, output, error FROM page WHERE position > 0 ORDER BY position`;

/**
 * Reads the values of some fields of objects as they are now, and what the evaluator has answered about them.
 * @param limit about how many bytes may be answered
 * @returns a row each, for `ids` in their order from the first on as far as `limit` reaches; metadata is `{}` for one
 *   that isn't there or has none of the fields
 */
export async function readResults(
  on: Queryable,
  namespace: string,
  ids: readonly string[],
  fields: readonly string[],
  limit: number,
): Promise<ResultRow[]> {
  return on.query<ResultRow & Record<string, unknown>>({
    text: RESULTS,
    values: [namespace, ids, fields, limit],
  });
}
