/**
 * `GET …/requests/{requestId}/results/download-url` and the download that it leads to: all results of a request as
 * JSON lines, however many there are. The download needs no key: its URL is signed.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { isSigned, signPath } from '../../domain/signature.ts';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { RequestRecord } from '../../store/requests.ts';
import { requireNamespace } from '../namespace.ts';
import { resultText } from '../request-text.ts';
import type { RequestParams, RequestRouteDeps } from './requests.ts';
import { noSuchRequest } from './requests.ts';

export interface ResultRouteDeps extends RequestRouteDeps {
  /** The secret that URLs are signed with. */
  readonly signingSecret: () => Promise<Buffer>;
  /** How clients reach this server. */
  readonly publicUrl: () => string;
}

/** How long a URL may be used, in seconds. A download that has begun goes on. */
const URL_LIFETIME_S = 3_600;

/** The call with a key. */
export function downloadUrlRoute(app: FastifyInstance, deps: ResultRouteDeps): void {
  app.get<RequestParams>(
    '/v1/data/:namespace/requests/:requestId/results/download-url',
    { config: { access: { scope: 'read', unseen: noSuchRequest } }, onRequest: requireNamespace },
    async ({ params: { namespace, requestId } }, reply) => {
      const request = await deps.findRequest(namespace, requestId);
      if (!request) throw noSuchRequest();
      const head = { namespace, request_id: request.id, status: request.status };
      if (request.completedAt === undefined) {
        return { ...head, data_url: null, data_count: null, data_expires_at: null };
      }
      const expiresAt = Math.floor(Date.now() / 1_000) + URL_LIFETIME_S;
      const path = signPath(await deps.signingSecret(), downloadPath(namespace, request.id), expiresAt);
      reply.header('cache-control', 'no-store');
      return {
        ...head,
        data_url: deps.publicUrl() + path,
        data_count: await deps.countResults(request),
        data_expires_at: isoFromMicros(expiresAt * 1_000_000),
      };
    },
  );
}

/** The download itself. It must not be registered behind the check of keys. */
export function downloadRoute(app: FastifyInstance, deps: ResultRouteDeps): void {
  app.get<RequestParams>(
    downloadPath(':namespace', ':requestId'),
    // Fastify answers HEAD by running the handler, and would read all results to throw them away.
    { exposeHeadRoute: false },
    async ({ params: { namespace, requestId }, query }, reply) => {
      const path = downloadPath(namespace, requestId);
      if (!isSigned(await deps.signingSecret(), path, query as Record<string, unknown>)) {
        throw new ProblemError(
          'forbidden',
          'this URL has expired or was altered: ask for a new one at …/results/download-url',
        );
      }
      const request = await deps.findRequest(namespace, requestId);
      if (request?.completedAt === undefined) throw noSuchRequest();
      reply
        .type('application/x-ndjson; charset=utf-8')
        .header('content-disposition', `attachment; filename="${requestId}.jsonl"`)
        .header('cache-control', 'no-store');
      // A page at a time, and the next one only when this one has gone out. Where one can't be read, the connection is
      // broken off: nobody is to take for the whole what isn't.
      return Readable.from(jsonLines(request, deps), { objectMode: false, highWaterMark: 1 });
    },
  );
}

function downloadPath(namespace: string, requestId: string): string {
  return `/v1/data/${namespace}/requests/${requestId}/results/download`;
}

async function* jsonLines(
  request: RequestRecord,
  { results, objectUrl }: ResultRouteDeps,
): AsyncGenerator<Buffer> {
  for await (const page of results(request)) {
    const lines = page.map((result) => `${resultText(result, objectUrl(request.namespace, result.id))}\n`);
    yield Buffer.from(lines.join(''));
  }
}
