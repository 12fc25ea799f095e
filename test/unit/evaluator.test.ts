/** The evaluator's thread: what it answers, and that no object, however bad, takes others or the process with it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EMPTY_OUTPUT } from '../../src/domain/output.ts';
import { OperatorError } from '../../src/errors.ts';
import type { Evaluation } from '../../src/evaluation/evaluator.ts';
import { Evaluator } from '../../src/evaluation/evaluator.ts';

const MODULE = 'test/support/evaluator.mjs';
const NEVER = new AbortController().signal;

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly evaluator?: string;
  readonly reason?: string;
}

const open: Evaluator[] = [];

async function start({ module = MODULE, concurrency = 8, timeoutMs = 30_000 } = {}) {
  const lines: Line[] = [];
  const outcomes: string[] = [];
  let lost = 0;
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line) as Line) });
  const evaluator = await Evaluator.start({
    ...{ module, concurrency, timeoutMs, log },
    observer: {
      onEvaluated: (outcome) => outcomes.push(outcome),
      onThreadLost: () => {
        lost += 1;
      },
    },
  });
  open.push(evaluator);
  let n = 0;
  const evaluate = (members: object, about: object = {}): Promise<Evaluation> => {
    n += 1;
    const input = { namespace: 'ns', id: `o${n}`, requestId: 'req_1', revision: 1, previous: null };
    return evaluator.evaluate(
      { ...input, data: JSON.stringify({ id: `o${n}`, ...members }), ...about },
      NEVER,
    );
  };
  return { evaluator, evaluate, lines, outcomes, lost: () => lost };
}

/** What `evaluate` answered, parsed. */
function outputOf(evaluation: Evaluation): { fields: Record<string, unknown>; labels: unknown[] } {
  if (evaluation.outcome !== 'succeeded') throw new Error(evaluation.error);
  return JSON.parse(evaluation.output) as never;
}

afterEach(async () => {
  for (const evaluator of open.splice(0)) await evaluator.close();
});

describe('an evaluator', () => {
  it('gets the object, what is known of it, and its former version', async () => {
    const { evaluate, outcomes } = await start();
    const about = { namespace: 'products', id: 'p1', requestId: 'req_9', revision: 7 };
    const data = '{"id":"p1","do":"echo","__proto__":{"a":1},"n":1.50}';
    const evaluation = await evaluate({}, { ...about, data, previous: '{"id":"p1","n":1}' });
    expect(outputOf(evaluation).fields).toEqual({
      ...about,
      object: JSON.parse(data) as unknown,
      previous: { id: 'p1', n: 1 },
    });
    expect(Object.keys(outputOf(evaluation).fields['object'] as object)).toContain('__proto__');
    expect(outputOf(await evaluate({ do: 'echo' })).fields['previous']).toBeNull();
    expect(outcomes).toEqual(['succeeded', 'succeeded']);
  });

  it('may leave out what it has nothing to say about', async () => {
    const { evaluate } = await start();
    expect(await evaluate({ do: 'nothing' })).toEqual({ outcome: 'succeeded', output: EMPTY_OUTPUT });
    expect(await evaluate({ do: 'partly' })).toEqual({
      outcome: 'succeeded',
      output: '{"actions":[],"labels":["only"],"fields":{}}',
    });
  });

  it.each([
    ['throw', 'TypeError: broken\uFFFD on purpose'],
    ['throwText', 'threw just text'],
    ['reject', 'rejected'],
    ['none', 'answered null instead of an object'],
    ['list', 'answered a list instead of an object'],
    ['date', 'answered a Date instead of an object'],
    ['text', 'answered a string instead of an object'],
    ['badActions', 'answered a Object as actions, which must be a list'],
    ['badLabels', 'answered a string as labels, which must be a list'],
    ['badFields', 'answered a list as fields, which must be an object'],
    ['unknown', 'answered with a member "label": there may be actions, labels and fields'],
    ['nan', 'answered NaN as "score", which is not JSON'],
    ['map', 'answered a Map as "all", which is not JSON'],
    ['bigint', 'answered a bigint as "n", which is not JSON'],
    ['circular', expect.stringContaining('circular')],
    ['nul', 'answered what cannot be stored: /labels/0: string holds U+0000, which Postgres cannot store'],
    ['surrogate', expect.stringContaining('/fields/text: string holds a lone surrogate')],
    ['deep', expect.stringContaining('nesting is deeper than 1000 levels')],
  ])('fails an object and no other: %s', async (deed, error) => {
    const { evaluate, outcomes, lost } = await start();
    const [failed, other] = await Promise.all([evaluate({ do: deed }), evaluate({})]);
    expect(failed).toEqual({ outcome: 'failed', error });
    expect(other.outcome).toBe('succeeded');
    expect(outcomes.sort()).toEqual(['failed', 'succeeded']);
    expect(lost()).toBe(0);
  });

  it('may answer a mebibyte, and no more', async () => {
    const { evaluate } = await start();
    const around = JSON.stringify({ actions: [], labels: [], fields: { text: '' } }).length;
    const most = 1024 * 1024 - around;
    expect((await evaluate({ do: 'big', bytes: most })).outcome).toBe('succeeded');
    expect(await evaluate({ do: 'big', bytes: most + 1 })).toEqual({
      outcome: 'failed',
      error: 'answered 1048577 bytes of JSON: at most 1048576 are allowed',
    });
  });

  it('has so many objects in hand as it may, and not one more', async () => {
    const { evaluate } = await start({ concurrency: 3 });
    const all = await Promise.all(Array.from({ length: 30 }, () => evaluate({})));
    expect(Math.max(...all.map((one) => Number(outputOf(one).fields['most'])))).toBe(3);
  });

  it('has its console in the log', async () => {
    const { evaluate, lines } = await start();
    await evaluate({ do: 'print' });
    await expect.poll(() => lines.filter(({ msg }) => msg.startsWith('the evaluator'))).toHaveLength(3);
    const said = lines.map(({ level, evaluator }) => [level, evaluator]);
    expect(said).toContainEqual([30, 'a line']);
    expect(said).toContainEqual([30, 'and another']);
    expect(said).toContainEqual([40, 'a warning']);
  });
});

describe('an object that takes too long', () => {
  it('is given up, and told so by its signal, while others go on in the same thread', async () => {
    const { evaluate, outcomes, lost } = await start({ timeoutMs: 300 });
    const late = [evaluate({ do: 'hang' }), evaluate({ do: 'signal' })];
    expect((await evaluate({ do: 'wait', ms: 50 })).outcome).toBe('succeeded');
    for (const one of late)
      expect(await one).toEqual({ outcome: 'timed_out', error: 'timed out after 0.3 s' });
    expect((await evaluate({})).outcome).toBe('succeeded');
    expect(outcomes.filter((outcome) => outcome === 'timed_out')).toHaveLength(2);
    expect(lost()).toBe(0);
  });

  it.each(['loop', 'loopInGetter'])(
    'and blocks the thread is found, and no other fails: %s',
    async (deed) => {
      const { evaluate, lost, lines } = await start({ timeoutMs: 400 });
      const before = Array.from({ length: 3 }, () => evaluate({ do: 'wait', ms: 200 }));
      const blocking = evaluate({ do: deed });
      const after = Array.from({ length: 20 }, () => evaluate({}));
      expect(await blocking).toEqual({
        outcome: 'timed_out',
        error: 'timed out after 0.4 s, and let nothing else run',
      });
      for (const one of [...before, ...after]) expect((await one).outcome).toBe('succeeded');
      expect(lost()).toBe(1);
      expect(lines.find(({ reason }) => reason?.includes('blocked'))).toBeDefined();
    },
  );

  it('and blocks the thread some time after it has begun is found too', async () => {
    const { evaluate, lost } = await start({ timeoutMs: 400 });
    const others = Array.from({ length: 4 }, () => evaluate({ do: 'wait', ms: 100 }));
    const blocking = evaluate({ do: 'loopLater' });
    expect((await blocking).outcome).toBe('timed_out');
    for (const one of others) expect((await one).outcome).toBe('succeeded');
    // Once among others, where it could have been any of them, and once by itself.
    expect(lost()).toBe(2);
  });

  it('does not take the process with it, however many there are', async () => {
    const { evaluate, outcomes } = await start({ timeoutMs: 200, concurrency: 4 });
    const bad = Array.from({ length: 6 }, (_, i) => evaluate({ do: i % 2 === 0 ? 'loop' : 'loopLater' }));
    const good = Array.from({ length: 10 }, () => evaluate({ do: 'wait', ms: 20 }));
    expect((await Promise.all(bad)).every(({ outcome }) => outcome === 'timed_out')).toBe(true);
    expect((await Promise.all(good)).every(({ outcome }) => outcome === 'succeeded')).toBe(true);
    expect(outcomes).toHaveLength(16);
  });
});

describe('an object that ends the thread', () => {
  it.each([
    ['exit', 'ended its thread: it ended itself with code 3'],
    ['exitLater', 'ended its thread: it ended itself with code 4'],
    ['crash', 'ended its thread: Error: nobody catches it'],
    ['memory', expect.stringMatching(/^ended its thread: .*memory/)],
  ])('fails alone: %s', async (deed, error) => {
    const { evaluate, outcomes, lines } = await start();
    const others = Array.from({ length: 5 }, () => evaluate({ do: 'wait', ms: 50 }));
    expect(await evaluate({ do: deed })).toEqual({ outcome: 'failed', error });
    for (const one of others) expect((await one).outcome).toBe('succeeded');
    expect((await evaluate({})).outcome).toBe('succeeded');
    expect(outcomes.filter((outcome) => outcome === 'failed')).toHaveLength(1);
    // Twice: among others, and by itself. Messages could quote data, and don't get into the log.
    expect(lines.filter(({ msg }) => msg.includes('has ended'))).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain('nobody catches it');
  });
});

/** Keeps this process from hearing anything of its threads for a while. */
function hearNothing(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

describe('closing an evaluator', () => {
  it('ends what is in hand and what waits', async () => {
    const { evaluator, evaluate } = await start({ concurrency: 1 });
    const outcomes = Promise.allSettled([evaluate({ do: 'loop' }), evaluate({})]);
    await evaluator.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('what has not begun when it is to stop is not begun any more', async () => {
    const { evaluator, evaluate, outcomes } = await start({ concurrency: 1, timeoutMs: 300 });
    void evaluate({ do: 'hang' });
    const stopping = new AbortController();
    const input = { namespace: 'ns', id: 'a', requestId: 'r', revision: 1, data: '{}', previous: null };
    const waiting = evaluator.evaluate(input, stopping.signal);
    stopping.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
    expect(outcomes).toEqual(['timed_out']);
  });
});

describe('the module', () => {
  let folder: string;
  const write = async (name: string, text: string): Promise<string> => {
    const file = path.join(folder, name);
    await writeFile(file, text);
    return file;
  };

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'inlet-evaluator-'));
  });

  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('may be a path, a file URL or the name of a package, and export an object or a function', async () => {
    const object = await write(
      'object.mjs',
      'export default { label: "o", evaluate() { return { labels: [this.label] }; } };',
    );
    const fn = await write('function.mjs', 'export default async () => ({ labels: ["f"] });');
    const common = await write('common.cjs', 'module.exports = { evaluate: () => ({ labels: ["c"] }) };');
    const modules = [
      [object, 'o'],
      [path.relative('.', object), 'o'],
      [pathToFileURL(fn).href, 'f'],
      [common, 'c'],
    ] as const;
    for (const [module, label] of modules) {
      const { evaluate } = await start({ module });
      expect(outputOf(await evaluate({})).labels, module).toEqual([label]);
    }
    // A package that is there, and is no evaluator.
    await expect(start({ module: 'pg' })).rejects.toThrow('its default export has no function');
  });

  it.each([
    [
      'missing.mjs',
      undefined,
      /there is no file \/.*\/missing\.mjs, and .* Cannot find package 'missing\.mjs'/,
    ],
    ['no-such-package', undefined, /evaluator: Cannot find package 'no-such-package'/],
    ['./missing.mjs', undefined, /Cannot find module '.*missing\.mjs'/],
    [
      'no-default.mjs',
      'export const evaluate = () => ({});',
      /its default export has no function "evaluate"/,
    ],
    ['no-function.mjs', 'export default { evaluate: 1 };', /its default export has no function "evaluate"/],
    ['syntax.mjs', 'export default {', /SyntaxError/],
    ['throws.mjs', 'throw new Error("no licence\\nand more")', /no licence$/],
    ['exits.mjs', 'process.exit(7)', /it ended itself with code 7/],
  ])('that cannot be used stops the start with one line: %s', async (name, text, why) => {
    const module = text === undefined ? name : await write(name, text);
    const error = await start({ module }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OperatorError);
    const { message } = error as Error;
    expect(message).toMatch(why);
    expect(message).toMatch(/^INLET_EVALUATOR is ".*", which cannot be used as an evaluator: [^\n]+$/);
  });

  it('that ends its thread as soon as it is loaded stops the start, whatever of it is heard first', async () => {
    const module = await write(
      'exits-later.mjs',
      'setImmediate(() => setImmediate(() => process.exit(9))); export default () => ({});',
    );
    const started = start({ module }).then(
      () => 'it started',
      (error: Error) => error.message,
    );
    hearNothing(2_000);
    expect(await started).toMatch(/cannot be used as an evaluator: it ended itself with code 9$/);
  });

  it('that cannot be loaded any more is tried again, and nothing fails', async () => {
    const module = await write(
      'fleeting.mjs',
      'export default (o) => (o.do === "exit" ? process.exit(1) : { labels: ["v1"] });',
    );
    const { evaluate, lines } = await start({ module });
    await evaluate({});
    await rm(module);
    const waiting = evaluate({ do: 'exit' });
    await expect
      .poll(() => lines.some(({ msg }) => msg.includes('cannot be loaded any more')), { timeout: 10_000 })
      .toBe(true);
    await write('fleeting.mjs', 'export default () => ({ labels: ["v2"] });');
    expect(outputOf(await waiting).labels).toEqual(['v2']);
  });
});

describe('the example', () => {
  it('labels by rules, and acts once when a limit is crossed', async () => {
    const { evaluate } = await start({ module: 'examples/evaluator.mjs' });
    const version = async (object: object, previous: object | null, revision: number) =>
      JSON.parse(
        (
          (await evaluate(object, {
            ...{ revision, previous: previous && JSON.stringify(previous) },
          })) as { output: string }
        ).output,
      ) as unknown;
    const [first, second, third] = [
      { price: 1_200, stock: 12 },
      { price: 1_500, stock: 7 },
      { price: 1_500, stock: 0 },
    ];
    expect(await version(first, null, 1)).toEqual({
      actions: [],
      labels: ['expensive'],
      fields: { is_new: true },
    });
    expect(await version(second, first, 2)).toEqual({
      actions: [{ type: 'reorder', field: 'stock', value: 7 }],
      labels: ['expensive'],
      fields: { is_new: false, price_change: 25 },
    });
    expect(await version(third, second, 3)).toEqual({
      actions: [],
      labels: ['expensive', 'out-of-stock'],
      fields: { is_new: false, price_change: 0 },
    });
    expect(await version({}, null, 1)).toMatchObject({ labels: ['unpriced'] });
  });
});
