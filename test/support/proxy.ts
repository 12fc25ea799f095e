// A TCP proxy: an address behind which one server can take another's place, as it does on a failover.
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { freePort } from '../../src/store/embedded/postmaster.ts';

export interface TestProxy {
  readonly port: number;
  /** Cuts all connections; new ones go to another port of this machine. */
  moveTo(port: number): void;
  close(): Promise<void>;
}

/** Starts a proxy for a port of this machine. */
export async function startProxy(firstPort: number): Promise<TestProxy> {
  let target = firstPort;
  const open = new Set<Socket>();
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket);
      socket.pipe(other);
      // The end of either is the end of both; why is seen at the ends.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    moveTo(next) {
      target = next;
      cut();
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
