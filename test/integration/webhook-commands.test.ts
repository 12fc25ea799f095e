/** `inlet webhooks`: what it does, prints, and exits with. */
import { describe, expect } from 'vitest';
import { runCommand } from '../support/command.ts';
import { inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import type { Ended } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';
import { insertDeliveries } from '../support/webhook-deliveries.ts';

type Run = (...args: string[]) => Promise<Ended>;

const test = inletTest({ workers: 0 })
  .extend('database', { scope: 'file' }, ({ store }) => store.database)
  .extend('run', { scope: 'file' }, ({ inlet }): Run => {
    const environment = { INLET_URL: inlet.url, INLET_API_KEY: KEY };
    return (...args) => runCommand(['webhooks', ...args], environment);
  });

test.beforeEach(async ({ database }) => {
  for (const table of ['endpoints', 'secrets', 'deliveries'])
    await database.query({ text: `DELETE FROM inlet.webhook_${table}` });
});

async function json<T>(run: Run, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

async function create(run: Run, ...args: string[]): Promise<string> {
  return (await json<{ id: string }>(run, 'create', 'https://receiver.example/hooks', ...args)).id;
}

describe('inlet webhooks', () => {
  test('create prints the secret alone on standard output, and the endpoint beside', async ({ run }) => {
    const args = [
      '--namespaces',
      'a,b',
      '--events',
      'workflow.failed',
      '--rate',
      '7/s',
      '--description',
      'mine',
    ];
    const { code, stdout, stderr } = await run('create', 'https://receiver.example/hooks', ...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^whsec_[0-9A-Za-z+/]{43}=\n$/);
    expect(stderr).toMatch(
      /ep_\w{16} {2}enabled {2}https:\/\/receiver\.example\/hooks: namespaces a, b; workflow\.failed; 7\/s; "mine"; made by settings_1\n$/,
    );
    const listed = await run('list');
    expect(listed.stdout).toBe(stderr.split('\n').at(-2)?.concat('\n'));
    expect(listed.stdout).not.toContain('whsec_');
  });

  test('list, show, update and delete endpoints', async ({ run }) => {
    expect((await run('list')).stdout).toBe('no endpoints\n');
    const id = await create(run, '--disabled');
    const other = await create(run);
    expect((await run('show', id)).stdout).toMatch(
      new RegExp(
        `^${id}  disabled \\(requested, .*\\)  https://receiver.example/hooks: all namespaces; workflow`,
      ),
    );
    const changes = [
      '--enable',
      '--rate',
      '9',
      '--namespaces',
      'a',
      '--endpoint-url',
      'https://new.example/',
    ];
    expect(await json(run, 'update', id, ...changes)).toMatchObject({
      id,
      url: 'https://new.example/',
      disabled: false,
      rate: 9,
      namespaces: ['a'],
    });
    expect(await json(run, 'update', id, '--rate', 'none', '--namespaces', '*', '--disable')).toMatchObject({
      disabled: true,
      rate: null,
      namespaces: null,
    });
    const first = await json<{ data: { id: string }[]; next_cursor: string }>(run, 'list', '--limit', '1');
    expect(first.data.map((endpoint) => endpoint.id)).toEqual([other]);
    expect((await run('list', '--limit', '1')).stdout).toContain(`more: --cursor ${first.next_cursor}\n`);
    const next = await json<{ data: { id: string }[] }>(run, 'list', '--cursor', first.next_cursor);
    expect(next.data.map((endpoint) => endpoint.id)).toEqual([id]);
    expect(await run('delete', id)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${id} is deleted`),
    });
    expect(await run('show', id)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: the server answered 404: .*\n$/),
    });
  });

  test('shows that an endpoint is paused or fails', async ({ database, run }) => {
    const [paused, failing] = [await create(run), await create(run)];
    await database.query({
      text: `UPDATE inlet.webhook_endpoints SET paused_until = now() + interval '1 hour' WHERE endpoint_id = $1`,
      values: [paused],
    });
    await database.query({
      text: `UPDATE inlet.webhook_endpoints SET failing_since = now(), paused_until = now() WHERE endpoint_id = $1`,
      values: [failing],
    });
    const { stdout } = await run('list');
    expect(stdout).toMatch(new RegExp(`${paused}  paused until 2`));
    expect(stdout).toMatch(new RegExp(`${failing}  failing since 2`));
  });

  test('secret and rotate-secret print the current one, and what still signs beside', async ({ run }) => {
    const id = await create(run);
    const first = (await run('secret', id)).stdout;
    expect(first).toMatch(/^whsec_.*=\n$/);
    const rotated = await run('rotate-secret', id);
    expect(rotated.code).toBe(0);
    expect(rotated.stdout).toMatch(/^whsec_.*=\n$/);
    expect(rotated.stdout).not.toBe(first);
    expect(rotated.stderr).toMatch(/^whsec_\S+ signs too, until 2/);
    expect(rotated.stderr.split(' ')[0]).toBe(first.trim());
    expect((await run('secret', id)).stdout).toBe(rotated.stdout);
    expect(await json(run, 'secret', id)).toMatchObject({ id, secret: rotated.stdout.trim() });
  });

  test('replay says how many are sent again', async ({ database, run }) => {
    const id = await create(run);
    await insertDeliveries(database, id, [
      { webhookId: 'msg_1', status: 'failed' },
      { webhookId: 'msg_2', status: 'succeeded' },
      { webhookId: 'msg_3', status: 'failed', createdAt: '2026-11-01T00:00:00Z' },
    ]);
    expect((await run('replay', id, '--since', '2026-11-22')).stdout).toMatch(/^1 sent again/);
    expect(await json(run, 'replay', id, '--since', '9999d', '--all')).toEqual({ replayed: 2 });
  });

  test('deliveries are listed, with what came of the last attempt on one line', async ({ database, run }) => {
    const id = await create(run);
    const attempt = { at: '2026-11-22T19:00:00.000Z', duration_ms: 12, error: null };
    await insertDeliveries(database, id, [
      {
        webhookId: 'msg_1',
        status: 'failed',
        attempts: [
          { ...attempt, status_code: 200, response: 'not this' },
          { ...attempt, status_code: 500, response: 'no\n\u001b[31mway', error: 'the answer was 500' },
        ],
      },
      { webhookId: 'msg_2', namespace: '', type: 'webhook.test' },
    ]);
    const [second, first, ...rest] = (await run('deliveries')).stdout.split('\n');
    expect(second).toMatch(new RegExp(`^msg_2  ${id}  pending    webhook.test; next 2`));
    expect(first).toBe(
      `msg_1  ${id}  failed     workflow.succeeded mine/object; attempt 2: 500, the answer was 500, no \\u001b[31mway (12 ms, 2026-11-22T19:00:00.000Z)`,
    );
    expect(rest).toEqual(['']);
    const ids = async (...args: string[]) =>
      (await json<{ data: { webhook_id: string }[] }>(run, 'deliveries', ...args)).data.map(
        (one) => one.webhook_id,
      );
    expect(await ids('--status', 'failed')).toEqual(['msg_1']);
    expect(await ids('--endpoint', id, '--limit', '1')).toEqual(['msg_2']);
    expect(await ids('--webhook-id', 'msg_1')).toEqual(['msg_1']);
    expect(await ids('--status', 'succeeded')).toEqual([]);
    expect((await run('deliveries', '--status', 'succeeded')).stdout).toBe('no deliveries\n');
  });

  test.for([
    ['succeeded', 204, null, 0],
    ['pending', 500, 'the answer was 500', 1],
    ['failed', null, 'no answer within 15 s', 1],
  ] as const)(
    'test waits for the first attempt: %s',
    async ([status, code, error, exitCode], { database, run }) => {
      const id = await create(run);
      const command = run('test', id);
      const webhookId = await waitFor('the test to be there', async () => {
        const [row] = await database.query<{ webhook_id: string }>({
          text: 'SELECT webhook_id FROM inlet.webhook_deliveries WHERE endpoint_id = $1',
          values: [id],
        });
        return row?.webhook_id;
      });
      const attempt = {
        at: new Date().toISOString(),
        status_code: code,
        duration_ms: 3,
        response: '',
        error,
      };
      await database.query({
        text: `UPDATE inlet.webhook_deliveries SET status = $2, attempts = $3::jsonb WHERE endpoint_id = $1`,
        values: [id, status, JSON.stringify([attempt])],
      });
      const ended = await command;
      expect(ended).toMatchObject({ code: exitCode, stderr: '' });
      expect(ended.stdout).toMatch(
        new RegExp(`^${webhookId}  ${id}  ${status} +webhook.test; attempt 1: ${code ?? 'no answer'}`),
      );
      if (error !== null) expect(ended.stdout).toContain(error);
    },
  );

  test('test and replay of a disabled endpoint say what to do', async ({ run }) => {
    const id = await create(run, '--disabled');
    for (const command of [
      ['test', id],
      ['replay', id, '--since', '1h'],
    ]) {
      expect(await run(...command)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          new RegExp(
            `^inlet: the server answered 409: .*enable it first.*: inlet webhooks update ${id} --enable\\n$`,
          ),
        ),
      });
    }
  });

  test('what the server refuses is told with its reason: 1', async ({ run }) => {
    expect(await run('create', 'http://receiver.example/')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: the server answered 400: \/url: must be https/),
    });
  });

  test.for([
    [['create']],
    [['create', 'https://x.example', '--rate', 'fast']],
    [['create', 'https://x.example', '--events', 'all']],
    [['update', 'ep_x']],
    [['update', 'ep_x', '--enable', '--disable']],
    [['replay', 'ep_x']],
    [['replay', 'ep_x', '--since', 'lately']],
    [['deliveries', '--status', 'lost']],
    [['test']],
    [['lost']],
  ] as const)('%j is wrong usage: 2', async ([args], { run }) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toContain('error:');
  });
});
