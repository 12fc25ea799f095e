/**
 * (f): the objects of a file written by one process straight into Inlet's table, in bulk. No server, no queue and no
 * checks: what the machine can store at most, with a statement that keeps Inlet's order of writes.
 */
import { open } from 'node:fs/promises';
import pg from 'pg';
import { queryableOn } from '../../src/store/database.ts';
import { upsertObjects } from '../../src/store/objects.ts';
import { printResult, programOptions } from './program.ts';

export interface BulkOptions {
  readonly databaseUrl: string;
  readonly namespace: string;
  readonly file: string;
  /** Objects in a statement. */
  readonly batch: number;
  readonly connections: number;
  readonly statement: BulkStatement;
}

/** Inlet's own statement, or the best one known. */
export type BulkStatement = 'inlet' | 'elements' | 'lines';

export interface BulkResult {
  /** When the first statement was sent, in milliseconds since 1970. */
  readonly startedAt: number;
  /** Until the last was answered. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMb: number;
}

const { databaseUrl, namespace, file, batch, connections, statement } = programOptions<BulkOptions>();

/**
 * Like Inlet's, without what a single writer of different ids can do without: looking for several writes of one id,
 * and telling requests apart.
 */
const upsert = (objects: string): string => `
  INSERT INTO inlet.objects AS stored (namespace, id, data, accepted_at, request_id)
  SELECT $2, data ->> 'id' COLLATE "C" AS id, data, $3::timestamptz, 'req_bulk' FROM ${objects} ORDER BY id
  ON CONFLICT (namespace, id) DO UPDATE SET
    data = excluded.data,
    revision = stored.revision + (stored.data::text IS DISTINCT FROM excluded.data::text)::int,
    accepted_at = excluded.accepted_at,
    request_id = excluded.request_id,
    updated_at = now()
  WHERE (stored.accepted_at, stored.request_id) < (excluded.accepted_at, excluded.request_id)`;

const STATEMENTS = {
  elements: upsert('jsonb_array_elements($1::jsonb) AS o (data)'),
  lines: upsert("(SELECT line::jsonb AS data FROM string_to_table($1, E'\\n') AS l (line)) AS o"),
};

const NEWLINE = 0x0a;
const READ_BYTES = 1024 * 1024;

const clients = await Promise.all(
  Array.from({ length: connections }, async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    return client;
  }),
);
const input = await open(file);
const batches = readBatches();
const before = process.cpuUsage();
const startedAt = Date.now();
const acceptedAt = new Date();
await Promise.all(clients.map(write));
const seconds = (Date.now() - startedAt) / 1_000;
const { user, system } = process.cpuUsage(before);
await Promise.all(clients.map((client) => client.end()));
printResult({
  startedAt,
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakMb: process.resourceUsage().maxRSS / 1024,
} satisfies BulkResult);

async function write(client: pg.Client): Promise<void> {
  const micros = acceptedAt.getTime() * 1_000;
  const order = { acceptedAt: micros, stamp: micros, part: 0 };
  for await (const { text, count } of batches) {
    if (statement === 'inlet') {
      await upsertObjects(queryableOn(client), {
        requests: [{ id: 'req_bulk', namespace, ...order }],
        requestOf: Array.from({ length: count }, () => 0),
        objects: text.replaceAll('\n', ','),
      });
    } else {
      const objects = statement === 'lines' ? text : `[${text.replaceAll('\n', ',')}]`;
      await client.query({
        name: statement,
        text: STATEMENTS[statement],
        values: [objects, namespace, acceptedAt],
      });
    }
  }
}

/** The file's lines, so many at a time, without the last line end. Several may take from it in turn. */
async function* readBatches(): AsyncGenerator<{ text: string; count: number }> {
  let held: Buffer = Buffer.alloc(0);
  // Of what is held: where the next line begins, and how many were counted.
  let position = 0;
  let count = 0;
  for await (const chunk of input.createReadStream({ highWaterMark: READ_BYTES })) {
    held = Buffer.concat([held, chunk as Buffer]);
    for (let end = held.indexOf(NEWLINE, position); end >= 0; end = held.indexOf(NEWLINE, position)) {
      position = end + 1;
      count += 1;
      if (count < batch) continue;
      yield { text: held.toString('utf8', 0, end), count };
      held = held.subarray(position);
      position = 0;
      count = 0;
    }
  }
  if (count > 0) yield { text: held.toString('utf8', 0, position - 1), count };
}
