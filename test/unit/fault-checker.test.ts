/** The checker finds in made-up histories what it should find, and nothing in those that are right. */
import { describe, expect, it } from 'vitest';
import { check } from '../faults/checker.ts';
import type { Rule } from '../faults/findings.ts';
import type {
  EndState,
  History,
  Operation,
  StoredVersion,
  ToldLoss,
  VersionData,
  Write,
} from '../faults/history.ts';

const data = (id: string, v: string): VersionData => ({ id, v, n: 1 });
const write = (id: string, v: string): Write => ({ id, data: data(id, v) });
const failing = (id: string, v: string): Write => ({ ...write(id, v), fails: true });

/** An operation that lasts from `at` to `at + 1`. */
function operation(at: number, writes: readonly Write[], more: Partial<Operation> = {}): Operation {
  return {
    ...{ client: 'c', kind: 'write', writes, begunAt: at, endedAt: at + 1 },
    ...{ outcome: 'acknowledged', answered: true, answer: '202', requestId: `req_${at}` },
    ...more,
  };
}

const UNKNOWN = { outcome: 'unknown', answered: false, answer: 'ECONNRESET', requestId: undefined } as const;

function without<Key extends keyof Operation>(op: Operation, key: Key): Operation {
  const { [key]: _, ...rest } = op;
  return rest as Operation;
}

const unknown = (at: number, writes: readonly Write[]): Operation =>
  without(operation(at, writes, { ...UNKNOWN, requestId: '' }), 'requestId');

const stored = (id: string, revision: number, v: string | null, at: number): StoredVersion => ({
  ...{ id, revision, data: v === null ? null : data(id, v), requestId: `req_${at}`, acceptedAt: at },
});

const row = (at: number, objects = 1, failed = 0) => ({
  ...{ requestId: `req_${at}`, status: failed ? 'failed' : 'succeeded', objects, failed, acceptedAt: at },
});

function endState(state: Partial<EndState>): EndState {
  const objects = state.objects ?? [];
  return {
    ...{ revisions: [], requests: [], failures: [], losses: [], leftInQueue: 0 },
    told: {
      objects: objects.filter(({ data }) => data).map(({ order: _, ...told }) => told),
      requests: [],
    },
    ...state,
    objects,
  };
}

function history(operations: readonly Operation[], more: Partial<History> = {}): History {
  return { operations, observations: [], complaints: [], ...more };
}

function rules(told: History, end: EndState): Rule[] {
  return [...new Set(check(told, end).map(({ rule }) => rule))].sort();
}

describe('a history that is right', () => {
  it("has no findings where it can't be told which of two deletes was taken", () => {
    const deletion = (at: number): Operation => ({
      ...unknown(at, [{ id: 'a', data: undefined }]),
      kind: 'delete',
      answered: true,
    });
    const operations = [deletion(10), operation(30, [write('b', 'b1')]), deletion(40)];
    const end = endState({
      objects: [stored('a', 1, null, 45), stored('b', 1, 'b1', 30)],
      requests: [row(30), row(45)],
    });
    expect(rules(history(operations), end)).toEqual([]);
  });

  it('has no findings, with overtaken, unknown, deleted and failed writes in it', () => {
    const operations = [
      operation(10, [write('a', 'a1'), write('b', 'b1')]),
      operation(20, [write('a', 'a2'), write('a', 'a3')]),
      unknown(30, [write('a', 'a4')]),
      unknown(32, [write('b', 'never taken')]),
      operation(40, [failing('a', 'a5'), write('c', 'c1')]),
      operation(50, [{ id: 'c', data: undefined }], { kind: 'delete' }),
      operation(60, [write('d', 'd1')], { outcome: 'refused', answer: '503 queue_full' }),
      operation(70, [write('e', 'e1'), write('f', 'f1')], { kind: 'import', badLines: [2] }),
    ];
    const end = endState({
      objects: [
        stored('a', 2, 'a4', 30),
        stored('b', 1, 'b1', 10),
        stored('c', 2, null, 50),
        { ...stored('e', 1, 'e1', 70), acceptedAt: 71 },
        stored('f', 1, 'f1', 70),
      ],
      // a1 was overtaken before it was stored.
      revisions: [stored('a', 1, 'a3', 20), stored('c', 1, 'c1', 40)],
      requests: [row(10, 2), row(20, 2), row(30), row(40, 2, 1), row(50), row(70, 3, 1)],
      failures: [
        {
          ...{ requestId: 'req_40', index: 0, id: 'a', object: JSON.stringify(data('a', 'a5')) },
          message: 'no',
        },
        { requestId: 'req_70', index: 2, id: '', object: '{', message: 'not JSON' },
      ],
    });
    const observations = [
      { id: 'a', revision: 1, requestId: 'req_20', v: 'a3' },
      { id: 'a', revision: 2, requestId: 'req_30', v: 'a4' },
    ];
    expect(check(history(operations, { observations }), end)).toEqual([]);
  });
});

describe('what must not be is found', () => {
  const one = operation(10, [write('a', 'a1')]);
  const two = operation(20, [write('a', 'a2')]);
  const rows = [row(10), row(20)];

  it('an acknowledged write that is nowhere, and its request', () => {
    expect(rules(history([one]), endState({}))).toEqual(['lost']);
    expect(rules(history([one]), endState({ requests: [row(10)] }))).toEqual(['lost']);
    expect(rules(history([one]), endState({ objects: [stored('a', 1, 'a1', 10)] }))).toContain('lost');
  });

  it('an older version where a newer one was acknowledged', () => {
    const end = endState({ objects: [stored('a', 1, 'a1', 10)], requests: rows });
    expect(rules(history([one, two]), end)).toEqual(['lost']);
  });

  it('an object where its delete was acknowledged, and a delete that nobody has sent', () => {
    const deletion = operation(20, [{ id: 'a', data: undefined }], { kind: 'delete' });
    const kept = endState({ objects: [stored('a', 1, 'a1', 10)], requests: rows });
    expect(rules(history([one, deletion]), kept)).toEqual(['lost']);
    const gone = endState({
      objects: [stored('a', 2, null, 20)],
      revisions: [stored('a', 1, 'a1', 10)],
      requests: rows,
    });
    expect(rules(history([one]), gone)).toEqual(['invented']);
    expect(rules(history([one, deletion]), gone)).toEqual([]);
  });

  it('the first of two versions in one request', () => {
    const both = operation(10, [write('a', 'a1'), write('a', 'a2')]);
    const end = endState({ objects: [stored('a', 1, 'a1', 10)], requests: [row(10, 2)] });
    expect(rules(history([both]), end)).toEqual(['lost', 'went back']);
  });

  it('a version that nobody sent, that was changed, or that is under another id or request', () => {
    const end = (object: StoredVersion) => endState({ objects: [object], requests: rows });
    const foreign = stored('x', 1, 'x1', 20);
    expect(rules(history([]), end(foreign))).toEqual(['invented']);
    const changed = { ...stored('a', 1, 'a1', 10), data: { id: 'a', v: 'a1', n: 2 } };
    expect(rules(history([one]), end(changed))).toEqual(['invented']);
    const moved = { ...stored('a', 1, 'a1', 10), id: 'b' };
    expect(rules(history([one]), end(moved))).toContain('invented');
    expect(rules(history([one]), end(stored('a', 1, 'a1', 20)))).toEqual(['invented']);
  });

  it('a write that was refused and is stored', () => {
    const refused = without(operation(10, [write('a', 'a1')], { outcome: 'refused' }), 'requestId');
    const end = endState({ objects: [stored('a', 1, 'a1', 10)], requests: [row(10)] });
    expect(rules(history([refused]), end)).toEqual(['refused but stored']);
  });

  it('a write that was accepted before one that had been answered when it was sent', () => {
    const late = operation(30, [write('b', 'b1')]);
    const end = endState({
      objects: [stored('a', 1, 'a1', 10), { ...stored('b', 1, 'b1', 30), acceptedAt: 5 }],
      requests: [row(10), { ...row(30), acceptedAt: 5 }],
    });
    expect(rules(history([one, late]), end)).toEqual(['accepted out of order']);
    const overlapping = { ...late, begunAt: 10.5 };
    expect(rules(history([one, overlapping]), end)).toEqual([]);
  });

  it('an id that went back to an older version, in its history or before a reader', () => {
    const end = endState({
      objects: [stored('a', 3, 'a3', 30)],
      revisions: [stored('a', 1, 'a2', 20), stored('a', 2, 'a1', 10)],
      requests: [...rows, row(30)],
    });
    const three = operation(30, [write('a', 'a3')]);
    expect(rules(history([one, two, three]), end)).toEqual(['went back']);
    const right = endState({
      objects: [stored('a', 2, 'a2', 20)],
      revisions: [stored('a', 1, 'a1', 10)],
      requests: rows,
    });
    const seen = (revision: number, v: string) => ({ id: 'a', revision, v, requestId: '' });
    const back = history([one, two], { observations: [seen(2, 'a2'), seen(1, 'a1')] });
    expect(rules(back, right)).toEqual(['went back']);
    const vanished = history([one, two], { observations: [seen(1, 'a9'), seen(2, 'a2')] });
    expect(rules(vanished, right)).toEqual(['history']);
  });

  it('a history with a gap, or with one version twice', () => {
    const gap = endState({ objects: [stored('a', 2, 'a2', 20)], requests: rows });
    expect(rules(history([one, two]), gap)).toEqual(['history']);
    const twice = endState({
      objects: [stored('a', 2, 'a1', 10)],
      revisions: [{ ...stored('a', 1, 'a1', 10), acceptedAt: 9 }],
      requests: [row(10)],
    });
    expect(rules(history([one]), twice)).toContain('history');
  });

  it('a request with wrong counts or status, in the database or in an answer', () => {
    const objects = [stored('a', 1, 'a1', 10)];
    const told = (requests: EndState['told']['requests']) =>
      endState({ objects, requests: [row(10)], told: { objects, requests } });
    for (const wrong of [row(10, 2), row(10, 1, 1), { ...row(10), status: 'ingesting' }]) {
      expect(rules(history([one]), endState({ objects, requests: [wrong] }))).toEqual(['request']);
    }
    const answer = {
      ...{ requestId: 'req_10', status: 'succeeded', counts: { objects: 1, stored: 1, failed: 0 } },
      ...{ ids: ['a'], failedIndexes: [] },
    };
    expect(rules(history([one]), told([answer]))).toEqual([]);
    expect(rules(history([one]), told([{ ...answer, status: 'queued' }]))).toEqual(['request']);
    expect(rules(history([one]), told([{ ...answer, ids: ['a', 'b'] }]))).toEqual(['request']);
    expect(rules(history([one]), told([{ ...answer, failedIndexes: [0] }]))).toEqual(['request']);
  });

  it('a request that nobody has made, and not one of which the answer got lost', () => {
    const objects = [stored('a', 1, 'a1', 10)];
    const end = (more: ReturnType<typeof row>) => endState({ objects, requests: [row(10), more] });
    expect(rules(history([one]), end(row(20)))).toEqual(['invented']);
    const overtaken = { ...row(5), requestId: 'req_5' };
    const lost = unknown(5, [write('a', 'a0')]);
    expect(rules(history([one, lost]), end(overtaken))).toEqual([]);
    expect(rules(history([one, lost]), end({ ...overtaken, status: 'ingesting' }))).toEqual(['invented']);
    expect(rules(history([one, lost]), end({ ...overtaken, objects: 2 }))).toEqual(['invented']);
    const refused = without(operation(5, [write('a', 'a0')], { outcome: 'refused' }), 'requestId');
    expect(rules(history([one, refused]), end(overtaken))).toEqual(['invented']);
    // An import whose URL nobody has got.
    expect(rules(history([one]), end({ ...row(20, 0), status: 'queued' }))).toEqual([]);
  });

  it('a failed object that is not kept, kept twice or changed, or that did not have to fail', () => {
    const bad = operation(10, [failing('a', 'a1')]);
    const kept = {
      requestId: 'req_10',
      index: 0,
      id: 'a',
      object: JSON.stringify(data('a', 'a1')),
      message: 'no',
    };
    const end = (...failures: EndState['failures']) => endState({ requests: [row(10, 1, 1)], failures });
    expect(rules(history([bad]), end(kept))).toEqual([]);
    expect(rules(history([bad]), end())).toEqual(['lost']);
    expect(rules(history([bad]), end(kept, kept))).toEqual(['failed object']);
    expect(rules(history([bad]), end({ ...kept, message: '' }))).toEqual(['failed object']);
    expect(rules(history([bad]), end({ ...kept, object: '{"v":"a1"}' }))).toEqual(['failed object']);
    expect(rules(history([bad]), end(kept, { ...kept, index: 1 }))).toEqual(['failed object']);
  });

  it('an object that the API tells otherwise or not at all, what is left in the queue, a strange answer', () => {
    const objects = [stored('a', 1, 'a1', 10)];
    const end = endState({ objects, requests: [row(10)] });
    const told = (list: readonly StoredVersion[]) => ({ ...end, told: { objects: list, requests: [] } });
    expect(rules(history([one]), told([]))).toEqual(['reads differ']);
    expect(rules(history([one]), told([stored('a', 2, 'a1', 10)]))).toEqual(['reads differ']);
    expect(rules(history([one]), { ...end, leftInQueue: 1 })).toEqual(['left over']);
    expect(rules(history([one], { complaints: ['a 500'] }), end)).toEqual(['answer']);
  });
});

describe('what a disaster has taken', () => {
  // Times of stamps are those of clients to a tenth of a second.
  const one = operation(1_000, [write('a', 'a1')]);
  const two = operation(2_000, [write('b', 'b1')]);
  const loss = (from: number, to: number, ...requestIds: readonly string[]): ToldLoss => ({
    ...{ cause: 'queue_emptied', from, to, requestIds },
  });
  const kept = (...losses: readonly ToldLoss[]) =>
    endState({ objects: [stored('b', 1, 'b1', 2_000)], requests: [row(2_000)], losses });
  const disaster = (from: number, to: number, remembered = true): Partial<History> => ({
    allowedLosses: [{ from, to, remembered }],
  });

  it('is excused where it was in reach of the disaster, is told, and named', () => {
    const told = kept(loss(500, 1_500, 'req_1000'));
    expect(rules(history([one, two], disaster(-Infinity, 1_200)), told)).toEqual([]);
    expect(rules(history([one, two], disaster(900, 1_200)), told)).toEqual([]);
  });

  it('is lost where it is not told, or another time is', () => {
    expect(rules(history([one, two], disaster(0, 1_200)), kept())).toEqual(['lost']);
    const other = kept(loss(0, 500, 'req_1000'));
    expect(rules(history([one, two], disaster(0, 1_200)), other)).toEqual(['lost']);
  });

  it('is lost where no disaster had it in its reach, though it is told', () => {
    const told = kept(loss(500, 1_500, 'req_1000'));
    expect(rules(history([one, two]), told)).toEqual(['false alarm', 'lost']);
    expect(rules(history([one, two], disaster(0, 900)), told)).toEqual(['lost']);
    expect(rules(history([one, two], disaster(1_100, 1_200)), told)).toEqual(['lost']);
  });

  it('is named by the processes that remember it', () => {
    const told = kept(loss(500, 1_500, 'req_2000'));
    expect(rules(history([one, two], disaster(0, 1_200)), told)).toEqual(['lost and not named']);
    expect(rules(history([one, two], disaster(0, 1_200, false)), told)).toEqual([]);
  });

  it('may be nothing, but is not told where nothing was taken', () => {
    const told = kept(loss(500, 1_500));
    expect(rules(history([two]), told)).toEqual(['false alarm']);
    expect(rules(history([two], disaster(3_000, 4_000)), told)).toEqual(['false alarm']);
    expect(rules(history([two], disaster(0, 1_200)), told)).toEqual([]);
  });

  it('is told by the stamps of a clock that was behind', () => {
    const behind = { ...disaster(900, 1_200), clockBehindSince: 300 };
    expect(rules(history([one, two], behind), kept(loss(200, 250, 'req_1000')))).toEqual([]);
    expect(rules(history([one, two], behind), kept(loss(500, 1_500, 'req_1000')))).toEqual([
      'false alarm',
      'lost',
    ]);
  });

  it('is a part of an import, which never ends then', () => {
    const file = operation(1_000, [write('a', 'a1'), write('c', 'c1')], { kind: 'import' });
    const end = (...losses: readonly ToldLoss[]): EndState =>
      endState({
        objects: [stored('a', 1, 'a1', 1_000)],
        requests: [{ ...row(1_000), status: 'ingesting' }],
        losses,
      });
    const told = end(loss(500, 1_500, 'req_1000'));
    expect(rules(history([file], disaster(0, 1_200)), told)).toEqual([]);
    expect(rules(history([file], disaster(0, 1_200)), end())).toEqual(['lost', 'request']);
  });
});

describe('a version', () => {
  const file = operation(10, [write('a', 'a1')], { kind: 'import' });
  const later = operation(20, [write('a', 'a2')]);
  const order = (stamp: number, part = 0) => ({ order: { stamp, part } });
  const requests = [
    { ...row(10), ...order(100) },
    { ...row(20), ...order(101) },
  ];

  it('of an import has no greater stamp than its request', () => {
    const end = (stamp: number) =>
      endState({
        objects: [{ ...stored('a', 1, 'a1', 10), ...order(stamp, 2) }],
        requests: requests.slice(0, 1),
      });
    expect(rules(history([file]), end(100))).toEqual([]);
    expect(rules(history([file]), end(102))).toEqual(['accepted out of order']);
  });

  it('of an import that overtakes what came after its request takes the place of that', () => {
    const end = endState({ objects: [{ ...stored('a', 1, 'a1', 10), ...order(102) }], requests });
    expect(rules(history([file, later]), end)).toEqual(['accepted out of order', 'lost']);
  });

  it('of a write has the stamp of its request', () => {
    const end = endState({ objects: [{ ...stored('a', 1, 'a2', 20), ...order(100) }], requests });
    expect(rules(history([file, later]), end)).toContain('accepted out of order');
  });
});
