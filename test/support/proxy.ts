// A TCP proxy: an address behind which one server can take another's place, as it does on a failover, and a connection
// that can be cut, go silent, or be slow, as networks do.
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { freePort } from '../../src/store/embedded/postmaster.ts';

export interface TestProxy {
  readonly port: number;
  /** Cuts all connections; new ones go to another port of this machine. */
  moveTo(port: number): void;
  /** New connections go to another port of this machine; those that are open stay where they are. */
  divert(port: number): void;
  /** Resets all connections, and new ones at once, until `heal()`. */
  cut(): void;
  /**
   * Nothing passes any more, in neither direction, until `heal()`, not even the end of a connection: whoever is at the
   * other side is not told. What was sent meanwhile arrives then. New connections are accepted and stay silent.
   */
  hold(): void;
  /** Everything arrives so many milliseconds later, and of a connection one piece after the other, until `heal()`. */
  slow(ms: number): void;
  heal(): void;
  /** The connections that are open now stay so and silent for ever, as those of a machine that is gone; new ones work. */
  abandon(): void;
  close(): Promise<void>;
}

/** Starts a proxy for a port of this machine. */
export async function startProxy(firstPort: number): Promise<TestProxy> {
  let target = firstPort;
  let refuses = false;
  let gate = openGate();
  const open = new Set<Socket>();
  const abandoned = new WeakSet<Socket>();
  const neverOpen = closedGate();
  const server = createServer((client) => {
    if (refuses) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    const ownGate = (): Gate => (abandoned.has(upstream) ? neverOpen : gate);
    carry(client, upstream, ownGate);
    carry(upstream, client, ownGate);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const change = (next: Gate, nextRefuses = false): void => {
    const before = gate;
    gate = next;
    refuses = nextRefuses;
    before.open();
  };
  return {
    port,
    moveTo(next) {
      target = next;
      for (const socket of open) socket.destroy();
    },
    divert(next) {
      target = next;
    },
    cut() {
      for (const socket of open) socket.resetAndDestroy();
      change(openGate(), true);
    },
    hold: () => change(closedGate()),
    slow: (ms) => change(slowGate(ms)),
    heal: () => change(openGate()),
    abandon() {
      for (const socket of open) abandoned.add(socket);
    },
    async close() {
      change(openGate(), true);
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What all that passes the proxy has to pass. */
interface Gate {
  /** Calls back in order, sooner or later. */
  pass(then: () => void): void;
  /** Lets pass what waits. */
  open(): void;
}

function openGate(): Gate {
  return { pass: (then) => then(), open: () => undefined };
}

function closedGate(): Gate {
  const waiting: (() => void)[] = [];
  return {
    pass: (then) => waiting.push(then),
    open: () => {
      for (const then of waiting.splice(0)) then();
    },
  };
}

function slowGate(ms: number): Gate {
  // What is on its way when the proxy is healed arrives at its time: timers of the same length keep their order.
  return { pass: (then) => void setTimeout(then, ms), open: () => undefined };
}

/** Carries what comes from one side to the other, and its end; why a connection ends is seen at its ends. */
function carry(from: Socket, to: Socket, gate: () => Gate): void {
  from.on('data', (piece) => {
    from.pause();
    gate().pass(() => {
      if (to.destroyed) return;
      if (to.write(piece)) from.resume();
      else to.once('drain', () => from.resume());
    });
  });
  from.on('error', () => undefined);
  // The end of either is the end of both.
  from.on('end', () => gate().pass(() => to.end()));
  from.on('close', () => gate().pass(() => to.destroySoon()));
}
