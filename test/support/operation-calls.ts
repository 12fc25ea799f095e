/** A call of every operation of the API's document that succeeds, and those that fail in ways of its own. */
import { gzipSync } from 'node:zlib';
import type { MadeKey } from './keys.ts';
import { bearer } from './keys.ts';

export interface Call {
  readonly method: string;
  /** From the root of the server. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

export interface OperationCalls {
  readonly success: Call;
  /** Other calls, by the status that they are to get. */
  readonly others: Readonly<Record<number, Call>>;
}

/** What the calls are about. */
export interface CallContext {
  readonly namespace: string;
  /** A request that is done, whose results are larger than one answer may be. */
  readonly largeRequest: string;
  /** Two of its objects, which are too large for one answer. */
  readonly largeObjects: readonly string[];
  /** A request that is done, with the object `known`. */
  readonly request: string;
  /** Where its results are downloaded, from the root of the server. */
  readonly download: string;
  /** Where a file can be sent to, from the root of the server. */
  readonly upload: string;
  /** Where one was sent to already. */
  readonly usedUpload: string;
  /** Signs a path. */
  readonly sign: (path: string) => string;
  /** A key of another namespace. */
  readonly elsewhere: MadeKey;
  /** Most bytes of a body. */
  readonly bodyLimit: number;
  readonly etag: string;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const NO_REQUEST = 'req_01h2m7qdmdjckc30e1mnq6xqfd';

export function operationCalls(context: CallContext): Readonly<Record<string, OperationCalls>> {
  const { namespace, request, largeRequest, largeObjects, download, upload, usedUpload } = context;
  const { sign, elsewhere, bodyLimit, etag } = context;
  const at = (rest: string, of = namespace): string => `/v1/data/${of}${rest}`;
  const get = (path: string): Call => ({ method: 'GET', path });
  const send = (method: string, path: string, body: string): Call => ({
    method,
    path,
    body,
    headers: JSON_TYPE,
  });
  const put = (path: string, type = 'application/x-ndjson'): Call => ({
    method: 'PUT',
    path,
    body: '{"id":"line"}\n',
    headers: { 'content-type': type },
  });
  const altered = (path: string): string => path.replace(/signature=./, 'signature=-');
  const foreign = (call: Call): Call => ({ ...call, headers: { ...call.headers, ...bearer(elsewhere) } });

  /** What all operations with a body in JSON have in common. */
  const bodyErrors = (method: string, path: string): Record<number, Call> => ({
    413: {
      method,
      path,
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
      body: new Uint8Array(gzipSync(Buffer.alloc(bodyLimit + 1))),
    },
    415: { method, path, body: '{}', headers: { 'content-type': 'text/plain' } },
  });

  const write = at('');
  const object = at('/objects/known');
  const newImport = (path: string): OperationCalls => ({
    success: { method: 'POST', path },
    others: {
      400: send('POST', path, '[]'),
      404: foreign({ method: 'POST', path }),
      ...bodyErrors('POST', path),
    },
  });

  return {
    writeData: {
      success: send('POST', write, '{"data":{"id":"new"}}'),
      others: { 400: send('POST', write, '{"data":{"id":7}}'), ...bodyErrors('POST', write) },
    },
    listObjects: {
      success: get(at('/objects?limit=1')),
      others: {
        400: get(at('/objects?limit=0')),
        413: get(at(`/objects?${largeObjects.map((id) => `id=${id}`).join('&')}`)),
      },
    },
    getObject: {
      success: get(object),
      others: { 400: get(at('/objects/known', 'a.b')), 404: get(at('/objects/none')) },
    },
    deleteObject: {
      success: { method: 'DELETE', path: at('/objects/gone') },
      others: {
        400: { method: 'DELETE', path: at(`/objects/${'x'.repeat(513)}`) },
        415: { method: 'DELETE', path: object, body: '{}', headers: { 'content-type': 'text/plain' } },
      },
    },
    listRevisions: {
      success: get(`${object}/revisions`),
      others: { 400: get(`${object}/revisions?cursor=!`), 404: get(at('/objects/none/revisions')) },
    },
    listRequests: {
      success: get(at('/requests')),
      others: { 400: get(at('/requests?status=lost')), 404: foreign(get(at('/requests'))) },
    },
    getRequest: {
      success: get(at(`/requests/${request}`)),
      others: {
        400: get(at(`/requests/${request}?results=no`)),
        404: get(at(`/requests/${NO_REQUEST}`)),
        413: get(at(`/requests/${largeRequest}`)),
      },
    },
    getDownloadUrl: {
      success: get(at(`/requests/${request}/results/download-url`)),
      others: {
        400: get(at(`/requests/${request}/results/download-url`, 'a.b')),
        404: get(at(`/requests/${NO_REQUEST}/results/download-url`)),
      },
    },
    downloadResults: {
      success: get(download),
      others: {
        403: get(altered(download)),
        404: get(sign(at(`/requests/${NO_REQUEST}/results/download`))),
      },
    },
    createUploadUrl: newImport(at('/requests/upload-url')),
    createImport: newImport(at('/import')),
    uploadFile: {
      success: put(upload),
      others: {
        403: put(altered(upload)),
        404: put(sign(at(`/requests/${NO_REQUEST}/upload`))),
        409: put(usedUpload),
        415: put(upload, 'text/xml'),
      },
    },
    putSettings: {
      success: send('PUT', at('/settings'), '{"schema":{"large":{"content_type":"metadata"}}}'),
      others: { 400: send('PUT', at('/settings'), '{"x":1}'), ...bodyErrors('PUT', at('/settings')) },
    },
    getSettings: {
      success: get(at('/settings')),
      others: { 400: get(at('/settings', 'a.b')), 404: get(at('/settings', 'unset')) },
    },
    getHealth: { success: get('/healthz'), others: {} },
    getReadiness: { success: get('/readyz'), others: {} },
    getMetrics: { success: get('/metrics'), others: {} },
    getDocument: {
      success: get('/openapi.json'),
      others: { 304: { ...get('/openapi.json'), headers: { 'if-none-match': etag } } },
    },
  };
}
