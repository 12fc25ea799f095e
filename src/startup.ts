/** What a start has to wait for, and to refuse. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { OperatorError } from './errors.ts';
import { faultKind } from './store/faults.ts';
import { urlMistake } from './store/url-mistakes.ts';
import type { Log } from './telemetry.ts';
import { errorReporter } from './telemetry.ts';

/** How long a start waits for Postgres before it gives up, in milliseconds. */
const DATABASE_TIMEOUT_MS = 60_000;

/**
 * Starts listening.
 * @param variable the setting that names the port
 * @returns the URL at which the server is reached from this machine
 * @throws OperatorError where the port or the address can't be had
 */
export async function listen(
  server: FastifyInstance,
  host: string,
  port: number,
  variable: string,
): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new OperatorError(
        `Port ${port} on ${host} is in use: stop what listens there, or set ${variable}.`,
      );
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new OperatorError(`Cannot listen on ${host} port ${port} (${code}): set HOST or ${variable}.`);
    }
    throw error;
  }
  const address = server.server.address();
  const actual = typeof address === 'object' && address ? address.port : port;
  return localUrl(host, actual);
}

/** The URL at which a server that listens on an address is reached from this machine. */
export function localUrl(host: string, port: number): string {
  const shown = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${shown}:${port}`;
}

/** When a wait is told of, and how often from then on, in milliseconds. */
const FIRST_WORD_MS = 2_000;
const FURTHER_WORDS_MS = 10_000;

/** Waits for something that a start needs, and says so where it takes long. @param what it is waited for */
export async function sayingWhatFor<T>(log: Log, what: string, wait: Promise<T>): Promise<T> {
  const say = (): void => log.info(`the start waits for ${what}`);
  let timer = setTimeout(() => {
    say();
    timer = setInterval(say, FURTHER_WORDS_MS);
  }, FIRST_WORD_MS);
  try {
    return await wait;
  } finally {
    clearTimeout(timer);
  }
}

/** @throws OperatorError where Postgres can't be used as long as its setting is what it is */
export function refuseMistake(error: unknown): void {
  const mistake = urlMistake(error);
  if (mistake !== undefined) throw new OperatorError(`DATABASE_URL ${mistake}.`, { cause: error });
}

/**
 * Runs something that needs Postgres, again and again while that is away.
 * @param stopping ends the wait with an AbortError
 * @throws OperatorError where it stays away, or its setting is wrong; whatever `run` throws otherwise
 */
export async function retryWhileUnavailable<T>(
  log: Log,
  stopping: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + DATABASE_TIMEOUT_MS;
  const report = errorReporter(log, 'waiting for Postgres');
  for (;;) {
    try {
      return await sayingWhatFor(log, 'Postgres (DATABASE_URL)', run());
    } catch (err) {
      refuseMistake(err);
      if (faultKind(err) !== 'infrastructure') throw err;
      if (performance.now() > deadline) {
        throw new OperatorError(`Postgres (DATABASE_URL) cannot be reached: ${(err as Error).message}`);
      }
      report(err as Error);
      await delay(1_000, undefined, stopping ? { signal: stopping } : {});
    }
  }
}
