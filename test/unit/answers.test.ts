/** That the check of answers against the API's document finds what is not as it says. */
import { expect, it } from 'vitest';
import type { Answer } from '../support/document.ts';
import { differences } from '../support/document.ts';

const REQUEST_ID = 'req_01h2m7qdmdjckc30e1mnq6xqfd';

const accepted: Answer = {
  method: 'POST',
  path: '/v1/data/products',
  status: 202,
  headers: new Headers({ 'content-type': 'application/json; charset=utf-8', 'x-request-id': REQUEST_ID }),
  body: JSON.stringify({ requestId: REQUEST_ID, status: 'accepted' }),
};

/** An error's answer. */
function problem(status: number, code: string, headers: Record<string, string> = {}): Partial<Answer> {
  const text = 'what is wrong';
  const body = { type: 'about:blank', title: 'x', status, code, detail: text, message: text };
  return {
    status,
    headers: new Headers({
      'content-type': 'application/problem+json',
      'x-request-id': REQUEST_ID,
      ...headers,
    }),
    body: JSON.stringify({ ...body, error: { code, message: text }, requestId: REQUEST_ID }),
  };
}

function without(name: string): Headers {
  const headers = new Headers(accepted.headers);
  headers.delete(name);
  return headers;
}

it.each<[string, Partial<Answer>]>([
  ['a success', {}],
  ['an error with its headers', problem(503, 'queue_full', { 'retry-after': '12' })],
  ['another method', { method: 'GET', ...problem(405, 'method_not_allowed', { allow: 'POST' }) }],
  ['a path that is not there', { path: '/nope', ...problem(404, 'not_found') }],
  ['HEAD of what there is a GET of', { method: 'HEAD', path: '/healthz?x', status: 200, body: '' }],
])('%s is as documented', (_what, answer) => {
  expect(differences({ ...accepted, ...answer })).toEqual([]);
});

it.each<[string, Partial<Answer>, RegExp]>([
  ['a status', { status: 200 }, /writeData does not document the status 200/],
  [
    'a member',
    { body: JSON.stringify({ ...JSON.parse(accepted.body ?? ''), x: 1 }) },
    /additional properties/,
  ],
  ['a value', { body: JSON.stringify({ requestId: 'req_x', status: 'accepted' }) }, /\/requestId must match/],
  ['a missing member', { body: '{}' }, /must have required property 'requestId'/],
  ['no JSON', { body: '{' }, /the body is not JSON/],
  [
    'a media type',
    { headers: new Headers({ ...Object.fromEntries(accepted.headers), 'content-type': 'text/html' }) },
    /Content-Type text\/html/,
  ],
  ['no media type', { headers: without('content-type') }, /there is no Content-Type/],
  ['a missing header', { headers: without('x-request-id') }, /header x-request-id is missing/],
  ['a missing header of an error', problem(401, 'unauthorized'), /header WWW-Authenticate is missing/],
  ['the form of a header', problem(503, 'unavailable', { 'retry-after': 'soon' }), /header Retry-After: /],
  [
    'a status in the body',
    { ...problem(401, 'forbidden'), status: 403 },
    /the status of the body is another/,
  ],
  ['a code', problem(400, 'oops'), /\/code must be equal to one of/],
  ['a path', { path: '/v2/data/products' }, /\/v2\/data\/products is not documented/],
  ['a method', { method: 'PUT' }, /PUT \/v1\/data\/\{namespace\} is not documented/],
])('%s that is not documented is found', (_what, answer, message) => {
  expect(differences({ ...accepted, ...answer }).join('\n')).toMatch(message);
});
