/** A running Inlet for tests: API and worker in this process, on services that the suite has started. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { expect, inject } from 'vitest';
import { type Config, readConfig } from '../../src/config.ts';
import type { ApiParts, RunningApi } from '../../src/roles/api.ts';
import { startApi } from '../../src/roles/api.ts';
import type { WorkerParts } from '../../src/roles/worker.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { QueueConfig, RuntimeConfig } from '../../src/runtime.ts';
import { runMigrations } from '../../src/runtime.ts';
import { createLog } from '../../src/telemetry.ts';
import { checkAnswersOf } from './answers.ts';
import { queueIdOf } from './postgres.ts';
import { waitFor } from './wait-for.ts';

export const KEY = 'sk_test_0123456789abcdef';

const log = createLog((process.env['TEST_LOG'] as 'debug') ?? 'silent');

/** What the tests need of the services. */
export interface Services {
  readonly databaseUrl: string;
  /** Unset: the queue lives in Postgres. */
  readonly redisUrl?: string | undefined;
}

/** Settings as a process would read them, on a free port and with Redis keys of their own; the queue is that of a test database. */
export function testConfig(
  { databaseUrl, redisUrl }: Services,
  overrides: Partial<Config> = {},
): QueueConfig {
  const config = readConfig({
    PORT: '0',
    DATABASE_URL: databaseUrl,
    // No folder: nothing is to be left behind.
    INLET_DATA_DIR: '/dev/null/inlet',
    INLET_REDIS_PREFIX: `test-${randomUUID()}`,
    ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
  });
  return { ...config, ...overrides, databaseUrl, queueId: inject('queueId') };
}

/** Where a queue lives. */
export type QueueName = 'redis' | 'postgres';

/** The suite's Redis, for a queue that lives there. @throws Error where there is none */
export function redisUrlOf(queue: QueueName): string | undefined {
  if (queue === 'postgres') return undefined;
  const url = inject('redisUrl');
  if (url === null) throw new Error('this test needs redis-server');
  return url;
}

export interface StartOptions {
  /** How many workers; one unless told. */
  readonly workers?: number;
  readonly apiLog?: Logger;
  readonly parts?: ApiParts;
  readonly workerParts?: WorkerParts;
}

export class TestInlet {
  readonly config: QueueConfig;
  readonly #api: RunningApi;
  #closed: Promise<void> | undefined;
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(config: QueueConfig, api: RunningApi) {
    this.config = config;
    this.#api = api;
    this.#closers.push(() => api.close());
    checkAnswersOf(api.url);
  }

  /** Starts the API and as many workers as are asked for. */
  static async start(
    config: QueueConfig,
    { workers = 1, apiLog = log, parts, workerParts }: StartOptions = {},
  ): Promise<TestInlet> {
    const inlet = new TestInlet(config, await startApi(config, [KEY], apiLog, undefined, parts));
    try {
      for (let i = 0; i < workers; i += 1) await inlet.addWorker(workerParts);
    } catch (error) {
      await inlet.close();
      throw error;
    }
    return inlet;
  }

  get url(): string {
    return this.#api.url;
  }

  async addWorker(parts: WorkerParts = {}): Promise<() => Promise<void>> {
    const worker = await startWorker(this.config, log, undefined, undefined, parts);
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closed ??= worker.close();
      return closed;
    };
    this.#closers.push(close);
    return close;
  }

  /** Ends it. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }

  /** Sends a request with the key and, with a body, as JSON. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${KEY}`);
    if (init.body !== undefined && !headers.has('content-type'))
      headers.set('content-type', 'application/json');
    return fetch(this.url + path, { ...init, headers });
  }

  /** POSTs a body given as text or bytes. */
  post(
    namespace: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return this.fetch(`/v1/data/${namespace}`, { method: 'POST', body, headers });
  }

  /** Writes and returns the request id; throws unless the answer is 202. */
  async write(
    namespace: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers?: Record<string, string>,
  ): Promise<string> {
    const response = await this.post(namespace, body, headers);
    const answer = await response.text();
    if (response.status !== 202) throw new Error(`expected 202, got ${response.status}: ${answer}`);
    return (JSON.parse(answer) as { requestId: string }).requestId;
  }

  async status(namespace: string, requestId: string): Promise<RequestAnswer> {
    const response = await this.fetch(`/v1/data/${namespace}/requests/${requestId}`);
    const answer = await response.text();
    expect(response.status, answer).toBe(200);
    return JSON.parse(answer) as RequestAnswer;
  }

  /** Waits until a request is done and returns its status. */
  async done(namespace: string, requestId: string): Promise<RequestAnswer> {
    return waitFor(`request ${requestId} to be done`, async () => {
      const answer = await this.status(namespace, requestId);
      return (answer.status === 'succeeded' || answer.status === 'failed') && answer;
    });
  }

  /** The text of an object's answer; undefined where it isn't there. */
  async objectText(namespace: string, id: string): Promise<string | undefined> {
    const response = await this.fetch(`/v1/data/${namespace}/objects/${encodeURIComponent(id)}`);
    if (response.status === 404) return undefined;
    expect(response.status).toBe(200);
    return response.text();
  }

  async object(namespace: string, id: string): Promise<ObjectAnswer | undefined> {
    const text = await this.objectText(namespace, id);
    return text === undefined ? undefined : (JSON.parse(text) as ObjectAnswer);
  }
}

export interface RequestAnswer {
  readonly namespace: string;
  readonly request_id: string;
  readonly status: string;
  readonly data: readonly { readonly id: string; readonly url: string }[];
  readonly accepted_at: string;
  readonly stamp: string | null;
  readonly completed_at: string | null;
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
  readonly errors: readonly { readonly index: number; readonly id: string; readonly message: string }[];
}

export interface ObjectAnswer {
  readonly namespace: string;
  readonly id: string;
  readonly data: Record<string, unknown>;
  readonly revision: number;
  readonly request_id: string;
  readonly accepted_at: string;
}

/** An error's answer. */
export interface ProblemAnswer {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly message: string;
  readonly requestId: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
  readonly more_errors?: number;
}

/** Migrates a database for tests that start their own. */
export async function prepare(config: RuntimeConfig): Promise<QueueConfig> {
  await runMigrations(config, log);
  return { ...config, queueId: await queueIdOf(config.databaseUrl) };
}
