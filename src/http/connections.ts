/** Connections: how long they may stand still, and how many there may be. The figures are in limits.ts. */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { FastifyHttpOptions, FastifyInstance } from 'fastify';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { HttpLimits } from './limits.ts';

/** Largest headers of a request, in bytes; Node's default, which its command line could change. */
const MAX_HEADER_BYTES = 16 * 1024;

/** The part of Fastify's options that is about connections. */
export function connectionOptions(limits: HttpLimits) {
  return {
    // Of the whole request: uploads take as long as they take. Bodies have limits of their own.
    requestTimeout: 0,
    connectionTimeout: limits.stalledMs,
    keepAliveTimeout: limits.keepAliveMs,
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.headersCheckMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      // What is ambiguous is refused, or a proxy in front could see another request than this server does.
      insecureHTTPParser: false,
      // Node would answer with an empty 400; the server gives it the same as any other mistake.
      requireHostHeader: false,
    },
  } as const satisfies FastifyHttpOptions<Server>;
}

/** What a process opens beside its clients' connections: its own to Postgres and Redis, files, pipes. */
const OTHER_FILES = 256;

/** Share of the connections from which on those that nobody uses are closed, to make room for those that come. */
const CROWDED = 0.9;

/** How often that is done at most, in milliseconds. */
const MAKE_ROOM_EVERY_MS = 1_000;

/**
 * Bounds the number of connections. A process that has run out of file descriptors can't accept any more either, nor
 * reach its database again where it has lost it.
 */
export function limitConnections({ server }: FastifyInstance, limits: HttpLimits, log: Log): void {
  const most = Math.max(1, Math.min(limits.connections, openFilesLimit() - OTHER_FILES));
  server.maxConnections = most;
  const report = errorReporter(log, 'connections are closed at once');
  server.on('drop', () => report(new Error(`there are ${most} already`)));
  let open = 0;
  let madeRoomAt = Number.NEGATIVE_INFINITY;
  server.on('connection', (socket) => {
    open += 1;
    socket.once('close', () => {
      open -= 1;
    });
    if (open > most * CROWDED && performance.now() - madeRoomAt > MAKE_ROOM_EVERY_MS) {
      madeRoomAt = performance.now();
      server.closeIdleConnections();
    }
  });
}

/** How many files this process may have open (Node raises that to what the system allows at its start). */
function openFilesLimit(): number {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return found === undefined ? Number.POSITIVE_INFINITY : Number(found);
  } catch {
    // Only Linux tells it there; elsewhere the constant has to do.
    return Number.POSITIVE_INFINITY;
  }
}
