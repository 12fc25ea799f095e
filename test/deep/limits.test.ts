/**
 * Settings and limits that are each allowed, together: what is accepted is stored, told of and read, or the start is refused in
 * one line. A combination that is neither would be tried again without end.
 */
import { describe, expect, onTestFinished } from 'vitest';
import type { Config } from '../../src/config.ts';
import { readConfig } from '../../src/config.ts';
import { OperatorError } from '../../src/errors.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { MAX_ENDPOINTS } from '../../src/webhooks/management.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { EVALUATOR } from '../support/evaluated.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import type { Ends } from '../support/limits.ts';
import { combinations } from '../support/limits.ts';
import { InletProcess } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';
import { insertEndpointRow } from '../support/webhooks.ts';

const MINUTES = 60_000;

const ENDS: Readonly<Record<string, Ends>> = {
  INLET_BODY_LIMIT: ['1kb', '64mb'],
  INLET_BODY_MEMORY: ['64mb', '16gb'],
  INLET_MAX_OBJECTS: ['1', '100000'],
  INLET_WORKER_CONCURRENCY: ['1', '64'],
  INLET_HISTORY_LIMIT: ['0', '1000000'],
  INLET_HISTORY_RETENTION: ['1s', '36500d'],
  INLET_REQUEST_RETENTION: ['1s', '36500d'],
  INLET_QUEUE_HIGH_MARK: ['1', '100000000'],
  INLET_QUEUE_LOW_MARK: ['0', '99999999'],
  INLET_WEBHOOK_CONCURRENCY: ['1', '1000'],
  INLET_WEBHOOK_RETENTION: ['1s', '36500d'],
  INLET_EVALUATOR: ['', EVALUATOR],
  INLET_EVALUATOR_CONCURRENCY: ['1', '1000'],
  INLET_EVALUATOR_TIMEOUT: ['1s', '36500d'],
};

const test = inletTest({ workers: 0 });

/** What a process would start with; undefined where it would refuse to, with the name of a setting and in one line. */
function allowed(environment: Record<string, string>): Config | undefined {
  try {
    return readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(OperatorError);
    expect((error as Error).message).toMatch(/^INLET_[A-Z_]+ is .+$/);
    return undefined;
  }
}

/** All but what says where the services are. */
function settingsOf(config: Config) {
  const { databaseUrl: _, redisUrl: __, redisPrefix: ___, port: ____, ...settings } = config;
  return settings;
}

/**
 * A body with as many and as large objects as two limits allow; fewer where they are evaluated, which takes the evaluator some
 * milliseconds for each.
 */
function largestBody(config: Config, version: number): { body: string; count: number } {
  const { bodyLimit, maxObjects, evaluator, evaluatorConcurrency } = config;
  const around = '{"schema":{"v":{"content_type":"metadata"}},"data":[]}'.length;
  const evaluated = evaluatorConcurrency === 1 ? 2_000 : 20_000;
  const most = evaluator === undefined ? maxObjects : Math.min(maxObjects, evaluated);
  const count = Math.min(most, Math.floor((bodyLimit - around) / 40));
  const padding = Math.floor((bodyLimit - around) / count) - 33;
  const text = 'x'.repeat(Math.max(0, padding));
  const objects = Array.from({ length: count }, (_, i) => `{"id":"o${i}","v":${version},"text":"${text}"}`);
  const body = `{"schema":{"v":{"content_type":"metadata"}},"data":[${objects.join()}]}`;
  expect(Buffer.byteLength(body)).toBeLessThanOrEqual(bodyLimit);
  return { body, count };
}

/** Writes as clients do: again where the queue is full. */
function writeAgain(inlet: TestInlet, namespace: string, body: string): Promise<string> {
  return waitFor(
    'a write to be accepted',
    async () => {
      const response = await inlet.post(namespace, body);
      const text = await response.text();
      expect([202, 503], text).toContain(response.status);
      return response.status === 202 && (JSON.parse(text) as { requestId: string }).requestId;
    },
    MINUTES,
  );
}

async function statusRow(database: Database, requestId: string): Promise<string | undefined> {
  const [row] = await database.query<{ status: string }>({
    text: 'SELECT status FROM inlet.requests WHERE request_id = $1 AND completed_at IS NOT NULL',
    values: [requestId],
  });
  return row?.status;
}

/** How many results a request has, by the file of them. */
async function resultCount(inlet: TestInlet, namespace: string, requestId: string): Promise<number> {
  const answer = await inlet.fetch(`/v1/data/${namespace}/requests/${requestId}/results/download-url`);
  expect(answer.status).toBe(200);
  const { data_url } = (await answer.json()) as { data_url: string };
  return (await (await fetch(data_url)).text()).trimEnd().split('\n').length;
}

describe('settings at the ends of their ranges', () => {
  test.for(combinations(ENDS).map((environment, i) => ({ n: i + 1, environment })))(
    'work together, or are refused at the start: combination $n',
    { timeout: 5 * MINUTES },
    async ({ n, environment }, { config: base, store: { database } }) => {
      const config =
        allowed(environment) ??
        allowed({ ...environment, INLET_QUEUE_LOW_MARK: '0', INLET_BODY_MEMORY: '64mb' });
      if (!config) throw new Error('nothing of it is allowed');
      const namespace = `ends-${n}`;
      await insertEndpointRow(database, `ep_${n}`, { namespaces: [namespace] });
      await database.query({
        text: `UPDATE inlet.webhook_endpoints SET paused_until = now() + interval '1 day'`,
      });
      const inlet = await startInlet({ ...base, ...settingsOf(config) }, { workers: 1 });
      const counts: number[] = [];
      for (const version of [1, 2]) {
        const { body, count } = largestBody(config, version);
        const requestId = await writeAgain(inlet, namespace, body);
        const status = await waitFor('the request', () => statusRow(database, requestId), 4 * MINUTES);
        expect(status).toBe('succeeded');
        expect(await resultCount(inlet, namespace, requestId)).toBe(count);
        counts.push(count);
      }
      const [rows] = await database.query({
        text: `SELECT (SELECT count(*)::int FROM inlet.objects WHERE namespace = $1 AND (data ->> 'v')::int = 2) AS objects,
                      (SELECT count(*)::int FROM inlet.revisions WHERE namespace = $1) AS revisions,
                      (SELECT count(*)::int FROM inlet.webhook_deliveries
                       WHERE namespace = $1 AND type = 'workflow.succeeded' AND metadata ? 'v') AS events`,
        values: [namespace],
      });
      const [count = 0] = counts;
      expect(rows).toEqual({
        objects: count,
        revisions: config.historyLimit === 0 ? 0 : count,
        events: 2 * count,
      });
      await inlet.close();
    },
  );
});

describe('limits that meet in one statement', () => {
  async function counted(database: Database, text: string, values: readonly unknown[] = []): Promise<number> {
    const [row] = await database.query<{ count: number }>({
      text: `SELECT count(*)::int AS count ${text}`,
      values,
    });
    return row?.count ?? 0;
  }

  test('as many endpoints as there may be, each with the events of many objects', {
    timeout: 3 * MINUTES,
  }, async ({ store: { database } }) => {
    await database.query({
      text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
             SELECT 'ep_many_' || i, 'https://example.com', '{many}', '{workflow.succeeded}'
             FROM generate_series(1, $1) AS i`,
      values: [MAX_ENDPOINTS],
    });
    const objects = Array.from({ length: 2_000 }, (_, i) => object(`o${i}`));
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace: 'many', objects }]));
    const from = `FROM inlet.webhook_deliveries WHERE namespace = 'many'`;
    expect(await counted(database, from)).toBe(MAX_ENDPOINTS * 2_000);
    await database.query({ text: `DELETE FROM inlet.webhook_endpoints WHERE endpoint_id LIKE 'ep_many_%'` });
  });

  test('metadata of one object as large as it may be, for several endpoints', {
    timeout: 3 * MINUTES,
  }, async ({ store: { database } }) => {
    for (let i = 0; i < 8; i += 1)
      await insertEndpointRow(database, `ep_meta_${i}`, { namespaces: ['meta'] });
    const text = `${'x'.repeat(63 * 1024 ** 2)}`;
    const batch = handMadeBatch(2_000_000, [{ namespace: 'meta', objects: [object('a', { text })] }]);
    const schema = '{"text": {"content_type": "metadata"}}';
    await storeBatch(database, {
      ...batch,
      requests: batch.requests.map((request) => ({ ...request, schema })),
    });
    const from = `FROM inlet.webhook_deliveries WHERE namespace = 'meta' AND length(metadata ->> 'text') = $1`;
    expect(await counted(database, from, [text.length])).toBe(8);
  });

  test('errors of many objects that Postgres refuses, each as long as the object', {
    timeout: 3 * MINUTES,
  }, async ({ store: { database } }) => {
    await database.query({
      text: `CREATE FUNCTION public.refuse_at_length() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.namespace = 'errors' THEN RAISE EXCEPTION '%', repeat('no ', 300000) USING ERRCODE = '23514'; END IF;
               RETURN NEW; END $$;
             CREATE TRIGGER refuse_at_length BEFORE INSERT ON inlet.objects
               FOR EACH ROW EXECUTE FUNCTION public.refuse_at_length()`,
    });
    await insertEndpointRow(database, 'ep_errors', { namespaces: ['errors'] });
    const objects = Array.from({ length: 350 }, (_, i) => object(`o${i}`));
    // Together their events are more than Postgres takes in one value of JSON.
    expect(
      await storeBatch(database, handMadeBatch(3_000_000, [{ namespace: 'errors', objects }])),
    ).toMatchObject({
      failed: 350,
    });
    expect(await counted(database, `FROM inlet.webhook_deliveries WHERE namespace = 'errors'`)).toBe(350);
    await database.query({ text: 'DROP TRIGGER refuse_at_length ON inlet.objects' });
  });

  test('a limit of history that was lowered, and objects with many former versions', {
    timeout: 3 * MINUTES,
  }, async ({ store: { database, withHistoryLimit } }) => {
    const objects = (v: number) => Array.from({ length: 12_000 }, (_, i) => object(`o${i}`, { v }));
    const low = withHistoryLimit(1);
    await storeBatch(low, handMadeBatch(4_000_000, [{ namespace: 'history', objects: objects(1) }]));
    await database.query({
      text: `INSERT INTO inlet.revisions (namespace, id, revision, data, request_id, accepted_at, stored_at)
             SELECT namespace, id, r, data, 'r', now(), now()
             FROM inlet.objects, generate_series(1, 100) AS r WHERE namespace = 'history'`,
      timeoutMs: MINUTES,
    });
    await database.query({ text: `UPDATE inlet.objects SET revision = 101 WHERE namespace = 'history'` });
    await storeBatch(low, handMadeBatch(4_000_001, [{ namespace: 'history', objects: objects(2) }]));
    expect(await counted(database, `FROM inlet.revisions WHERE namespace = 'history'`)).toBe(12_000);
  });
});

describe('limits that meet in memory', () => {
  test.for([1, 1000])(
    'a small worker with %i evaluations at a time, whose outputs are as large as they may be',
    {
      timeout: 4 * MINUTES,
    },
    async (concurrency, { config, inlet, store: { database } }) => {
      const namespace = `outputs-${concurrency}`;
      await insertEndpointRow(database, `ep_outputs_${concurrency}`, { namespaces: [namespace] });
      await database.query({
        text: `UPDATE inlet.webhook_endpoints SET paused_until = now() + interval '1 day'`,
      });
      const worker = new InletProcess(['worker'], {
        ...{
          DATABASE_URL: config.databaseUrl,
          INLET_REDIS_PREFIX: config.redisPrefix,
          INLET_WORKER_PORT: '0',
        },
        ...(config.redisUrl ? { REDIS_URL: config.redisUrl } : {}),
        ...{ INLET_EVALUATOR: EVALUATOR, INLET_EVALUATOR_CONCURRENCY: String(concurrency) },
        NODE_OPTIONS: '--max-old-space-size=400',
      });
      onTestFinished(() => worker.close());
      const data = Array.from({ length: 1_980 }, (_, i) =>
        i < 1_480 ? { id: `o${i}` } : { id: `o${i}`, do: 'big', bytes: 900_000 },
      );
      const requestId = await inlet.write(namespace, JSON.stringify({ data }));
      const status = await waitFor('the request', () => statusRow(database, requestId), 3 * MINUTES);
      expect(status, worker.stderr).toBe('succeeded');
      const [row] = await database.query({
        text: `SELECT count(*)::int AS count, count(DISTINCT object_id)::int AS objects
             FROM inlet.webhook_deliveries WHERE namespace = $1 AND type = 'workflow.succeeded'`,
        values: [namespace],
      });
      expect(row).toEqual({ count: 1_980, objects: 1_980 });
    },
  );
});
