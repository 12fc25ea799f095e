/** What shows that acknowledged writes may be lost. */
import { expect, test } from 'vitest';
import { describeLoss } from '../../src/ingest/loss-watch.ts';
import { Continuity } from '../../src/queue/continuity.ts';
import type { QueueMarks } from '../../src/queue/queue.ts';
import type { KnownQueue } from '../../src/store/losses.ts';
import { lossesOf } from '../../src/store/losses.ts';

const KNOWN: KnownQueue = { id: 'q', born: 10, acknowledged: 50, drained: 40, stored: 45 };
const MARKS: QueueMarks = { born: 10, last: 60, stored: 45, told: 50, own: 50 };

test.each<[string, Partial<KnownQueue>, Partial<QueueMarks>, ReturnType<typeof lossesOf>]>([
  ['the same queue', {}, {}, []],
  ['a queue that was never seen', { born: null }, {}, []],
  ['another queue', {}, { born: 70 }, [{ cause: 'queue emptied', from: 40, to: 70 }]],
  [
    'another queue, and nothing that was drained',
    { drained: null },
    { born: 70 },
    [{ cause: 'queue emptied', from: 0, to: 70 }],
  ],
  ['another queue where everything was stored', { drained: 50 }, { born: 70 }, []],
  ['another queue where nothing was acknowledged', { acknowledged: null, drained: null }, { born: 70 }, []],
  [
    'a database that knows less than was stored',
    {},
    { stored: 46 },
    [{ cause: 'older database', from: 40, to: 60 }],
  ],
  [
    'a database that knows nothing',
    { drained: null, stored: null },
    {},
    [{ cause: 'older database', from: 0, to: 60 }],
  ],
  ['a database that knows more', { stored: 50 }, {}, []],
  ['a database that has everything and was not told yet', { drained: 50 }, { stored: 50 }, []],
  ['one of two queues by turns, after it was told', { acknowledged: 90, drained: 80 }, { born: 70 }, []],
])('%s', (_what, known, marks, losses) => {
  expect(lossesOf({ ...KNOWN, ...known }, { marks: { ...MARKS, ...marks }, told: 0 })).toEqual(losses);
});

test.each([
  ['a database beside the queue', 10, 'older database'],
  ['a database with the queue in it', 0, 'older queue'],
] as const)('%s that has forgotten what it was told', (_what, born, cause) => {
  const [known, marks] = [
    { ...KNOWN, born },
    { ...MARKS, born },
  ];
  expect(lossesOf(known, { marks, told: 50 })).toEqual([]);
  expect(lossesOf(known, { marks, told: 51 })).toEqual([{ cause, from: 40, to: 60 }]);
});

test('a loss in words names its times, and where to look', () => {
  const to = Date.UTC(2026, 0, 2) * 1_000;
  expect(describeLoss({ cause: 'queue emptied', from: 0, to })).toBe(
    'acknowledged writes before 2026-01-02T00:00:00.000Z may be lost: the queue was emptied, or is a new one (see "inlet queue losses")',
  );
  expect(describeLoss({ cause: 'older database', from: to - 1_000_000, to })).toContain(
    'between 2026-01-01T23:59:59.000Z and 2026-01-02T00:00:00.000Z',
  );
});

/** A queue whose marks are raised by a claim. @param own where it isn't the last one */
function queueWith(last: number | undefined, own = last ?? 0) {
  const queue = { last, own, claims: [] as number[] };
  const continuity = new Continuity({
    async claim(floor) {
      queue.claims.push(floor);
      queue.last = Math.max(queue.last ?? 0, floor) + 100;
      queue.own = queue.last;
      return queue.last;
    },
    marks: async () =>
      queue.last === undefined ? undefined : { ...MARKS, last: queue.last, own: queue.own },
    mark: async () => undefined,
  });
  return { queue, continuity };
}

test('a queue that has what was acknowledged is taken as it is', async () => {
  const { queue, continuity } = queueWith(10);
  continuity.knows(10);
  expect(await continuity.marks()).toMatchObject({ last: 10 });
  expect(queue.claims).toEqual([]);
});

test('a queue that lacks what was acknowledged has a gap, once, and goes on above it', async () => {
  const { queue, continuity } = queueWith(10);
  continuity.knows(20);
  const found = await Promise.all([continuity.marks(), continuity.marks()]);
  expect(found.map(({ last }) => last)).toEqual([120, 120]);
  expect(queue.claims).toEqual([20]);
  expect(continuity.gaps).toEqual([{ from: 10, to: 120 }]);
});

test('a queue that lacks what this process has had acknowledged has a gap, whatever others have added since', async () => {
  const { queue, continuity } = queueWith(29, 0);
  await continuity.marks();
  continuity.remember(30, () => []);
  continuity.remember(40, () => []);
  queue.last = 90;
  expect(await continuity.marks()).toMatchObject({ last: 190 });
  expect(await continuity.marks()).toMatchObject({ last: 190 });
  expect(continuity.gaps).toEqual([{ from: 29, to: 190 }]);
  Object.assign(queue, { last: 300, own: 35 });
  expect(await continuity.marks()).toMatchObject({ last: 400 });
  expect(continuity.gaps[1]).toEqual({ from: 35, to: 400 });
});

test('what is acknowledged while the queue is looked at is no gap', async () => {
  const { queue, continuity } = queueWith(10);
  const looking = continuity.stamp(async () => ({ stamp: 11, acceptedAt: 11, last: queue.last, own: 0 }));
  continuity.remember(20, () => ['later']);
  expect(await looking).toMatchObject({ last: 10 });
  expect(continuity.gaps).toEqual([]);
});

test("a queue that is nobody's is claimed above what was acknowledged", async () => {
  const { queue, continuity } = queueWith(undefined);
  continuity.knows(30);
  expect(await continuity.marks()).toMatchObject({ last: 130 });
  expect(queue.claims).toEqual([30]);
  expect(continuity.gaps).toEqual([]);
});

test('the last 10,000 acknowledged batches are remembered, by their stamps', () => {
  const { continuity } = queueWith(1);
  for (let i = 1; i <= 10_002; i += 1) continuity.remember(i, () => [`r${i}`, `r${i}`]);
  expect(continuity.remembered({ from: 0, to: 4 })).toEqual(['r3', 'r4']);
  expect(continuity.remembered({ from: 10_000, to: 10_001 })).toEqual(['r10001']);
});

test('a queue that was disowned takes nothing', async () => {
  const { continuity } = queueWith(10);
  continuity.disown('it is of another Inlet');
  await expect(continuity.marks()).rejects.toThrow('it is of another Inlet');
  continuity.disown(undefined);
  expect(await continuity.marks()).toMatchObject({ last: 10 });
});
