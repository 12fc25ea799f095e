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
  /** What has to be so before. */
  readonly given?: () => Promise<unknown>;
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
  /** A request with failed objects at the places 0 and 1, which always fail. */
  readonly failedRequest: string;
  /** A file whose first line holds no object. */
  readonly badFile: string;
  /** Where its results are downloaded, from the root of the server. */
  readonly download: string;
  /** Where a file can be sent to, from the root of the server. */
  readonly upload: string;
  /** Where one was sent to already. */
  readonly usedUpload: string;
  /** Endpoints of webhooks: one as it is at first, one that is disabled, and one that is not needed. */
  readonly endpoints: Readonly<Record<'usual' | 'disabled' | 'spare', string>>;
  /** Makes as many endpoints as there may be. */
  readonly fillEndpoints: () => Promise<unknown>;
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
  const { sign, elsewhere, bodyLimit, etag, endpoints, fillEndpoints, failedRequest, badFile } = context;
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

  const failed = (rest: string): string => at(`/failed${rest}`);
  const bodilyFailed = (path: string, body: string): Record<number, Call> => ({
    400: send('POST', path, body),
    404: foreign({ method: 'POST', path }),
    ...bodyErrors('POST', path),
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

  const hooks = '/v1/webhooks/endpoints';
  const hook = `${hooks}/${endpoints.usual}`;
  const noHook = `${hooks}/ep_4eC39HqLyjWDarjt`;
  const unserved = (method: string, path: string): Call => ({
    method,
    path,
    body: '{}',
    headers: { 'content-type': 'text/plain' },
  });
  const newHook = JSON.stringify({ url: 'https://receiver.example/' });
  const replay = '{"since":"2026-01-01T00:00:00Z"}';
  const post = (path: string): Call => ({ method: 'POST', path });
  /** A call without a body. */
  const bare = (rest: string): OperationCalls => ({
    success: post(`${hook}/${rest}`),
    others: { 404: post(`${noHook}/${rest}`), 415: unserved('POST', `${hook}/${rest}`) },
  });

  return {
    createWebhookEndpoint: {
      success: send('POST', hooks, newHook),
      others: {
        400: send('POST', hooks, '{"url":"http://receiver.example/"}'),
        403: foreign(
          send('POST', hooks, JSON.stringify({ ...JSON.parse(newHook), namespaces: [namespace] })),
        ),
        409: { ...send('POST', hooks, newHook), given: fillEndpoints },
        ...bodyErrors('POST', hooks),
      },
    },
    listWebhookEndpoints: {
      success: get(hooks),
      others: { 400: get(`${hooks}?cursor=!`) },
    },
    getWebhookEndpoint: { success: get(hook), others: { 404: get(noHook) } },
    updateWebhookEndpoint: {
      success: send('PATCH', hook, '{"description":"changed"}'),
      others: {
        400: send('PATCH', hook, '{"id":"ep_4eC39HqLyjWDarjt"}'),
        404: send('PATCH', noHook, '{}'),
        ...bodyErrors('PATCH', hook),
      },
    },
    deleteWebhookEndpoint: {
      success: { method: 'DELETE', path: `${hooks}/${endpoints.spare}` },
      others: { 404: { method: 'DELETE', path: noHook }, 415: unserved('DELETE', hook) },
    },
    getWebhookSecret: { success: get(`${hook}/secret`), others: { 404: get(`${noHook}/secret`) } },
    rotateWebhookSecret: bare('rotate-secret'),
    testWebhookEndpoint: {
      ...bare('test'),
      others: { ...bare('test').others, 409: post(`${hooks}/${endpoints.disabled}/test`) },
    },
    replayWebhooks: {
      success: send('POST', `${hook}/replay`, replay),
      others: {
        400: send('POST', `${hook}/replay`, '{}'),
        404: send('POST', `${noHook}/replay`, replay),
        409: send('POST', `${hooks}/${endpoints.disabled}/replay`, replay),
        ...bodyErrors('POST', `${hook}/replay`),
      },
    },
    listWebhookDeliveries: {
      success: get(`/v1/webhooks/deliveries?endpoint=${endpoints.usual}`),
      others: {
        400: get('/v1/webhooks/deliveries?status=lost'),
        404: get('/v1/webhooks/deliveries?endpoint=ep_4eC39HqLyjWDarjt'),
      },
    },
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
    listFailed: {
      success: get(failed('?limit=1')),
      others: { 400: get(failed('?request=none')), 404: foreign(get(failed(''))) },
    },
    getFailed: {
      success: get(failed(`/${failedRequest}/0`)),
      others: { 400: get(at(`/failed/${failedRequest}/0`, 'a.b')), 404: get(failed(`/${failedRequest}/2`)) },
    },
    replayFailedObject: {
      success: { method: 'POST', path: failed(`/${failedRequest}/0/replay`) },
      others: {
        ...bodilyFailed(failed(`/${failedRequest}/0/replay`), '{"order":"never"}'),
        409: { method: 'POST', path: failed(`/${badFile}/1/replay`) },
      },
    },
    discardFailedObject: {
      success: { method: 'DELETE', path: failed(`/${failedRequest}/1`) },
      others: {
        400: { method: 'DELETE', path: at(`/failed/${failedRequest}/1`, 'a.b') },
        404: { method: 'DELETE', path: failed(`/${failedRequest}/2`) },
        415: {
          ...{ method: 'DELETE', path: failed(`/${failedRequest}/1`) },
          ...{ body: '{}', headers: { 'content-type': 'text/plain' } },
        },
      },
    },
    replayFailed: {
      success: send('POST', failed('/replay'), `{"request":"${failedRequest}"}`),
      others: bodilyFailed(failed('/replay'), '{"all":true}'),
    },
    discardFailed: {
      success: send('POST', failed('/discard'), `{"request":"${NO_REQUEST}"}`),
      others: bodilyFailed(failed('/discard'), '{}'),
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
    getReadReadiness: { success: get('/readyz/reads'), others: {} },
    getMetrics: { success: get('/metrics'), others: {} },
    getDocument: {
      success: get('/openapi.json'),
      others: { 304: { ...get('/openapi.json'), headers: { 'if-none-match': etag } } },
    },
  };
}
