/** The table of the alternatives, and the statements that write into it. */

/** As Inlet's, without what they don't keep: byte order in the key, lz4 for the data where Postgres has it. */
export const CREATE_TABLE = `
  CREATE SCHEMA plain;
  CREATE TABLE plain.objects (
    namespace  text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, id)
  );
  DO $$
  BEGIN
    IF EXISTS (
      SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
    ) THEN
      ALTER TABLE plain.objects ALTER COLUMN data SET COMPRESSION lz4;
    END IF;
  END
  $$`;

const ON_CONFLICT = 'ON CONFLICT (namespace, id) DO UPDATE SET data = excluded.data, updated_at = now()';

/** One object: namespace, id, data as JSON text. */
export const UPSERT_ONE = `INSERT INTO plain.objects (namespace, id, data) VALUES ($1, $2, $3) ${ON_CONFLICT}`;

/**
 * A list: namespace, the objects as one JSON text. Of several with the same id the last stays, and rows are written
 * in the order of their key: without that two requests could wait for each other.
 */
export const UPSERT_LIST = `
  INSERT INTO plain.objects (namespace, id, data)
  SELECT DISTINCT ON (id COLLATE "C") $1, id, data
  FROM (
    SELECT data ->> 'id' AS id, data, position
    FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS o (data, position)
  ) AS object
  ORDER BY id COLLATE "C", position DESC
  ${ON_CONFLICT}`;
