/** Reads the settings: each from its variable, or a secret from the file that a variable names. */
import { readFileSync, statSync } from 'node:fs';
import type { z } from 'zod';
import type { Setting } from './config/settings.ts';
import { SETTINGS } from './config/settings.ts';
import { maskUrl } from './domain/mask-url.ts';
import { OperatorError } from './errors.ts';

type Values = { [Name in keyof typeof SETTINGS]: z.infer<(typeof SETTINGS)[Name]['parse']> };
type Optional =
  | 'databaseUrl'
  | 'databaseMigrationUrl'
  | 'redisUrl'
  | 'apiKeys'
  | 'publicUrl'
  | 'trustProxy'
  | 'webhookAllowNetworks'
  | 'evaluator'
  | 'otlpEndpoint';

/** The settings of this process. */
export type Config = Readonly<Omit<Values, Optional> & { [Name in Optional]: Values[Name] | undefined }>;

type Environment = Readonly<Record<string, string | undefined>>;

/** What is appended to a secret's variable to name a file that holds it, as container platforms mount them. */
const FILE_SUFFIX = '_FILE';

/**
 * Reads and checks every setting.
 * @param environment usually `process.env`; an empty variable counts as unset
 * @throws OperatorError that names the variable, what was found (unless it is a secret) and what is allowed
 */
export function readConfig(environment: Environment): Config {
  const values = Object.entries(SETTINGS).map(([name, entry]) => [name, readSetting(entry, environment)]);
  const config = Object.fromEntries(values) as Config;
  // The settings that depend on others.
  const { bodyLimit, bodyMemory, queueHighMark, queueLowMark } = config;
  if (bodyMemory < bodyLimit) throw notAllowed(SETTINGS.bodyMemory, `${bodyMemory} bytes`);
  if (queueLowMark >= queueHighMark) throw notAllowed(SETTINGS.queueLowMark, String(queueLowMark));
  if (config.databaseMigrationUrl !== undefined && config.databaseUrl === undefined) {
    throw new OperatorError(
      'DATABASE_MIGRATION_URL is set and DATABASE_URL is not: set the URL that Inlet runs with, too.',
    );
  }
  return config;
}

function readSetting(entry: Setting<unknown>, environment: Environment): unknown {
  const { variable, default: fallback, secret, mistake, parse } = entry;
  const found = (secret ? readSecret(variable, environment) : environment[variable])?.trim() || undefined;
  // The default of this one is made of others, once the port is known.
  const text = found ?? (variable === SETTINGS.publicUrl.variable ? undefined : fallback);
  if (text === undefined) return undefined;
  const wrong = mistake?.(text);
  if (wrong !== undefined) throw new OperatorError(`${variable} ${wrong}.`);
  const result = parse.safeParse(text);
  if (result.success) return result.data;
  throw notAllowed(entry, JSON.stringify(maskUrl(text)));
}

function notAllowed({ variable, allowed, secret }: Setting<unknown>, found: string): OperatorError {
  const shown = secret ? 'a value (not shown: it is a secret)' : found;
  return new OperatorError(`${variable} is ${shown}, and must be ${allowed}.`);
}

/** @throws OperatorError where both variables are set, or the file can't be read or holds nothing */
function readSecret(variable: string, environment: Environment): string | undefined {
  const fileVariable = variable + FILE_SUFFIX;
  const path = environment[fileVariable]?.trim();
  if (!path) return environment[variable];
  if (environment[variable]?.trim()) {
    throw new OperatorError(`${variable} and ${fileVariable} are both set: unset one of them.`);
  }
  const wrong = (why: string): OperatorError =>
    new OperatorError(
      `${fileVariable} is ${JSON.stringify(path)}, and must be a file that holds ${variable}: ${why}.`,
    );
  let text: string;
  try {
    // Others, as pipes and devices, may never end.
    if (!statSync(path).isFile()) throw wrong('it is no regular file');
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw wrong((error as NodeJS.ErrnoException).code ?? 'it cannot be read');
  }
  if (text.trim() === '') throw wrong('it is empty');
  return text;
}

/** The settings for the log at start: secrets are shown as set or unset only, and URLs without theirs. */
export function describeConfig(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(SETTINGS).map(([name, entry]: [string, Setting<unknown>]) => {
      const value = config[name as keyof Config];
      return [entry.variable, value === undefined ? 'unset' : entry.secret ? 'set' : shown(value)];
    }),
  );
}

function shown(value: unknown): unknown {
  return typeof value === 'string' && URL.canParse(value) ? maskUrl(value) : value;
}
