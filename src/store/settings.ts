/** The settings' table: a schema for each namespace that was given one. It goes in and comes out as JSON text. */
import type { Queryable } from './database.ts';
import { MICROS_OF, TIME_FROM_MICROS } from './sql-time.ts';

/** A schema that came along with a request. */
export interface SchemaWrite {
  readonly namespace: string;
  /** JSON text. */
  readonly schema: string;
  readonly requestId: string;
}

interface Settings {
  /** JSON text. */
  readonly schema: string;
  /** Microseconds since 1970. */
  readonly updatedAt: number;
}

/** The same order as that of objects, and rows in the order of their key for the same reason. */
const APPLY = `
  INSERT INTO inlet.settings AS stored (namespace, schema, accepted_at, request_id)
  SELECT DISTINCT ON (namespace COLLATE "C") namespace, schema::jsonb, ${TIME_FROM_MICROS('$4')}, request_id
  FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::text[]))
         AS write (namespace, schema, request_id)
  ORDER BY namespace COLLATE "C", request_id COLLATE "C" DESC
  ON CONFLICT (namespace) DO UPDATE SET
    schema = excluded.schema,
    accepted_at = excluded.accepted_at,
    request_id = excluded.request_id,
    updated_at = now()
  WHERE (stored.accepted_at, stored.request_id) < (excluded.accepted_at, excluded.request_id)`;

/** Applies schemas where they were accepted later than what is stored. All were accepted at `acceptedAt`. */
export async function applySchemas(
  on: Queryable,
  acceptedAt: number,
  writes: readonly SchemaWrite[],
): Promise<void> {
  await on.query({
    text: APPLY,
    values: [
      writes.map(({ namespace }) => namespace),
      writes.map(({ schema }) => schema),
      writes.map(({ requestId }) => requestId),
      acceptedAt,
    ],
  });
}

/**
 * Stamped with the database's clock. It is later than all that is stored, also where the clock of a Redis that
 * has stamped what is stored is ahead: an answer that says "updated" must be true.
 */
const PUT = `
  INSERT INTO inlet.settings AS stored (namespace, schema, accepted_at, request_id)
  VALUES ($1, $2::jsonb, clock_timestamp(), $3)
  ON CONFLICT (namespace) DO UPDATE SET
    schema = excluded.schema,
    accepted_at = greatest(excluded.accepted_at, stored.accepted_at + interval '1 microsecond'),
    request_id = excluded.request_id,
    updated_at = now()`;

/** Creates or replaces a namespace's schema. */
async function putSettings(on: Queryable, write: SchemaWrite): Promise<void> {
  await on.query({ text: PUT, values: [write.namespace, write.schema, write.requestId] });
}

/** Reads a namespace's settings; undefined when it has none. */
async function findSettings(on: Queryable, namespace: string): Promise<Settings | undefined> {
  const [row] = await on.query<{ schema: string; updated_at: string }>({
    text: `SELECT schema::text AS schema, ${MICROS_OF('updated_at')} AS updated_at
           FROM inlet.settings WHERE namespace = $1`,
    values: [namespace],
  });
  return row && { schema: row.schema, updatedAt: Number(row.updated_at) };
}

/** The names of the fields that a namespace's schema calls metadata. */
export async function findMetadataFields(on: Queryable, namespace: string): Promise<string[]> {
  const rows = await on.query<{ name: string }>({
    name: 'find-metadata-fields',
    text: `SELECT field.key AS name
           FROM inlet.settings, jsonb_each(schema) AS field
           WHERE namespace = $1 AND field.value ->> 'content_type' = 'metadata'`,
    values: [namespace],
  });
  return rows.map(({ name }) => name);
}

/** Reading and setting a namespace's settings. */
export interface SettingsAccess {
  readonly findSettings: (namespace: string) => Promise<Settings | undefined>;
  readonly putSettings: (write: SchemaWrite) => Promise<void>;
}

export function settingsAccess(on: Queryable): SettingsAccess {
  return {
    findSettings: (namespace) => findSettings(on, namespace),
    putSettings: (write) => putSettings(on, write),
  };
}
