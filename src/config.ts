/**
 * Every setting, once: its variable, default, check and description. The README's table is made of the same
 * entries, and a test holds the two together.
 */
import { z } from 'zod';
import { OperatorError } from './errors.ts';
import type { LogLevel } from './telemetry.ts';
import { LOG_LEVELS } from './telemetry.ts';

interface Setting<Value> {
  readonly variable: string;
  /** As it stands in the README; undefined where there is none. */
  readonly default: string | undefined;
  /** What is allowed, to follow "must be" in the error. */
  readonly allowed: string;
  readonly description: string;
  /** Never shown in the log. */
  readonly secret?: true;
  readonly parse: z.ZodType<Value, string>;
}

const wholeNumber = (least: number, most: number): z.ZodType<number, string> =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.number().min(least).max(most));

const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };

const byteSize = z
  .string()
  .regex(/^\d+(b|kb|mb|gb)?$/i)
  .transform((text) => Number.parseInt(text, 10) * (UNITS[text.replace(/^\d+/, '').toLowerCase()] ?? 1))
  // jsonb holds at most 256 MB, and a body grows while it is escaped on its way through the queue.
  .pipe(
    z
      .number()
      .min(1024)
      .max(64 * 1024 ** 2),
  );

const DURATIONS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};

/** In milliseconds. At most 100 years, which every clock and every sum can hold. */
const duration = z
  .string()
  .regex(/^\d+[smhd]$/i)
  .transform((text) => Number.parseInt(text, 10) * (DURATIONS[text.slice(-1).toLowerCase()] ?? 0))
  .pipe(
    z
      .number()
      .min(1_000)
      .max(36_500 * 24 * 3_600_000),
  );

const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

const url = (...protocols: string[]): z.ZodType<string, string> =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol));

/** Keys travel in a header; they can't hold a comma, which separates them here. */
const apiKeys = z
  .string()
  .transform((text) => text.split(',').map((key) => key.trim()))
  .pipe(z.array(z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,512}$/)).min(1));

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
    description: 'The Postgres that objects live in. Unset: an embedded one under `INLET_DATA_DIR`',
    secret: true,
    parse: url('postgres:', 'postgresql:'),
  }),
  redisUrl: setting({
    variable: 'REDIS_URL',
    default: undefined,
    allowed: 'a URL like redis://host:6379 or rediss://user:password@host:6379/0',
    description: 'The Redis or Valkey that the queue lives in. Unset: the queue lives in Postgres',
    secret: true,
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
      'API keys with access to everything, separated by commas. Unset: `inlet serve` makes one, keeps it under `INLET_DATA_DIR` and prints it once',
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
      .transform((text) => text.replace(/\/+$/, '')),
  }),
  bodyLimit: setting({
    variable: 'INLET_BODY_LIMIT',
    default: '10mb',
    allowed: 'a size from 1kb to 64mb',
    description: 'Largest request body, after decompression (`b`, `kb`, `mb`)',
    parse: byteSize,
  }),
  maxObjects: setting({
    variable: 'INLET_MAX_OBJECTS',
    default: '10000',
    allowed: 'a whole number from 1 to 1000000',
    description: 'Most objects in one request',
    parse: wholeNumber(1, 1_000_000),
  }),
  workerPort: setting({
    variable: 'INLET_WORKER_PORT',
    default: '8081',
    allowed: 'a port from 0 to 65535',
    description:
      'Port at which `inlet worker` answers `/healthz` and `/readyz`; `0` picks a free one and logs it',
    parse: wholeNumber(0, 65_535),
  }),
  workerConcurrency: setting({
    variable: 'INLET_WORKER_CONCURRENCY',
    default: '4',
    allowed: 'a whole number from 1 to 64',
    description:
      'Batches that one worker process stores at the same time, each over a connection of its own; and half as many chunks of imports',
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
  requireDurableQueue: setting({
    variable: 'INLET_REQUIRE_DURABLE_QUEUE',
    default: 'false',
    allowed: '"true" or "false"',
    description: 'Refuse to start on a queue that could lose acknowledged writes, instead of warning',
    parse: flag,
  }),
  logLevel: setting({
    variable: 'LOG_LEVEL',
    default: 'info',
    allowed: LOG_LEVELS.map((level) => `"${level}"`).join(', '),
    description: 'How much is logged; readable on a terminal, JSON lines otherwise',
    parse: z.enum(LOG_LEVELS) satisfies z.ZodType<LogLevel, string>,
  }),
} as const;

type Values = { [Name in keyof typeof SETTINGS]: z.infer<(typeof SETTINGS)[Name]['parse']> };
type Optional = 'databaseUrl' | 'redisUrl' | 'apiKeys' | 'publicUrl';

/** The settings of this process. */
export type Config = Readonly<Omit<Values, Optional> & { [Name in Optional]: Values[Name] | undefined }>;

/**
 * Reads and checks every setting.
 * @param environment usually `process.env`; an empty variable counts as unset
 * @throws OperatorError that names the variable, what was found (unless it is a secret) and what is allowed
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const values = Object.entries(SETTINGS).map(([name, entry]) => [name, readSetting(entry, environment)]);
  return Object.fromEntries(values) as Config;
}

function readSetting(
  { variable, default: fallback, allowed, secret, parse }: Setting<unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): unknown {
  const found = environment[variable]?.trim() || undefined;
  // The default of this one is made of others, once the port is known.
  const text = found ?? (variable === SETTINGS.publicUrl.variable ? undefined : fallback);
  if (text === undefined) return undefined;
  const result = parse.safeParse(text);
  if (result.success) return result.data;
  const shown = secret ? 'a value (not shown: it is a secret)' : JSON.stringify(text);
  throw new OperatorError(`${variable} is ${shown}, and must be ${allowed}.`);
}

/** The settings for the log at start: secrets are shown as set or unset only. */
export function describeConfig(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(SETTINGS).map(([name, entry]: [string, Setting<unknown>]) => {
      const value = config[name as keyof Config];
      return [entry.variable, value === undefined ? 'unset' : entry.secret ? 'set' : value];
    }),
  );
}
