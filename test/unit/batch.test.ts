import { describe, expect, it } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import {
  objectPlaces,
  PAYLOAD_VERSION,
  REPLAY_VERSION,
  readPayload,
  requestIds,
  UnknownPayloadError,
} from '../../src/domain/batch.ts';
import { locateRequest } from '../../src/domain/request-id.ts';

const ID = '01h2m7qdmdjckc30e1mnq6x000';

const BATCH: Batch = {
  id: ID,
  version: PAYLOAD_VERSION,
  acceptedAt: 1_700_000_000_123_456,
  requests: [
    { namespace: 'products', ids: ['a', 'b', 'a'] },
    { namespace: 'users', ids: ['a'] },
  ],
  objects: '{"id":"a"},{"id":"b"},{"id":"a"},{"id":"a"}',
};

describe('readPayload', () => {
  it('reads what this version writes, as it comes back from the queue', () => {
    const { id, ...payload } = BATCH;
    expect(readPayload(id, JSON.parse(JSON.stringify(payload)))).toEqual(BATCH);
  });

  it('reads a replay, which is of a version of its own: workers that know none leave it alone', () => {
    const replay = { namespace: 'n', order: 'now', failedBefore: 1 };
    const payload = { version: REPLAY_VERSION, acceptedAt: 2, requests: [], objects: '', replay };
    expect(readPayload(ID, payload)).toEqual({ ...payload, id: ID });
    expect(REPLAY_VERSION).toBeGreaterThan(PAYLOAD_VERSION);
  });

  it.each([
    ['of a later version', { ...BATCH, version: REPLAY_VERSION + 1 }],
    ['of an earlier version', { ...BATCH, version: PAYLOAD_VERSION - 1 }],
    ['whose version is text', { ...BATCH, version: String(PAYLOAD_VERSION) }],
    ['without a version', {}],
    ['that is a list', []],
    ['that is a string', 'version'],
    ['that is null', null],
    ['that is missing', undefined],
  ])('refuses data %s, and names the job', (_, data) => {
    expect(() => readPayload(ID, data)).toThrow(UnknownPayloadError);
    expect(() => readPayload(ID, data)).toThrow(ID);
  });

  it('names the version that it found and the one that it reads', () => {
    expect(() => readPayload(ID, { version: 7 })).toThrow(/version 7; .*versions 1 and 2$/);
  });
});

describe('requestIds', () => {
  it('numbers the requests of a batch by position', () => {
    expect(requestIds(BATCH)).toEqual(['req_01h2m7qdmdjckc30e1mnq6x000', 'req_01h2m7qdmdjckc30e1mnq6x001']);
    expect(requestIds(BATCH).map(locateRequest)).toEqual([
      { batchId: ID, position: 0 },
      { batchId: ID, position: 1 },
    ]);
  });
});

describe('objectPlaces', () => {
  it('names every object in the order of their text, also where an id comes again', () => {
    expect(objectPlaces(BATCH)).toEqual([
      { request: 0, index: 0, namespace: 'products', id: 'a' },
      { request: 0, index: 1, namespace: 'products', id: 'b' },
      { request: 0, index: 2, namespace: 'products', id: 'a' },
      { request: 1, index: 0, namespace: 'users', id: 'a' },
    ]);
  });
});
