/** `PUT` of an upload URL: takes the file of an import. The signature in the URL is the right to it. */
import type { FastifyInstance } from 'fastify';
import { isSigned } from '../../domain/signature.ts';
import { ProblemError } from '../../errors.ts';
import type { IncomingUpload, ReceivedCounts } from '../../ingest/receive-upload.ts';
import { BodyBrokenError } from '../incoming-body.ts';
import type { HttpLimits } from '../limits.ts';
import { uploadStream } from '../upload-stream.ts';
import type { WriteRefusalDeps } from '../write-refusal.ts';
import { refuseWhileFull } from '../write-refusal.ts';

export interface UploadRouteDeps extends WriteRefusalDeps {
  readonly signingSecret: () => Promise<Buffer>;
  /** Resolves when all of the file is durably in the queue. */
  readonly receiveUpload: (incoming: IncomingUpload) => Promise<ReceivedCounts>;
}

interface UploadRequest {
  Params: { namespace: string; requestId: string };
  Querystring: Record<string, unknown>;
}

const MEDIA_TYPE = /^application\/(?:json|x-ndjson)\s*(?:;\s*charset="?utf-?8"?\s*)?$/i;

export function uploadRoutes(app: FastifyInstance, deps: UploadRouteDeps, limits: HttpLimits): void {
  const { signingSecret, receiveUpload } = deps;
  const running = new Set<AbortController>();
  app.addHook('preClose', async () => {
    const reason = new ProblemError('unavailable', 'the server stops: send the file again', {
      headers: { 'retry-after': '1' },
    });
    for (const upload of running) upload.abort(reason);
  });
  // The body stays a stream, whatever its type; the handler has a look at that.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  app.put<UploadRequest>(
    '/v1/data/:namespace/requests/:requestId/upload',
    {
      onRequest: [
        async ({ url, query }) => {
          const path = url.split('?')[0] ?? '';
          if (!isSigned(await signingSecret(), path, query)) {
            throw new ProblemError(
              'forbidden',
              'this upload URL was altered or has expired: ask for a new one',
            );
          }
        },
        // Uploads that have begun go on: they don't let more of their file wait in the queue than a few chunks.
        refuseWhileFull(deps),
      ],
    },
    async (request, reply) => {
      const { params, headers, raw } = request;
      const { namespace, requestId } = params;
      const type = headers['content-type'];
      if (type !== undefined && !MEDIA_TYPE.test(type)) {
        throw new ProblemError(
          'unsupported_media_type',
          'send the file as Content-Type: application/x-ndjson, or without a type',
        );
      }
      if (running.size >= limits.uploads) throw tooManyUploads();
      // It may stand still for as long as the queue is full. When it stands still without need the stream finds out.
      raw.socket.setTimeout(0);
      let bytes = 0;
      const open = uploadStream(raw, headers['content-encoding'], limits.uploadIdleMs, (count) => {
        bytes += count;
        request.bodyBytes = bytes;
      });
      const stopping = new AbortController();
      const onClose = (): void => {
        if (!raw.complete) stopping.abort(new BodyBrokenError('the client has gone'));
      };
      if (raw.destroyed) onClose();
      else raw.once('close', onClose);
      running.add(stopping);
      try {
        const counts = await receiveUpload({ namespace, requestId, open, stopping: stopping.signal });
        request.objectCount = counts.objects;
        reply.header('x-request-id', requestId);
        return { requestId, status: 'ingesting', counts };
      } finally {
        running.delete(stopping);
      }
    },
  );
}

function tooManyUploads(): ProblemError {
  return new ProblemError('unavailable', 'too many files are being uploaded at the moment: try again', {
    reason: 'too_many_uploads',
    headers: { 'retry-after': '5' },
  });
}
