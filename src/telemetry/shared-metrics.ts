/** What is measured on both sides: the queue that stands between them, and connections to Postgres. */
import type { QueueLoad } from '../queue/queue.ts';
import type { PoolUse } from '../store/database.ts';
import type { Registry } from './registry.ts';

/** Makes the metrics of the queue. @param load the latest that is known of it; undefined where it can't be asked */
export function queueMetrics(registry: Registry, load: () => QueueLoad | undefined): void {
  registry.gauge(
    'inlet_queue_batches',
    'Batches that wait or are being worked on. The same from every process: take the maximum.',
    () => {
      const depth = load()?.depth;
      return depth && Object.entries(depth).map(([lane, batches]) => [batches, { lane }]);
    },
  );
  registry.gauge(
    'inlet_queue_oldest_batch_age_seconds',
    'How long ago the oldest batch of them was made.',
    () => {
      const ms = load()?.oldestAgeMs;
      return ms === undefined ? undefined : ms / 1_000;
    },
  );
  registry.gauge(
    'inlet_queue_clock_behind_seconds',
    "How far the clock of the queue's server was behind the stamps of writes when an API took the last one.",
    () => {
      const ms = load()?.clockBehindMs;
      return ms === undefined ? undefined : ms / 1_000;
    },
  );
  registry.gauge(
    'inlet_queue_memory_used_bytes',
    'Memory that Redis takes up, where it has a limit.',
    () => load()?.memory?.usedBytes,
  );
  registry.gauge(
    'inlet_queue_memory_limit_bytes',
    'Memory that Redis may take up before batches are refused.',
    () => load()?.memory?.limitBytes,
  );
}

/** Makes the metrics of the pools of connections to Postgres, by the name of each. */
export function poolMetrics(registry: Registry, pools: ReadonlyMap<string, () => PoolUse>): void {
  const each = (read: (use: PoolUse, pool: string) => [number, Record<string, string>][]) => () =>
    [...pools].flatMap(([pool, use]) => read(use(), pool));
  registry.gauge(
    'inlet_database_connections',
    'Connections to Postgres of a pool, by whether they are in use.',
    each(({ used, idle }, pool) => [
      [used, { pool, state: 'used' }],
      [idle, { pool, state: 'idle' }],
    ]),
  );
  registry.gauge(
    'inlet_database_connections_max',
    'Most connections that a pool may have.',
    each(({ size }, pool) => [[size, { pool }]]),
  );
  registry.gauge(
    'inlet_database_connection_waiters',
    'Callers that wait for a connection of a pool.',
    each(({ waiting }, pool) => [[waiting, { pool }]]),
  );
}

/** Makes the metric that tells what runs here. @param version Inlet's */
export function buildMetric(registry: Registry, version: string): void {
  registry.gauge('inlet_build_info', 'What runs here; always 1.', () => [
    [1, { version, node_version: process.versions.node }],
  ]);
}
