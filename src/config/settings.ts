/**
 * Every setting, once: its variable, default, check and description. The README's table is made of the same
 * entries, and a test holds the two together.
 */
import { z } from 'zod';
import type { LogLevel } from '../telemetry/log-level.ts';
import { LOG_LEVELS } from '../telemetry/log-level.ts';
import { databaseUrlMistake, redisUrlMistake } from './service-urls.ts';
import {
  addressRanges,
  apiKeys,
  byteSize,
  duration,
  durationWithin,
  flag,
  networks,
  postgresUrl,
  url,
  wholeNumber,
} from './values.ts';

export interface Setting<Value> {
  readonly variable: string;
  /** As it stands in the README; undefined where there is none. */
  readonly default: string | undefined;
  /** What is allowed, to follow "must be" in the error. */
  readonly allowed: string;
  readonly description: string;
  /** Never shown in the log. May be kept in a file, which the variable with `_FILE` after its name tells. */
  readonly secret?: true;
  /** What is wrong with a value where more can be said than what is allowed; follows the variable in the error. */
  readonly mistake?: (text: string) => string | undefined;
  readonly parse: z.ZodType<Value, string>;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

function setting<Value>(entry: Setting<Value>): Setting<Value> {
  return entry;
}

export const SETTINGS = {
  port: setting({
    variable: 'PORT',
    default: '8080',
    allowed: 'a port from 0 to 65535',
    description: 'Port of the API; `0` picks a free one and logs it',
    parse: wholeNumber(0, 65_535),
  }),
  host: setting({
    variable: 'HOST',
    default: '127.0.0.1',
    allowed: 'a host name or address',
    description: 'Address that the API listens on (`0.0.0.0` in the image)',
    parse: z.string().regex(/^[A-Za-z0-9.:_-]+$/),
  }),
  databaseUrl: setting({
    variable: 'DATABASE_URL',
    default: undefined,
    allowed: 'a URL like postgres://user:password@host:5432/database',
    description:
      'The Postgres that objects live in, at one host. Unset: an embedded one under `INLET_DATA_DIR`',
    secret: true,
    mistake: databaseUrlMistake,
    parse: postgresUrl,
  }),
  databaseMigrationUrl: setting({
    variable: 'DATABASE_MIGRATION_URL',
    default: undefined,
    allowed: 'a URL like postgres://owner:password@host:5432/database',
    description:
      'The same database as the role that owns the tables, for `inlet migrate` and `inlet serve`. They give the role of `DATABASE_URL` what it needs, or make it. Unset: migrations run as `DATABASE_URL`',
    secret: true,
    mistake: databaseUrlMistake,
    parse: postgresUrl,
  }),
  redisUrl: setting({
    variable: 'REDIS_URL',
    default: undefined,
    allowed: 'a URL like redis://host:6379 or rediss://user:password@host:6379/0',
    description:
      'The Redis or Valkey that the queue lives in, at one host. Unset: the queue lives in Postgres',
    secret: true,
    mistake: redisUrlMistake,
    parse: url('redis:', 'rediss:'),
  }),
  redisPrefix: setting({
    variable: 'INLET_REDIS_PREFIX',
    default: 'inlet',
    allowed: '1 to 64 of the characters A-Z a-z 0-9 _ -, optionally in braces',
    description: "What all of Inlet's keys in Redis begin with, where several applications share one",
    // Braces make a hash tag, without which BullMQ can't run on Redis Cluster.
    parse: z.string().regex(/^(?:[A-Za-z0-9_-]{1,64}|\{[A-Za-z0-9_-]{1,64}\})$/),
  }),
  dataDir: setting({
    variable: 'INLET_DATA_DIR',
    default: '.inlet',
    allowed: 'a directory',
    description: 'Directory of the embedded database and of generated secrets',
    parse: z.string().min(1),
  }),
  apiKeys: setting({
    variable: 'INLET_API_KEYS',
    default: undefined,
    allowed: 'comma-separated keys of at most 512 printable ASCII characters without spaces',
    description:
      'API keys with access to everything, separated by commas. Unset: `inlet serve` makes one, keeps it under `INLET_DATA_DIR` and shows it once on a terminal',
    secret: true,
    parse: apiKeys,
  }),
  publicUrl: setting({
    variable: 'INLET_PUBLIC_URL',
    default: 'http://HOST:PORT',
    allowed: 'a URL like https://inlet.example.com',
    description: 'How clients reach this server: the base of the URLs in its answers',
    parse: url('http:', 'https:')
      .refine((text) => /^https?:\/\/[^?#]+$/i.test(text))
      .transform((text) => text.replace(/(?<!\/)\/+$/, '')),
  }),
  trustProxy: setting({
    variable: 'INLET_TRUST_PROXY',
    default: undefined,
    allowed:
      'comma-separated addresses or ranges, like 10.0.0.7,172.16.0.0/12 or loopback,linklocal,uniquelocal',
    description:
      'Addresses of the proxies in front of the API, separated by commas (ranges as CIDR, or `loopback`, `linklocal`, `uniquelocal`): from them alone `X-Forwarded-For` is believed',
    parse: addressRanges,
  }),
  bodyLimit: setting({
    variable: 'INLET_BODY_LIMIT',
    default: '10mb',
    allowed: 'a size from 1kb to 64mb',
    description: 'Largest request body, after decompression (`b`, `kb`, `mb`)',
    // jsonb holds at most 256 MB, and a body grows while it is escaped on its way through the queue.
    parse: byteSize(1024, 64 * MIB),
  }),
  bodyMemory: setting({
    variable: 'INLET_BODY_MEMORY',
    default: '48mb',
    allowed: 'a size from 1kb to 16gb, and at least INLET_BODY_LIMIT',
    description:
      'Most bytes of bodies that the API holds at one time, after decompression; what comes beyond that gets 503 (`b`, `kb`, `mb`, `gb`)',
    parse: byteSize(1024, 16 * GIB),
  }),
  maxObjects: setting({
    variable: 'INLET_MAX_OBJECTS',
    default: '10000',
    allowed: 'a whole number from 1 to 100000',
    description: 'Most objects in one request',
    // A request is one transaction, with a row for each object and each of up to 500 webhook endpoints.
    parse: wholeNumber(1, 100_000),
  }),
  drainTime: setting({
    variable: 'INLET_DRAIN_TIME',
    default: '0s',
    allowed: 'a time from 0s to 10s, like 5s',
    description:
      'How long the API goes on taking requests when it is to stop, while `/readyz` says 503 already: long enough for a load balancer to notice (`s`)',
    // A stop takes 30 seconds at most.
    parse: durationWithin(0, 10_000),
  }),
  workerPort: setting({
    variable: 'INLET_WORKER_PORT',
    default: '8081',
    allowed: 'a port from 0 to 65535',
    description:
      'Port at which `inlet worker` answers `/healthz`, `/readyz` and `/metrics`; `0` picks a free one and logs it',
    parse: wholeNumber(0, 65_535),
  }),
  workerConcurrency: setting({
    variable: 'INLET_WORKER_CONCURRENCY',
    default: '4',
    allowed: 'a whole number from 1 to 64',
    description:
      'Transactions in which one worker process stores batches at the same time, each over a connection of its own; and half as many chunks of imports',
    parse: wholeNumber(1, 64),
  }),
  historyLimit: setting({
    variable: 'INLET_HISTORY_LIMIT',
    default: '100',
    allowed: 'a whole number from 0 to 1000000',
    description: 'Former versions that are kept of each object; `0` keeps none',
    parse: wholeNumber(0, 1_000_000),
  }),
  historyRetention: setting({
    variable: 'INLET_HISTORY_RETENTION',
    default: '90d',
    allowed: 'a time from 1s to 36500d, like 12h or 90d',
    description: 'How long former versions are kept (`s`, `m`, `h`, `d`)',
    parse: duration,
  }),
  requestRetention: setting({
    variable: 'INLET_REQUEST_RETENTION',
    default: '30d',
    allowed: 'a time from 1s to 36500d, like 12h or 30d',
    description: 'How long it can be asked what became of a finished request (`s`, `m`, `h`, `d`)',
    parse: duration,
  }),
  queueHighMark: setting({
    variable: 'INLET_QUEUE_HIGH_MARK',
    default: '10000',
    allowed: 'a whole number from 1 to 100000000',
    description:
      'Batches in the queue from which on writes get 503, while deletes and reads go on (a batch is up to 1,000 requests or 1 MiB)',
    parse: wholeNumber(1, 100_000_000),
  }),
  queueLowMark: setting({
    variable: 'INLET_QUEUE_LOW_MARK',
    default: '8000',
    allowed: 'a whole number from 0 to 100000000, and less than INLET_QUEUE_HIGH_MARK',
    description: 'Batches in the queue at which writes are taken again',
    parse: wholeNumber(0, 100_000_000),
  }),
  webhookAllowHttp: setting({
    variable: 'INLET_WEBHOOK_ALLOW_HTTP',
    default: 'false',
    allowed: '"true" or "false"',
    description: 'Let webhook endpoints have `http:` URLs, and not `https:` ones only',
    parse: flag,
  }),
  webhookAllowNetworks: setting({
    variable: 'INLET_WEBHOOK_ALLOW_NETWORKS',
    default: undefined,
    allowed: 'comma-separated addresses or ranges in CIDR notation, like 10.1.0.0/16,fd00:1::/64',
    description:
      'Private networks that webhooks may be sent to, separated by commas (CIDR). Unset: to public addresses only',
    parse: networks,
  }),
  webhookConcurrency: setting({
    variable: 'INLET_WEBHOOK_CONCURRENCY',
    default: '10',
    allowed: 'a whole number from 1 to 1000',
    description: 'Webhooks that are sent to one endpoint at the same time',
    parse: wholeNumber(1, 1_000),
  }),
  webhookRetention: setting({
    variable: 'INLET_WEBHOOK_RETENTION',
    default: '30d',
    allowed: 'a time from 1s to 36500d, like 12h or 30d',
    description: 'How long deliveries of webhooks are listed and can be replayed (`s`, `m`, `h`, `d`)',
    parse: duration,
  }),
  evaluator: setting({
    variable: 'INLET_EVALUATOR',
    default: undefined,
    allowed: 'the path of an ES module, or the name of a package',
    description: 'ES module whose default export has `evaluate`, which workers call for each stored object',
    parse: z.string().min(1),
  }),
  evaluatorConcurrency: setting({
    variable: 'INLET_EVALUATOR_CONCURRENCY',
    default: '8',
    allowed: 'a whole number from 1 to 1000',
    description: 'Objects that one worker process evaluates at the same time',
    parse: wholeNumber(1, 1_000),
  }),
  evaluatorTimeout: setting({
    variable: 'INLET_EVALUATOR_TIMEOUT',
    default: '30s',
    allowed: 'a time from 1s to 36500d, like 30s or 5m',
    description: 'Longest time that the evaluation of one object may take (`s`, `m`, `h`, `d`)',
    parse: duration,
  }),
  requireDurableQueue: setting({
    variable: 'INLET_REQUIRE_DURABLE_QUEUE',
    default: 'false',
    allowed: '"true" or "false"',
    description:
      'Refuse to start on a queue that could lose acknowledged writes, and writes while it could, instead of warning',
    parse: flag,
  }),
  metricsAccess: setting({
    variable: 'INLET_METRICS_ACCESS',
    default: 'auto',
    allowed: '"auto", "open" or "admin"',
    description:
      "Who may read the API's `/metrics`: `open` everybody, `admin` keys with the scope `admin`, `auto` everybody while `HOST` is a loopback address, and keys otherwise",
    parse: z.enum(['auto', 'open', 'admin']),
  }),
  otlpEndpoint: setting({
    variable: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    default: undefined,
    allowed: 'a URL like http://collector:4318',
    description:
      'Where OpenTelemetry traces are sent over OTLP/HTTP; unset: there are none. The other `OTEL_…` variables of the SDK hold too',
    parse: url('http:', 'https:'),
  }),
  logLevel: setting({
    variable: 'LOG_LEVEL',
    default: 'info',
    allowed: LOG_LEVELS.map((level) => `"${level}"`).join(', '),
    description: 'How much is logged; readable on a terminal, JSON lines otherwise',
    parse: z.enum(LOG_LEVELS) satisfies z.ZodType<LogLevel, string>,
  }),
} as const;
