import { describe, expect, it } from 'vitest';
import {
  batchTime,
  createBatchIds,
  locateRequest,
  MAX_POSITIONS,
  requestIdAt,
} from '../../src/domain/request-id.ts';

/** A clock that shows each of `times` once. */
function clockOf(...times: number[]): () => number {
  const rest = [...times];
  return () => rest.shift() ?? Number.NaN;
}

describe('createBatchIds', () => {
  it('makes ULIDs in lower case with three zeros at the end', () => {
    const newId = createBatchIds();
    for (let i = 0; i < 1_000; i += 1) expect(newId()).toMatch(/^[0-7][0-9a-hjkmnp-tv-z]{22}000$/);
  });

  it.each([
    [0, '0000000000'],
    [1, '0000000001'],
    [31, '000000000z'],
    [32, '0000000010'],
    // The example of https://github.com/ulid/spec: 01ARZ3NDEK…
    [1469922850259, '01arz3ndek'],
    [2 ** 48 - 1, '7zzzzzzzzz'],
  ])('begins with the time, %d ms being %s', (time, text) => {
    expect(createBatchIds(() => time)().slice(0, 10)).toBe(text);
  });

  it.each([0, 31, 1469922850259, 2 ** 48 - 1])('keeps the time, %d ms', (time) => {
    expect(batchTime(createBatchIds(() => time)())).toBe(time);
  });

  it('rises with the clock', () => {
    const newId = createBatchIds(clockOf(1, 2, 3, 1000, 1_000_000, 2 ** 40));
    const ids = Array.from({ length: 6 }, newId);
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(6);
  });

  it('rises within a millisecond', () => {
    const newId = createBatchIds(() => 1_700_000_000_000);
    const ids = Array.from({ length: 5_000 }, newId);
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(5_000);
    expect(new Set(ids.map((id) => id.slice(0, 10))).size).toBe(1);
  });

  it('rises when the clock goes back, and follows it again when it has caught up', () => {
    const newId = createBatchIds(clockOf(5_000, 4_000, 0, 4_999, 5_000, 5_001));
    const ids = Array.from({ length: 6 }, newId);
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(6);
    const timeOf = (id: string | undefined) => id?.slice(0, 10);
    expect(ids.slice(0, 5).map(timeOf)).toEqual(Array(5).fill(timeOf(ids[0])));
    expect(timeOf(ids[5])).not.toBe(timeOf(ids[0]));
  });

  it('gives two processes different ids in the same millisecond', () => {
    const time = () => 1_700_000_000_000;
    const ids = Array.from({ length: 1_000 }, () => createBatchIds(time)());
    expect(new Set(ids).size).toBe(1_000);
  });

  it('draws all 32 characters at every place of the random part', () => {
    const ids = Array.from({ length: 2_000 }, () => createBatchIds()());
    for (let place = 10; place < 23; place += 1) {
      expect(new Set(ids.map((id) => id[place])).size).toBe(32);
    }
  });
});

describe('requestIdAt', () => {
  const batchId = createBatchIds()();
  const stem = `req_${batchId.slice(0, -3)}`;

  it.each([
    [0, '000'],
    [1, '001'],
    [31, '00z'],
    [32, '010'],
    [999, '0z7'],
    [1_023, '0zz'],
    [1_024, '100'],
    [MAX_POSITIONS - 1, 'zzz'],
  ])('writes position %d as %s', (position, text) => {
    expect(requestIdAt(batchId, position)).toBe(stem + text);
  });

  it('sorts by position, and before the requests of the next batch', () => {
    const newId = createBatchIds(() => 1_700_000_000_000);
    const [first, second] = [newId(), newId()];
    const positions = [0, 1, 9, 10, 31, 32, 999, 1_000, 1_024, MAX_POSITIONS - 1];
    const ids = [first, second].flatMap((id) => positions.map((position) => requestIdAt(id, position)));
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has room for 32,768 requests in a batch', () => {
    expect(MAX_POSITIONS).toBe(32_768);
    const ids = Array.from({ length: MAX_POSITIONS }, (_, position) => requestIdAt(batchId, position));
    expect(new Set(ids).size).toBe(MAX_POSITIONS);
  });
});

describe('locateRequest', () => {
  it('gives back the batch and the position that an id was made of', () => {
    const newId = createBatchIds();
    for (const position of [0, 1, 31, 32, 1_000, 12_345, MAX_POSITIONS - 1]) {
      const batchId = newId();
      expect(locateRequest(requestIdAt(batchId, position))).toEqual({ batchId, position });
    }
  });

  it('reads any ULID after the prefix', () => {
    expect(locateRequest('req_01h2m7qdmdjckc30e1mnq6xqfd')).toEqual({
      batchId: '01h2m7qdmdjckc30e1mnq6x000',
      position: 23 * 1024 + 15 * 32 + 13,
    });
    expect(locateRequest(`req_7${'z'.repeat(25)}`)?.position).toBe(MAX_POSITIONS - 1);
    expect(locateRequest(`req_${'0'.repeat(26)}`)?.position).toBe(0);
  });

  it.each([
    '',
    'req_',
    '01h2m7qdmdjckc30e1mnq6xqfd',
    'REQ_01h2m7qdmdjckc30e1mnq6xqfd',
    'req_01H2M7QDMDJCKC30E1MNQ6XQFD',
    'req_01h2m7qdmdjckc30e1mnq6xqf',
    'req_01h2m7qdmdjckc30e1mnq6xqfd0',
    'req_01h2m7qdmdjckc30e1mnq6xqfi',
    'req_01h2m7qdmdjckc30e1mnq6xqfl',
    'req_01h2m7qdmdjckc30e1mnq6xqfo',
    'req_01h2m7qdmdjckc30e1mnq6xqfu',
    'req_81h2m7qdmdjckc30e1mnq6xqfd',
    'req-01h2m7qdmdjckc30e1mnq6xqfd',
    ' req_01h2m7qdmdjckc30e1mnq6xqfd',
    'req_01h2m7qdmdjckc30e1mnq6xqfd\n',
    'xreq_01h2m7qdmdjckc30e1mnq6xqfd',
  ])('takes %j for no request id', (id) => {
    expect(locateRequest(id)).toBeUndefined();
  });
});
