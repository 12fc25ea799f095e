/** Imports: a URL to which a file of objects can be sent, without a key. */
import type { FastifyInstance } from 'fastify';
import { MAX_SCHEMA_LENGTH } from '../../domain/schema.ts';
import { readUploadOptions } from '../../domain/settings.ts';
import { signPath } from '../../domain/signature.ts';
import { inSlices } from '../../domain/slices.ts';
import { isoFromMicros } from '../../domain/time.ts';
import type { SettingsAccess } from '../../store/settings.ts';
import type { BodyReader } from '../body.ts';
import type { NamespaceParams } from '../namespace.ts';
import { noSuchNamespace, requireNamespace } from '../namespace.ts';

export interface ImportRouteDeps {
  readonly newRequestId: () => string;
  /** Makes an import; `expiresAt` in microseconds since 1970. */
  readonly createImport: (created: {
    requestId: string;
    namespace: string;
    expiresAt: number;
  }) => Promise<void>;
  readonly putSettings: SettingsAccess['putSettings'];
  readonly signingSecret: () => Promise<Buffer>;
  /** The base of the URLs that clients are given. */
  readonly publicUrl: () => string;
  readonly bodies: BodyReader;
}

/** How long an upload URL may be used, in seconds. */
const URL_LIFETIME = 12 * 60 * 60;

export function importRoutes(app: FastifyInstance, deps: ImportRouteDeps): void {
  const { newRequestId, createImport, putSettings, signingSecret, publicUrl, bodies } = deps;
  const config = { access: { scope: 'write', unseen: noSuchNamespace } } as const;
  const options = { config, onRequest: requireNamespace };
  // Both paths are the same; the second is the older one.
  for (const path of ['/v1/data/:namespace/requests/upload-url', '/v1/data/:namespace/import']) {
    app.post<NamespaceParams>(path, options, async (request, reply) => {
      const schema = await bodies.withText(
        request,
        (text) => (text.trim() === '' ? undefined : inSlices(readUploadOptions(text))),
        MAX_SCHEMA_LENGTH,
      );
      const { namespace } = request.params;
      const requestId = newRequestId();
      const expiresAt = Math.floor(Date.now() / 1_000) + URL_LIFETIME;
      const secret = await signingSecret();
      if (schema !== undefined) await putSettings({ namespace, schema, requestId });
      await createImport({ requestId, namespace, expiresAt: expiresAt * 1_000_000 });
      reply.header('x-request-id', requestId);
      return {
        requestId,
        status: 'pending_upload',
        objectKey: `${namespace}/${requestId}.jsonl`,
        upload_url: publicUrl() + signPath(secret, uploadPath(namespace, requestId), expiresAt),
        expires_at: isoFromMicros(expiresAt * 1_000_000),
      };
    });
  }
}

/** Where the file of an import is sent to. */
function uploadPath(namespace: string, requestId: string): string {
  return `/v1/data/${namespace}/requests/${requestId}/upload`;
}
