/** The settings' table: a schema for each namespace that was given one. It goes in and comes out as JSON text. */
import type { Stamp } from '../domain/batch.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, stampOfRow, TIME_FROM_MICROS } from './sql-time.ts';

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
  INSERT INTO inlet.settings AS stored (namespace, schema, accepted_at, stamp, request_id)
  SELECT DISTINCT ON (namespace COLLATE "C") namespace, schema::jsonb, ${TIME_FROM_MICROS('$4')}, $5::bigint, request_id
  FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::text[]))
         AS write (namespace, schema, request_id)
  ORDER BY namespace COLLATE "C", request_id COLLATE "C" DESC
  ON CONFLICT (namespace) DO UPDATE SET
    schema = excluded.schema,
    accepted_at = excluded.accepted_at,
    stamp = excluded.stamp,
    request_id = excluded.request_id,
    updated_at = now()
  WHERE (${stampOfRow('stored')}, stored.request_id) < (${stampOfRow('excluded')}, excluded.request_id)`;

/** Applies schemas where they come after what is stored. All have the same place in the order of writes. */
export async function applySchemas(
  on: Queryable,
  { acceptedAt, stamp }: Stamp,
  writes: readonly SchemaWrite[],
): Promise<void> {
  await on.query({
    text: APPLY,
    values: [
      writes.map(({ namespace }) => namespace),
      writes.map(({ schema }) => schema),
      writes.map(({ requestId }) => requestId),
      ...[acceptedAt, stamp],
    ],
  });
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

/** @param takeStamp gives the place of a schema in the order of writes */
export function settingsAccess(on: Queryable, takeStamp: () => Promise<Stamp>): SettingsAccess {
  return {
    findSettings: (namespace) => findSettings(on, namespace),
    putSettings: async (write) => applySchemas(on, await takeStamp(), [write]),
  };
}
