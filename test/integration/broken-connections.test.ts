/** Connections to Postgres that break the moment they are made, as they do while its administrator ends them all. */
import { connect, createServer } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { eventually, KEY } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
});

/** How a server ends its answer to a start: ReadyForQuery, idle. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** ErrorResponse, with its fields: severity twice, code, message. */
function fatal(): Buffer {
  const fields = Buffer.from(
    'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0',
  );
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** A proxy that, while it is told to, sends the end of each new connection in one piece with its beginning. */
async function startBreaker(target: number) {
  const state = { breaks: false, broken: 0 };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    const breaks = state.breaks;
    client.pipe(upstream);
    upstream.on('data', (piece) => {
      if (!breaks || !piece.subarray(-READY.length).equals(READY)) {
        client.write(piece);
        return;
      }
      state.broken += 1;
      client.end(Buffer.concat([piece, fatal()]));
      upstream.destroy();
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroySoon());
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  closers.push(async () => void server.close());
  return { port, state };
}

it('do not end a worker or an API whose queue is in Postgres, also not while they stop', {
  timeout: 60_000,
}, async () => {
  const { url: databaseUrl, drop } = await createTestDatabase();
  closers.push(drop);
  const { port, state } = await startBreaker(Number(new URL(databaseUrl).port));
  const broken = new URL(databaseUrl);
  broken.port = `${port}`;
  const start = (role: string): InletProcess => {
    const child = new InletProcess([role], {
      ...{ DATABASE_URL: broken.href, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
    });
    closers.push(() => child.close());
    return child;
  };
  const worker = start('worker');
  const api = start('api');
  const url = await api.apiUrl();
  await worker.logged('the worker runs');

  state.breaks = true;
  await query(
    databaseUrl,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  await eventually(async () => (state.broken > 20 ? true : undefined));
  state.breaks = false;

  const write = async (): Promise<true | undefined> => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const response = await fetch(`${url}/v1/data/broken`, {
      method: 'POST',
      headers,
      body: '{"data":{"id":"a"}}',
    });
    return response.status === 202 ? true : undefined;
  };
  await eventually(write);
  await eventually(async () => {
    const rows = await query(databaseUrl, 'SELECT 1 FROM inlet.objects');
    return rows.length === 1 ? true : undefined;
  });
  for (const child of [worker, api]) {
    const { code, stdout } = await child.kill('SIGTERM');
    expect(code, stdout).toBe(0);
    expect(stdout).not.toContain('this is a bug');
  }
});
