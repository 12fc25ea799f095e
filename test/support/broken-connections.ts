/** Connections to Postgres that break the moment they are made, as they do while its administrator ends them all. */
import { connect, createServer } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { KEY } from './inlet.ts';
import { query } from './postgres.ts';
import { InletProcess } from './process.ts';
import { waitFor } from './wait-for.ts';

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
  onTestFinished(() => void server.close());
  return { port, state };
}

/** Checks that processes whose queue is in Postgres live through that, and end in order. @param roles the last has the API */
export async function expectToSurvive(databaseUrl: string, ...roles: string[]): Promise<void> {
  const { port, state } = await startBreaker(Number(new URL(databaseUrl).port));
  const broken = new URL(databaseUrl);
  broken.port = `${port}`;
  const settings = {
    ...{ DATABASE_URL: broken.href, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
  };
  const children = roles.map((role) => new InletProcess([role], settings));
  onTestFinished(async () => {
    for (const child of children) await child.close();
  });
  const api = children.at(-1) as InletProcess;
  const url = await api.apiUrl();
  await (children[0] as InletProcess).logged('the worker runs');

  state.breaks = true;
  await query(
    databaseUrl,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  await waitFor('20 connections to be broken', () => state.broken > 20);
  state.breaks = false;

  await waitFor('a write to be taken', async () => {
    const response = await fetch(`${url}/v1/data/broken`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: '{"data":{"id":"a"}}',
    });
    return response.status === 202;
  });
  await waitFor('it to be stored', async () => {
    return (await query(databaseUrl, 'SELECT 1 FROM inlet.objects')).length === 1;
  });
  for (const child of children) {
    const { code, stdout } = await child.kill('SIGTERM');
    expect(code, stdout).toBe(0);
    expect(stdout).not.toContain('this is a bug');
  }
}
