/**
 * Processes that die at a named point, each point by itself: what is there after a restart. The points are in
 * stand-ins/, which take the place of modules of the build.
 */
import { expect } from 'vitest';
import { lines } from '../../support/imports.ts';
import { KEY } from '../../support/inlet.ts';
import { query } from '../../support/postgres.ts';
import { Receiver } from '../../support/receiver.ts';
import { waitFor } from '../../support/wait-for.ts';
import { whileStoring } from '../while-storing.ts';
import type { QueueName, World } from '../world.ts';
import { describeOn, worldTest } from '../world-test.ts';

/** Longest time until a dead worker's batches are taken over and stored. */
const TAKEN_OVER_MS = 60_000;

type Row = Record<string, unknown>;

export function crashPoints(queue: QueueName): void {
  const environment = {
    INLET_WEBHOOK_ALLOW_HTTP: 'true',
    INLET_WEBHOOK_ALLOW_NETWORKS: '127.0.0.0/8',
  };
  // Most of these wait until a dead worker's jobs are taken over, which takes 15 s otherwise.
  const standIns = { [`queue/${queue}.js`]: `short-locks-${queue}` };
  const test = worldTest({ queue, apis: 1, workers: 1, environment, standIns });
  describeOn(queue, 'a crash', () => {
    let world: World;
    let namespace = '';
    let tests = 0;

    test.beforeEach(({ world: current }) => {
      world = current;
      tests += 1;
      namespace = `crash-${tests}`;
    });

    const api = () => world.apis[0] as World['apis'][number];
    const worker = () => world.workers[0] as World['workers'][number];
    const rows = (sql: string): Promise<Row[]> =>
      query(world.postgres.url, sql.replaceAll('$namespace', `'${namespace}'`));

    /** Sends, and answers the status; undefined where the connection broke. */
    async function send(
      path: string,
      body: string,
      method = 'POST',
    ): Promise<{ status: number; body: Row } | undefined> {
      const url = path.startsWith('http') ? path : `${api().url}/v1/data/${namespace}${path}`;
      const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
      try {
        const response = await fetch(url, { method, headers, ...(body ? { body } : {}) });
        return { status: response.status, body: (await response.json()) as Row };
      } catch {
        return undefined;
      }
    }

    /** What is to be delivered, each once, whatever has been tried of it. */
    const events = () =>
      rows(`SELECT type, object_id FROM inlet.webhook_deliveries WHERE namespace = $namespace
            ORDER BY object_id, webhook_id`);

    const requests = () =>
      rows(
        `SELECT status, objects, failed FROM inlet.requests WHERE namespace = $namespace ORDER BY request_id`,
      );

    /** Waits until the queue is empty and no request is on its way. */
    async function quiet(): Promise<void> {
      const isQuiet = async (): Promise<boolean> => {
        const open = await rows(
          `SELECT 1 FROM inlet.requests WHERE namespace = $namespace AND completed_at IS NULL`,
        );
        return open.length === 0 && (await world.leftInQueue()) === 0;
      };
      await waitFor('the queue to be empty and all requests to be done', isQuiet, TAKEN_OVER_MS);
    }

    async function newImport(): Promise<string> {
      const answer = await send('/requests/upload-url', '');
      return String(answer?.body['upload_url']);
    }

    /** The whole of an import that was told as `count` objects, each stored once and never changed. */
    async function expectImported(count: number): Promise<void> {
      expect(await requests()).toEqual([{ status: 'succeeded', objects: count, failed: 0 }]);
      expect(
        await rows(
          `SELECT count(*)::int AS objects, max(revision)::int AS revision FROM inlet.objects WHERE namespace = $namespace`,
        ),
      ).toEqual([{ objects: count, revision: 1 }]);
      expect(
        await rows(
          `SELECT sum(jsonb_array_length(c.ids))::int AS ids FROM inlet.import_chunks c
           JOIN inlet.requests USING (request_id) WHERE namespace = $namespace`,
        ),
      ).toEqual([{ ids: count }]);
    }

    test('after the enqueue, before the answer: it is stored, and sending it again does no harm', {
      timeout: 120_000,
    }, async () => {
      await api().restart({ 'ingest/observed-queue.js': 'die-after-enqueue' });
      await api().alive();
      expect(await send('', '{"data":{"id":"a","n":1}}')).toBeUndefined();
      await api().died();
      api().start();
      await api().ready();
      await quiet();
      expect(await requests()).toEqual([{ status: 'succeeded', objects: 1, failed: 0 }]);
      expect((await send('', '{"data":{"id":"a","n":1}}'))?.status).toBe(202);
      await waitFor('the second request', async () => (await requests()).length === 2);
      const stored = `SELECT o.revision::int AS revision, o.request_id = max(r.request_id) AS is_last
        FROM inlet.objects o JOIN inlet.requests r USING (namespace) WHERE o.namespace = $namespace
        GROUP BY o.namespace, o.id`;
      expect(await rows(stored)).toEqual([{ revision: 1, is_last: true }]);
      expect(await rows('SELECT 1 FROM inlet.revisions WHERE namespace = $namespace')).toEqual([]);
    });

    test('after the commit, before its job is completed: the second time changes nothing', {
      timeout: 120_000,
    }, async () => {
      await rows(`INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events) VALUES
                  ('ep_' || $namespace, 'https://127.0.0.1:1/', ARRAY[$namespace],
                   ARRAY['workflow.succeeded', 'workflow.failed'])`);
      await send('', '{"data":{"id":"a","n":0}}');
      await quiet();
      await worker().restart({ 'ingest/store-batch.js': 'die-after-commit' });
      expect((await send('', '{"data":[{"id":"a","n":1},{"id":"b","poison":1},{"id":"c"}]}'))?.status).toBe(
        202,
      );
      await worker().died();
      const everything = async (): Promise<unknown> => [
        await rows('SELECT * FROM inlet.objects WHERE namespace = $namespace ORDER BY id'),
        await rows('SELECT * FROM inlet.revisions WHERE namespace = $namespace ORDER BY id, revision'),
        await rows('SELECT * FROM inlet.requests WHERE namespace = $namespace ORDER BY request_id'),
        await rows('SELECT * FROM inlet.failed_objects WHERE namespace = $namespace'),
        await events(),
      ];
      const before = await everything();
      expect(await events()).toEqual([
        { type: 'workflow.succeeded', object_id: 'a' },
        { type: 'workflow.succeeded', object_id: 'a' },
        { type: 'workflow.failed', object_id: 'b' },
        { type: 'workflow.succeeded', object_id: 'c' },
      ]);
      expect(await requests()).toEqual([
        { status: 'succeeded', objects: 1, failed: 0 },
        { status: 'failed', objects: 3, failed: 1 },
      ]);
      expect(await world.leftInQueue()).toBe(1);
      worker().start();
      await quiet();
      expect(await everything()).toEqual(before);
    });

    test('after the commit of events, before anybody is woken: the sweep finds them, and they are delivered', {
      timeout: 120_000,
    }, async () => {
      const receiver = await Receiver.start();
      try {
        const endpoint = JSON.stringify({ url: receiver.url, namespaces: [namespace] });
        expect((await send(`${api().url}/v1/webhooks/endpoints`, endpoint))?.status).toBe(201);
        await worker().restart({ 'ingest/store-batch.js': 'die-before-wake' });
        expect((await send('', '{"data":[{"id":"a"},{"id":"b","poison":1}]}'))?.status).toBe(202);
        await worker().died();
        expect(receiver.received).toEqual([]);
        worker().start({ 'ingest/store-batch.js': 'never-wakes' });
        await waitFor('both events to be delivered', () => receiver.ids.size === 2, TAKEN_OVER_MS);
        await quiet();
        expect(
          await rows(`SELECT count(*)::int AS n FROM inlet.webhook_deliveries WHERE namespace = $namespace`),
        ).toEqual([{ n: 2 }]);
        expect(receiver.received.map(({ body }) => (JSON.parse(body) as Row)['type']).sort()).toEqual([
          'workflow.failed',
          'workflow.succeeded',
        ]);
      } finally {
        await receiver.close();
        await worker().restart();
        await worker().ready();
      }
    });

    test('of the machine, in the middle of a transaction: its locks are let go of', {
      timeout: 120_000,
    }, async () => {
      await send('', '{"data":{"id":"a","n":0}}');
      await quiet();
      await whileStoring(
        world.postgres.url,
        async () => {
          for (const [name, link] of world.links) if (name.startsWith('worker0')) link.abandon();
          await worker().kill();
        },
        () => send('', '{"data":{"id":"a","n":1}}'),
      );
      worker().start();
      await quiet();
      expect(await rows(`SELECT data FROM inlet.objects WHERE namespace = $namespace`)).toEqual([
        { data: { id: 'a', n: 1 } },
      ]);
    });

    test('between two chunks of an upload: it is sent again, and counts once', {
      timeout: 120_000,
    }, async () => {
      await api().restart({ 'ingest/observed-queue.js': 'die-after-second-chunk' });
      await api().alive();
      const url = await newImport();
      expect(await send(url, lines(3_500), 'PUT')).toBeUndefined();
      await api().died();
      api().start();
      await api().ready();
      await waitFor('the queue to be empty', async () => (await world.leftInQueue()) === 0);
      expect(await requests()).toEqual([{ status: 'uploading', objects: 2_000, failed: 0 }]);
      // The dead API holds the upload until its lease is over.
      expect((await send(url, lines(3_500), 'PUT'))?.status).toBe(409);
      await rows(`UPDATE inlet.imports SET alive_at = alive_at - interval '30 seconds'`);
      expect((await send(url, lines(3_500), 'PUT'))?.status).toBe(200);
      await quiet();
      await expectImported(3_500);
    });

    test('when all chunks are in the queue, before that is noted: it is sent again, and counts once', {
      timeout: 120_000,
    }, async () => {
      await api().restart({ 'store/imports.js': 'die-before-upload-is-complete' });
      await api().alive();
      const url = await newImport();
      expect(await send(url, lines(2_500), 'PUT')).toBeUndefined();
      await api().died();
      api().start();
      await api().ready();
      await waitFor('the queue to be empty', async () => (await world.leftInQueue()) === 0);
      expect(await requests()).toEqual([{ status: 'uploading', objects: 2_500, failed: 0 }]);
      await rows(`UPDATE inlet.imports SET alive_at = alive_at - interval '30 seconds'`);
      expect((await send(url, lines(2_500), 'PUT'))?.status).toBe(200);
      await quiet();
      await expectImported(2_500);
    });

    test('after the commit of a chunk: it is counted once', { timeout: 120_000 }, async () => {
      await worker().restart({ 'ingest/store-batch.js': 'die-after-commit' });
      const sent = send(await newImport(), lines(2_500), 'PUT');
      await worker().died();
      worker().start();
      expect((await sent)?.status).toBe(200);
      await quiet();
      await expectImported(2_500);
    });

    test('after the commit of the last chunk: the import is finished by the next worker', {
      timeout: 120_000,
    }, async () => {
      await worker().kill();
      expect((await send(await newImport(), lines(2_500), 'PUT'))?.status).toBe(200);
      worker().start({ 'store/imports.js': 'die-before-import-is-finished' });
      await worker().died();
      expect(await requests()).toEqual([{ status: 'ingesting', objects: 2_500, failed: 0 }]);
      worker().start();
      await quiet();
      await expectImported(2_500);
    });
  });
}
