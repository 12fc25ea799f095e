/**
 * (e): Fastify with Inlet's own reading of a body, which answers as Inlet does and drops the data: what a server of
 * this kind can take at most. It has no log, no metrics and no headers of its own.
 */
import { isUtf8 } from 'node:buffer';
import { readWrite } from '../../src/domain/objects.ts';
import { createBatchIds, requestIdAt } from '../../src/domain/request-id.ts';
import { createApi, run } from './plain-api.ts';
import { readSettings } from './settings.ts';

const MAX_OBJECTS = 10_000;

const { port, apiKey } = readSettings();
const newBatchId = createBatchIds();

const app = createApi(apiKey);
app.removeAllContentTypeParsers();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
  if (isUtf8(body)) done(null, body.toString('utf8'));
  else done(new Error('the body is not valid UTF-8'));
});
app.post<{ Body: string }>('/v1/data/:namespace', async ({ body }, reply) => {
  readWrite(body, MAX_OBJECTS);
  const requestId = requestIdAt(newBatchId(), 0);
  reply.code(202).header('x-request-id', requestId);
  return { requestId, status: 'accepted' };
});
await run(app, port);
