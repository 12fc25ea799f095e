/** The evaluator's thread: what it is given, what it may answer, and which modules can be used. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { EMPTY_OUTPUT } from '../../src/domain/output.ts';
import { OperatorError } from '../../src/errors.ts';
import { moduleFolder, openEvaluator, outputOf, startEvaluator } from '../support/evaluators.ts';

/** With an evaluator for all tests that leave its thread as it was. */
const test = it.extend(
  'shared',
  { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
  async ({}, { onCleanup }) => {
    const shared = await openEvaluator();
    onCleanup(() => shared.evaluator.close());
    return shared;
  },
);

describe('an evaluator', () => {
  test('gets the object, what is known of it, and its former version', async ({ shared }) => {
    const { evaluate, outcomes } = shared;
    outcomes.length = 0;
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

  test('may leave out what it has nothing to say about', async ({ shared }) => {
    const { evaluate } = shared;
    expect(await evaluate({ do: 'nothing' })).toEqual({ outcome: 'succeeded', output: EMPTY_OUTPUT });
    expect(await evaluate({ do: 'partly' })).toEqual({
      outcome: 'succeeded',
      output: '{"actions":[],"labels":["only"],"fields":{}}',
    });
  });

  test.for<[deed: string, error: unknown]>([
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
  ])('fails an object and no other: %s', async ([deed, error], { shared: { evaluate, outcomes, lost } }) => {
    outcomes.length = 0;
    const [failed, other] = await Promise.all([evaluate({ do: deed }), evaluate({})]);
    expect(failed).toEqual({ outcome: 'failed', error });
    expect(other.outcome).toBe('succeeded');
    expect(outcomes.sort()).toEqual(['failed', 'succeeded']);
    expect(lost()).toBe(0);
  });

  test('may answer a mebibyte, and no more', async ({ shared }) => {
    const { evaluate } = shared;
    const around = JSON.stringify({ actions: [], labels: [], fields: { text: '' } }).length;
    const most = 1024 * 1024 - around;
    expect((await evaluate({ do: 'big', bytes: most })).outcome).toBe('succeeded');
    expect(await evaluate({ do: 'big', bytes: most + 1 })).toEqual({
      outcome: 'failed',
      error: 'answered 1048577 bytes of JSON: at most 1048576 are allowed',
    });
  });

  it('has so many objects in hand as it may, and not one more', async () => {
    const { evaluate } = await startEvaluator({ concurrency: 3 });
    const all = await Promise.all(Array.from({ length: 30 }, () => evaluate({})));
    expect(Math.max(...all.map((one) => Number(outputOf(one).fields['most'])))).toBe(3);
  });

  test('has its console in the log', async ({ shared }) => {
    const { evaluate, lines } = shared;
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
    const { evaluate, outcomes, lost } = await startEvaluator({ timeoutMs: 300 });
    const late = [evaluate({ do: 'hang' }), evaluate({ do: 'signal' })];
    expect((await evaluate({ do: 'wait', ms: 50 })).outcome).toBe('succeeded');
    for (const one of late)
      expect(await one).toEqual({ outcome: 'timed_out', error: 'timed out after 0.3 s' });
    expect((await evaluate({})).outcome).toBe('succeeded');
    expect(outcomes.filter((outcome) => outcome === 'timed_out')).toHaveLength(2);
    expect(lost()).toBe(0);
  });
});

describe('closing an evaluator', () => {
  it('ends what is in hand and what waits', async () => {
    const { evaluator, evaluate } = await startEvaluator({ concurrency: 1 });
    const outcomes = Promise.allSettled([evaluate({ do: 'loop' }), evaluate({})]);
    await evaluator.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('what has not begun when it is to stop is not begun any more', async () => {
    const { evaluator, evaluate, outcomes } = await startEvaluator({ concurrency: 1, timeoutMs: 300 });
    void evaluate({ do: 'hang' });
    const stopping = new AbortController();
    const input = { namespace: 'ns', id: 'a', requestId: 'r', revision: 1, data: '{}', previous: null };
    const waiting = evaluator.evaluate(input, stopping.signal);
    stopping.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
    expect(outcomes).toEqual(['timed_out']);
  });
});

/** Keeps this process from hearing anything of its threads until so, and for a moment after that. */
function hearNothingBefore(isSo: () => boolean): void {
  let end = performance.now() + 2_000;
  while (performance.now() < end && !isSo());
  for (end = performance.now() + 200; performance.now() < end; );
}

describe('the module', () => {
  it('may be a path, a file URL or the name of a package, and export an object or a function', async () => {
    const write = await moduleFolder();
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
      const { evaluate } = await startEvaluator({ module });
      expect(outputOf(await evaluate({})).labels, module).toEqual([label]);
    }
    // A package that is there, and is no evaluator.
    await expect(startEvaluator({ module: 'pg' })).rejects.toThrow('its default export has no function');
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
    const module = text === undefined ? name : await (await moduleFolder())(name, text);
    const error = await startEvaluator({ module }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OperatorError);
    const { message } = error as Error;
    expect(message).toMatch(why);
    expect(message).toMatch(/^INLET_EVALUATOR is ".*", which cannot be used as an evaluator: [^\n]+$/);
  });

  it('that ends its thread as soon as it is loaded stops the start, whatever of it is heard first', async () => {
    const write = await moduleFolder();
    const last = await write('last', '');
    const module = await write(
      'exits-later.mjs',
      `import { rmSync } from 'node:fs';
       process.on('exit', () => rmSync(${JSON.stringify(last)}));
       setImmediate(() => setImmediate(() => process.exit(9))); export default () => ({});`,
    );
    const started = startEvaluator({ module }).then(
      () => 'it started',
      (error: Error) => error.message,
    );
    hearNothingBefore(() => !existsSync(last));
    expect(await started).toMatch(/cannot be used as an evaluator: it ended itself with code 9$/);
  });
});

describe('the example', () => {
  it('labels by rules, and acts once when a limit is crossed', async () => {
    const { evaluate } = await startEvaluator({ module: 'examples/evaluator.mjs' });
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
