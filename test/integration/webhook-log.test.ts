/** What the log tells of webhooks: enough to find a delivery, and nothing that is a secret. */
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import { startWorker } from '../../src/roles/worker.ts';
import { inletTest } from '../support/fixtures.ts';
import {
  answering,
  changeEndpoint,
  makeDeliveries,
  makeEndpoint,
  startReceiver,
} from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest({ settings: { webhookAllowHttp: true, webhookAllowNetworks: ['127.0.0.0/8'] } });

test('the log tells of attempts and of endpoints that are disabled, without URLs, secrets, objects and answers', async ({
  config,
  store: { database },
}) => {
  const text: string[] = [];
  const log = pino({ level: 'debug', base: null }, { write: (line) => text.push(line) });
  const parts = { webhooks: { schedule: [10], sweepMs: 50 } };
  const worker = await startWorker(config, log, undefined, undefined, parts);
  onTestFinished(() => worker.close());
  const receiver = await startReceiver((response, received) => {
    const isGone = received.id.startsWith('gone');
    const isFine = received.id.startsWith('fine');
    answering(isGone ? 410 : isFine ? 200 : 500, { location: 'http://secret-location/' })(response, received);
  });
  const failing = await makeEndpoint(database, receiver.url);
  const gone = await makeEndpoint(database, receiver.url);
  const elsewhere = await makeEndpoint(database, 'http://10.0.0.1/secret-path?secret-query');
  const old = await makeEndpoint(database, receiver.url);
  await changeEndpoint(database, old.id, `failing_since = now() - interval '6 days'`);
  await makeDeliveries(database, failing.id, 1, { prefix: 'failing' });
  await makeDeliveries(database, gone.id, 1, { prefix: 'gone' });
  await makeDeliveries(database, elsewhere.id, 1, { prefix: 'elsewhere' });
  await makeDeliveries(database, old.id, 1, { prefix: 'old' });
  const lines = () => text.map((line) => JSON.parse(line) as Record<string, unknown>);
  const find = (msg: RegExp, endpoint: string) =>
    waitFor(`a line with ${msg} of ${endpoint}`, () =>
      lines().find((line) => msg.test(String(line['msg'])) && line['endpoint'] === endpoint),
    );

  const about = { event: 'workflow.succeeded', namespace: 'made', ms: expect.any(Number) };
  expect(await find(/yet/, failing.id)).toMatchObject({
    ...{ ...about, level: 30, webhook: 'failing_1', outcome: 'rejected', status: 500, attempts: 1 },
    ...{ error: 'the receiver has answered 500', retryInSeconds: 0 },
  });
  expect(await find(/gave/, failing.id)).toMatchObject({ ...about, level: 40, attempts: 2 });
  expect(await find(/disabled/, gone.id)).toMatchObject({ level: 40, reason: 'gone' });
  expect(await find(/disabled/, old.id)).toMatchObject({ level: 40, reason: 'failing' });
  expect(await find(/yet/, elsewhere.id)).toMatchObject({
    ...{ ...about, level: 30, outcome: 'address_refused', status: null },
  });
  await makeDeliveries(database, failing.id, 1, { prefix: 'fine' });
  expect(await find(/^delivered/, failing.id)).toMatchObject({ ...about, level: 20, status: 200 });
  await worker.close();
  const whole = text.join('');
  for (const { secret } of [failing, gone]) expect(whole).not.toContain(secret.slice(6));
  expect(whole).not.toMatch(/query-secret|secret-|10\.0\.0\.1|object-1|answer 500|whsec_/);
});
