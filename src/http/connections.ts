/** Connections: how long they may stand still, and how many there may be. The figures are in limits.ts. */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyHttpOptions, FastifyInstance } from 'fastify';
import { ProblemError } from '../errors.ts';
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
const MAKE_ROOM_EVERY_MS = 100;

/** How long a connection may be open without a byte before it counts as one that nobody uses, in milliseconds. */
const SILENT_MS = 2_000;

/** Connections that are being told that there are too many; each for a moment. */
const REFUSED_AT_ONCE = 64;

/**
 * Bounds the number of connections. A process that has run out of file descriptors can't accept any more either, nor
 * reach its database again where it has lost it.
 * @param refuse answers and closes
 */
export function limitConnections(
  { server }: FastifyInstance,
  limits: HttpLimits,
  log: Log,
  refuse: (socket: Socket, problem: ProblemError) => void,
): void {
  const most = Math.max(1, Math.min(limits.connections, openFilesLimit() - OTHER_FILES));
  server.maxConnections = most + REFUSED_AT_ONCE;
  const report = errorReporter(log, 'connections are refused');
  const tooMany = new ProblemError('unavailable', 'there are too many connections: try again', {
    headers: { 'retry-after': '1' },
  });
  const openSince = new Map<Socket, number>();
  let madeRoomAt = Number.NEGATIVE_INFINITY;

  function makeRoom(now: number): void {
    if (now - madeRoomAt < MAKE_ROOM_EVERY_MS) return;
    madeRoomAt = now;
    server.closeIdleConnections();
    for (const [socket, since] of openSince) {
      if (now - since < SILENT_MS) break;
      if (socket.bytesRead > 0) continue;
      socket.destroy();
      openSince.delete(socket);
    }
  }

  server.on('drop', () => report(new Error(`there are ${server.maxConnections} already`)));
  server.on('connection', (socket) => {
    const now = performance.now();
    if (openSince.size >= most * CROWDED) makeRoom(now);
    if (openSince.size >= most) {
      report(new Error(`there are ${most} already`));
      refuse(socket, tooMany);
      // Before anything of it is read: a request that is refused must not be carried out.
      socket.destroySoon();
      return;
    }
    openSince.set(socket, now);
    socket.once('close', () => openSince.delete(socket));
  });
}

/**
 * Lets clients end their side of the connection when they have sent their requests: that is no loss of interest in the answers
 * (RFC 9112, 9.6). Whether a client has gone shows when it is sent something.
 */
export function answerHalfClosed({ server }: FastifyInstance): void {
  // Node has it in every version, and its types leave it out.
  Object.assign(server, { httpAllowHalfOpen: true });
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
